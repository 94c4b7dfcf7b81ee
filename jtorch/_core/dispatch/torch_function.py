"""``__torch_function__``: subclasses and other objects that take part in torch's functions."""

from __future__ import annotations

import warnings
from typing import Any

from jtorch import _namespace
from jtorch._engine.values.thread_state import FUNCTION_MODE, state

from jtorch._core.storage.bare_tensor import PLAIN, Tensor

__all__ = ["enter_mode", "exit_mode", "has_override", "override", "DisableTorchFunctionSubclass"]

_disabled = [0]


class DisableTorchFunctionSubclass:
    """Inside, ``__torch_function__`` of subclasses is not called."""

    def __enter__(self) -> None:
        _disabled[0] += 1

    def __exit__(self, *_: object) -> None:
        _disabled[0] -= 1


def disabled(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The ``__torch_function__`` of who takes no part: results are plain tensors."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


def _overrides(v: Any) -> bool:
    cls = v.__class__
    if cls in PLAIN or cls in _INERT:
        return False
    fn = getattr(cls, "__torch_function__", None)
    if fn is None or fn is disabled:
        return False
    return getattr(fn, "__func__", fn) is not _DEFAULT[0]


_INERT = frozenset((int, float, bool, str, complex, type(None), slice))
_DEFAULT: list[Any] = [None]  # Tensor's own __torch_function__, set by methods.py


def has_override(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether somebody else must be asked before this function runs."""
    if _passed[0]:
        _passed[0] = False
        return False
    if state.mode & FUNCTION_MODE:
        return True
    if _disabled[0]:
        return DISPATCHES[0] is not None and bool(dispatching_classes(args, kwargs))
    for v in args if not kwargs else (*args, *kwargs.values()):
        cls = v.__class__
        if cls in PLAIN or cls in _INERT:
            continue
        if _overrides(v) or _other_subclass(v):
            return True
        if cls is tuple or cls is list or isinstance(v, (tuple, list)):
            for x in v:
                if _overrides(x) or _other_subclass(x):
                    return True
    return False


# --- ``__torch_dispatch__``: the library (jtorch/library/dispatching.py) puts its part here once somebody uses it ---------------------------------

ROUTE: list[Any] = [None]  # (fn, args, kwargs) -> result: the operators of torch's library behind a call, each offered to modes and classes
DISPATCHES: list[Any] = [None]  # the same, once there is a mode or a class to offer them to
_passed = [False]
_hidden = [0]


class _Below:
    """Stands below all modes of functions while a mode of operators is on."""


BELOW = _Below()


def heard_below() -> bool:
    """Whether a mode of operators is on."""
    return bool(MODES) and MODES[0] is BELOW


def enter_below() -> None:
    """A mode of operators is on."""
    DISPATCHES[0] = ROUTE[0]
    MODES.insert(0, BELOW)
    state.mode |= FUNCTION_MODE
    _on[0] += 1
    if _on[0] == 1:
        WATCHES[0](True)


def exit_below() -> None:
    """None is any more."""
    MODES.remove(BELOW)
    if not MODES:
        state.mode &= ~FUNCTION_MODE
    _on[0] -= 1
    if _on[0] == 0:
        WATCHES[0](False)


class Unwatched:
    """Inside, no mode hears of anything."""

    def __enter__(self) -> None:
        self.modes = list(MODES)
        MODES.clear()
        state.mode &= ~FUNCTION_MODE

    def __exit__(self, *_: object) -> None:
        MODES[:] = self.modes
        if MODES:
            state.mode |= FUNCTION_MODE


def passed(fn: Any, args: Any, kwargs: dict[str, Any], asks: bool = True) -> Any:
    """Run the function itself, asking nobody; what it calls asks again. RuntimeError if it did not ask by itself, unless it is one of ours (``asks``), which ask only where somebody may be there."""
    _passed[0] = True
    try:
        result = fn(*args, **kwargs)
        if _passed[0] and not asks:
            raise RuntimeError("skip_one_hop_torch_function called on a function that doesn't use has_torch_function! ")
        return result
    finally:
        _passed[0] = False


class WithoutDispatch:
    """Inside, no ``__torch_dispatch__`` of a class is called."""

    def __enter__(self) -> None:
        _hidden[0] += 1

    def __exit__(self, *_: object) -> None:
        _hidden[0] -= 1


def disabled_dispatch(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The ``__torch_dispatch__`` of who takes no part: the operator on plain tensors."""
    with WithoutDispatch(), DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


def dispatches(cls: Any) -> bool:
    """Whether a class has a ``__torch_dispatch__`` of its own."""
    found = getattr(cls, "__torch_dispatch__", disabled_dispatch)
    return found is not disabled_dispatch


def dispatching_classes(args: Any, kwargs: dict[str, Any]) -> list[type]:
    """The classes with a ``__torch_dispatch__`` among the arguments, subclasses before their bases."""
    found: list[type] = []
    if _hidden[0]:
        return found

    def look(v: Any) -> None:
        cls = v.__class__
        if cls in PLAIN or cls in _INERT:
            return
        if cls is tuple or cls is list:
            for x in v:
                look(x)
        elif isinstance(v, Tensor) and cls not in found and dispatches(cls):
            at = next((i for i, other in enumerate(found) if issubclass(cls, other)), len(found))
            found.insert(at, cls)

    for v in args if not kwargs else (*args, *kwargs.values()):
        look(v)
    return found


def _other_subclass(v: Any) -> bool:
    """Subclasses without an override keep their class in results: the default __torch_function__ does that. Those of parameters have switched it off."""
    cls = v.__class__
    return isinstance(v, Tensor) and cls not in PLAIN and (cls.__torch_function__ is not disabled or (DISPATCHES[0] is not None and not _hidden[0] and dispatches(cls)))


def relevant_args(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """The arguments whose classes are asked, subclasses before their bases."""
    found: list[Any] = []
    types: set[type] = set()

    def look(v: Any) -> None:
        cls = v.__class__
        if cls in types or cls in _INERT or getattr(cls, "__torch_function__", disabled) is disabled:
            return
        types.add(cls)
        for i, other in enumerate(found):
            if issubclass(cls, type(other)):
                found.insert(i, v)
                return
        found.append(v)

    for v in (*args, *kwargs.values()):
        if isinstance(v, (tuple, list)) and not hasattr(v.__class__, "__torch_function__"):
            for x in v:
                look(x)
        else:
            look(v)
    return found


MODES: list[Any] = []
WATCHES: list[Any] = [None]  # makes all methods and properties of plain tensors ask, or not (_api/subclasses.py)
_on = [0]


def enter_mode(mode: Any) -> None:
    """The innermost mode is ``mode``."""
    MODES.append(mode)
    state.mode |= FUNCTION_MODE
    _on[0] += 1
    if _on[0] == 1:
        WATCHES[0](True)


def exit_mode() -> Any:
    """The innermost mode, which is off now."""
    mode = MODES.pop()
    if not MODES:
        state.mode &= ~FUNCTION_MODE
    _on[0] -= 1
    if _on[0] == 0:
        WATCHES[0](False)
    return mode


def ask_mode(fn: Any, types: tuple[type, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the innermost mode answers, which is off meanwhile; NotImplemented where there is none."""
    if not MODES or MODES[-1] is BELOW:
        return NotImplemented
    mode = MODES.pop()
    if not MODES:
        state.mode &= ~FUNCTION_MODE
    try:
        return mode.__torch_function__(fn, types, args, kwargs)
    finally:
        MODES.append(mode)
        state.mode |= FUNCTION_MODE


def ask(v: Any, fn: Any, types: tuple[type, ...], args: tuple[Any, ...], kwargs: dict[str, Any], category: type[Warning] = UserWarning) -> Any:
    """What an argument's ``__torch_function__`` answers. Where that is a plain method, torch warns."""
    method = v.__torch_function__
    if getattr(method, "__self__", None) is v:
        tick = "`" if category is UserWarning else ""  # torch's Python leaves one out
        warnings.warn(f"Defining your `__torch_function__{tick} as a plain method is deprecated and will be an error in future, please define it as a classmethod.", category, stacklevel=2)
    return method(fn, types, args, kwargs)


def override(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Ask the mode, then each class, until one does not answer NotImplemented. TypeError if all do."""
    asked = relevant_args(args, kwargs)
    types = tuple(type(v) for v in asked if type(v) is not Tensor and type(v) not in PLAIN)
    below = heard_below() and len(MODES) == 1
    result = ask_mode(fn, types, args, kwargs)
    if result is not NotImplemented:
        return result
    if DISPATCHES[0] is not None and (not types or _disabled[0]) and (below or dispatching_classes(args, kwargs)):
        return DISPATCHES[0](fn, args, kwargs)
    if not types:
        return fn(*args, **kwargs)
    for v in asked:
        if type(v) in PLAIN:
            continue
        result = ask(v, fn, types, args, kwargs)
        if result is not NotImplemented:
            return result
    name = getattr(fn, "__name__", str(fn))
    path = f"torch.{name}" if getattr(_namespace.torch, name, None) is fn or not hasattr(Tensor, name) else f"torch.Tensor.{name}"
    asked_of = "".join(f"\n  - tensor subclass {t}" for t in types)
    raise TypeError(
        f"Multiple dispatch failed for '{path}'; all __torch_function__ handlers returned NotImplemented:\n{asked_of}\n\n"
        "For more information, try re-running with TORCH_LOGS=not_implemented"
    )
