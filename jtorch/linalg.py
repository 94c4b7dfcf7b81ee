"""``torch.linalg``. Source: https://docs.pytorch.org/docs/stable/linalg.html"""

import jtorch._api  # noqa: F401
from jtorch import _public

_public.complete(_public.linalg, globals())
