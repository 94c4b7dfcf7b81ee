"""``torch.overrides``: how other classes take part in torch's functions. Source: https://docs.pytorch.org/docs/stable/torch.overrides.html"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from jtorch._api.subclasses import silent
from jtorch._core.dispatch import torch_function as _core
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch

__all__ = ["has_torch_function", "handle_torch_function", "is_tensor_like", "is_tensor_method_or_property", "wrap_torch_function", "TorchFunctionMode", "resolve_name", "get_default_nowrap_functions", "BaseTorchFunctionMode", "get_ignored_functions", "get_overridable_functions", "get_testing_overrides", "redispatch_function"]


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether any of the arguments has a ``__torch_function__`` that must be asked."""
    return _core.has_override(tuple(relevant_args), {})


def has_torch_function_unary(x: Any) -> bool:
    return _core.has_override((x,), {})


def has_torch_function_variadic(*args: Any) -> bool:
    return _core.has_override(args, {})


def handle_torch_function(public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """Ask the mode that is on, then the arguments' ``__torch_function__``. TypeError if all answer NotImplemented."""
    asked = _core.relevant_args(tuple(relevant_args), {})
    types = tuple(type(v) for v in asked)
    result = _core.ask_mode(public_api, types, args, kwargs)
    for v in asked:
        if result is not NotImplemented:
            break
        result = _core.ask(v, public_api, types, args, kwargs, DeprecationWarning)
    if result is NotImplemented:
        mode = f" nor in mode {_core.MODES[-1]}" if _core.MODES and _core.MODES[-1] is not _core.BELOW else ""
        raise TypeError(f"no implementation found for '{public_api.__module__}.{public_api.__name__}' on types that implement __torch_function__: {list(types)}{mode}")
    return result


def redispatch_function(func: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
    """``func(*args, **kwargs)``, for which nobody is asked; for what it calls they are asked again. For a ``__torch_function__`` that wants to see what a function is made of."""
    return _core.passed(func, args, kwargs or {}, _asks(func) or is_tensor_method_or_property(func) or isinstance(getattr(func, "__self__", None), property))


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
    """Whether a function is one of Tensor's, or the ``__get__`` of one of its properties."""
    return func in _methods() or getattr(func, "__name__", "") == "__get__"


@functools.cache
def _methods() -> frozenset[Any]:
    return frozenset(get_overridable_functions()[Tensor])


def _asks(fn: Any) -> bool:
    """Whether a function offers itself to its arguments' ``__torch_function__``."""
    return hasattr(fn, "jtorch_ops") or hasattr(fn, "jtorch_public") or fn in _by_subclasses()


@functools.cache
def _by_subclasses() -> frozenset[Any]:
    return frozenset(plain for plain, _ in silent().values() if not isinstance(plain, property))


_SPACES = ("", "functional", "nn.functional", "nn.init", "Tensor", "linalg", "fft", "special")


def _space(path: str) -> Any:
    if path == "Tensor":
        return Tensor
    return importlib.import_module(f"jtorch.{path}") if path else torch


def _functions() -> Iterable[tuple[str, Any, str, Any]]:
    """(path of the namespace, the namespace, name, function) of what could be overridden."""
    for path in _SPACES:
        space = _space(path)
        for name in sorted(dir(space)):
            value = inspect.getattr_static(space, name) if space is Tensor else getattr(space, name, None)  # what is listed may not be there yet
            if space is Tensor and name in silent():  # a mode may have put another in its place
                value = silent()[name][0]
            if callable(value) and not isinstance(value, type) and (not name.startswith("_") or name.startswith("__") and space is Tensor):
                yield path, space, name, value


@functools.cache
def get_overridable_functions() -> dict[Any, list[Callable[..., Any]]]:
    """What takes part in ``__torch_function__``: functions by the namespace that has them."""
    found: dict[Any, list[Callable[..., Any]]] = {}
    for _, space, _, value in _functions():
        if _asks(value):
            found.setdefault(space, []).append(value)
    found[Tensor] += [plain.__get__ for plain, _ in silent().values() if isinstance(plain, property)]
    return found


@functools.cache
def get_ignored_functions() -> set[Callable[..., Any]]:
    """The functions that take no part: they have no tensors to ask."""
    return {value for _, space, name, value in _functions() if not _asks(value) and not name.startswith("__")}


@functools.cache
def get_testing_overrides() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For each overridable function one that takes the same arguments and returns -1."""
    return {f: _stand_in(f) for functions in get_overridable_functions().values() for f in functions}


def _stand_in(fn: Callable[..., Any]) -> Callable[..., Any]:
    def stand_in(*args: Any, **kwargs: Any) -> int:
        return -1

    try:
        stand_in.__signature__ = inspect.signature(fn)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        pass
    return stand_in


@functools.cache
def _names() -> dict[Any, str]:
    found: dict[Any, str] = {}
    for path, _, name, value in _functions():
        if _asks(value):
            shared = value in found and found[value].startswith("torch.Tensor.")
            if value not in found or path == "Tensor" and not shared or name == value.__name__ != found[value].rpartition(".")[2]:  # not what is another name of it
                found[value] = ".".join(filter(None, ("torch", path, name)))
    return found


def resolve_name(f: Any) -> str | None:
    """The public name of an overridable function, None of any other."""
    owner = getattr(f, "__self__", None)
    if isinstance(owner, property) and f.__name__ != "__delete__":
        return f"torch.Tensor.{owner.__name__}.{f.__name__}"  # type: ignore[attr-defined]
    try:
        return _names().get(f)
    except TypeError:
        return None


def get_default_nowrap_functions() -> set[Any]:
    """What the default ``__torch_function__`` gives as it is: the ``__get__`` of ``_base`` and ``grad``."""
    return {Tensor._base.__get__, Tensor.grad.__get__}  # type: ignore[attr-defined]


class TorchFunctionMode:
    """Inside, every torch function asks ``self.__torch_function__(func, types, args, kwargs)`` first."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError

    def __enter__(self) -> Any:
        _core.enter_mode(self)
        return self

    def __exit__(self, *_: object) -> None:
        _core.exit_mode()


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))
