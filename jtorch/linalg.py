"""``torch.linalg``. Source: https://docs.pytorch.org/docs/stable/linalg.html"""

import jtorch._api  # noqa: F401
from jtorch._namespace import linalg as _namespace

globals().update({k: v for k, v in vars(_namespace).items() if not k.startswith("__")})
