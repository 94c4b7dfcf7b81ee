"""``torch.fft``. Source: https://docs.pytorch.org/docs/stable/fft.html"""

import jtorch._api  # noqa: F401
from jtorch._core.storage.bare_tensor import Tensor as Tensor
from jtorch._namespace import fft as _namespace

globals().update({k: v for k, v in vars(_namespace).items() if not k.startswith("__")})
