"""How functions become methods and properties of Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from jtorch._core.storage.bare_tensor import Tensor

__all__ = ["method", "prop", "read_only"]

_Fn = TypeVar("_Fn", bound=Callable[..., Any])


def method(fn: _Fn) -> _Fn:
    """Make ``fn`` a method under its own name."""
    setattr(Tensor, fn.__name__, fn)
    return fn


def prop(fn: Any) -> Any:
    """Make ``fn`` a property under its own name, which can be neither set nor deleted."""
    setattr(Tensor, fn.__name__, read_only(fn.__name__.removesuffix("_"), fn))
    return fn


def read_only(name: str, read: Any) -> Any:
    """A property that can be neither set nor deleted, in torch's words."""

    def refuse(self: Tensor, value: Any = None) -> None:
        raise AttributeError(f"attribute '{name}' of 'torch._C.TensorBase' objects is not writable")

    refuse.jtorch_read_only = True  # type: ignore[attr-defined]  # for the stubs, which show no setter then
    return property(read, refuse, refuse)
