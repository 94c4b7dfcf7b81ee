"""``torch._functorch.python_key``: functorch's name for ``make_fx``."""

from __future__ import annotations

from jtorch.fx.experimental.proxy_tensor import make_fx

__all__ = ["make_fx"]
