"""``torch.fft``. Source: https://docs.pytorch.org/docs/stable/fft.html"""

import jtorch._api  # noqa: F401
from jtorch import _public
from jtorch._core.storage.bare_tensor import Tensor as Tensor

_public.complete(_public.fft, globals())
