"""``torch.special``. Source: https://docs.pytorch.org/docs/stable/special.html"""

import jtorch._api  # noqa: F401
from jtorch import _public

_public.complete(_public.special, globals())
