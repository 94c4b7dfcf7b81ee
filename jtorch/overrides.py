"""``torch.overrides``: how other classes take part in torch's functions. Source: https://docs.pytorch.org/docs/stable/torch.overrides.html"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from jtorch._core import overrides as _core
from jtorch._core.tensor import Tensor
from jtorch._engine.state import FUNCTION_MODE, state

__all__ = ["has_torch_function", "handle_torch_function", "is_tensor_like", "is_tensor_method_or_property", "wrap_torch_function", "TorchFunctionMode", "resolve_name", "get_default_nowrap_functions", "BaseTorchFunctionMode"]


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether any of the arguments has a ``__torch_function__`` that must be asked."""
    return _core.has_override(tuple(relevant_args), {})


def has_torch_function_unary(x: Any) -> bool:
    return _core.has_override((x,), {})


def has_torch_function_variadic(*args: Any) -> bool:
    return _core.has_override(args, {})


def handle_torch_function(public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """Ask the arguments' ``__torch_function__``. TypeError if all answer NotImplemented."""
    asked = _core.relevant_args(tuple(relevant_args), {})
    types = tuple(type(v) for v in asked)
    for v in asked:
        result = type(v).__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    raise TypeError(f"no implementation found for '{public_api.__module__}.{public_api.__name__}' on types that implement __torch_function__: {list(types)}")


def wrap_torch_function(dispatcher: Callable[..., Any]) -> Any:
    """A decorator that lets a function's tensor-like arguments (which ``dispatcher`` returns) override it."""

    def inner(func: Any) -> Any:
        @functools.wraps(func)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)

        return wrapped

    return inner


def is_tensor_like(inp: Any) -> bool:
    """A tensor, or something with ``__torch_function__``."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func: Any) -> bool:
    name = getattr(func, "__name__", "")
    return name == "__get__" or getattr(Tensor, name, None) is func


def resolve_name(f: Any) -> str | None:
    """The public name of a torch function."""
    name = getattr(f, "__name__", None)
    return None if name is None else f"torch.Tensor.{name}" if is_tensor_method_or_property(f) else f"{f.__module__}.{name}"


def get_default_nowrap_functions() -> set[Any]:
    return set()


class TorchFunctionMode:
    """Inside, every torch function asks ``self.__torch_function__(func, types, args, kwargs)`` first."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError

    def __enter__(self) -> Any:
        _core.MODES.append(self)
        state.mode |= FUNCTION_MODE
        return self

    def __exit__(self, *_: object) -> None:
        _core.MODES.pop()
        if not _core.MODES:
            state.mode &= ~FUNCTION_MODE


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))
