"""jtorch: PyTorch's API and semantics on JAX. ``import jtorch as torch``."""

from __future__ import annotations

import jtorch._api  # noqa: F401
from jtorch._namespace import torch as _torch

globals().update({k: v for k, v in vars(_torch).items() if not k.startswith("__")})
