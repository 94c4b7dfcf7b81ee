"""How functions become methods and properties of Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from jtorch._core.storage.bare_tensor import Tensor

__all__ = ["method", "prop"]

_Fn = TypeVar("_Fn", bound=Callable[..., Any])


def method(fn: _Fn) -> _Fn:
    """Make ``fn`` a method under its own name."""
    setattr(Tensor, fn.__name__, fn)
    return fn


def prop(fn: Any) -> Any:
    """Make ``fn`` a property under its own name, which can be neither set nor deleted."""
    name = fn.__name__.removesuffix("_")

    def refuse(self: Tensor, value: Any = None) -> None:
        raise AttributeError(f"attribute '{name}' of 'torch._C.TensorBase' objects is not writable")

    setattr(Tensor, fn.__name__, property(fn, refuse, refuse))
    return fn
