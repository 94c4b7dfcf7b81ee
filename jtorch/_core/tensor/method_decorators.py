"""How functions become methods and properties of Tensor."""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.bare_tensor import Tensor

__all__ = ["method", "prop"]


def method(fn: Any) -> Any:
    """Make ``fn`` a method under its own name."""
    setattr(Tensor, fn.__name__, fn)
    return fn


def prop(fn: Any) -> Any:
    """Make ``fn`` a property under its own name."""
    setattr(Tensor, fn.__name__, property(fn))
    return fn
