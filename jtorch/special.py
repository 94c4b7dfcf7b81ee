"""``torch.special``. Source: https://docs.pytorch.org/docs/stable/special.html"""

import jtorch._api  # noqa: F401
from jtorch import _public

__all__ = [name for name, value in vars(_public.special).items() if callable(value) and name[0] != "_"]  # what ``from torch.special import *`` takes
_public.complete(_public.special, globals())
