"""``torch.special``. Source: https://docs.pytorch.org/docs/stable/special.html"""

import jtorch._api  # noqa: F401
from jtorch._namespace import special as _namespace

globals().update({k: v for k, v in vars(_namespace).items() if not k.startswith("__")})
