"""One operator of torch's library, offered to the modes and to the classes of its arguments that have a ``__torch_dispatch__``; and tensors without elements of their own,
for classes that wrap others. Which operators a call comes to is ``dispatching.py``'s business.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from jtorch._core.dispatch import torch_function as functions
from jtorch._core.dispatch.torch_function import Unwatched, WithoutDispatch, dispatching_classes
from jtorch._core.graph.grad_modes import COUNTED, no_grad
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.shells import is_shell
from jtorch._core.storage.view_steps import aval_of
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._namespace import torch

from .operators import frames, tensors_in

__all__ = ["ATTACH", "MODE_STACK", "call_overload", "enter", "exit_", "off", "run_plain"]

_NO_HISTORY = frozenset((
    "detach", "eq", "ne", "lt", "le", "gt", "ge", "argmax", "argmin", "isnan", "isinf", "isfinite", "zeros_like", "ones_like", "empty_like", "rand_like", "randn_like", "full_like",
    "new_zeros", "new_ones", "new_empty", "new_full", "_local_scalar_dense", "equal", "allclose", "nonzero", "bernoulli", "multinomial", "logical_not", "logical_and", "logical_or",
    "all", "any", "floor_divide", "count_nonzero", "sign_", "new_empty_strided", "is_same_size",
))  # fmt: skip
ATTACH: list[Any] = [None]
"""Gives results their history (derivatives.py): (func, args, kwargs, what the handler returned, the operator's own results) -> results."""
MODE_STACK: list[Any] = []  # the modes of operators, the innermost last


def enter(mode: Any) -> None:
    """``mode`` is the innermost."""
    if not MODE_STACK:
        functions.enter_below()
    MODE_STACK.append(mode)


def exit_() -> Any:
    """The innermost mode, off now."""
    mode = MODE_STACK.pop()
    if not MODE_STACK:
        functions.exit_below()
    return mode


class off:  # noqa: N801 - a context
    """Inside, neither modes nor classes hear of operators."""

    def __enter__(self) -> None:
        self.parts = (Unwatched(), WithoutDispatch())
        for part in self.parts:
            part.__enter__()

    def __exit__(self, *error: object) -> None:
        for part in reversed(self.parts):
            part.__exit__(*error)


class _Popped:
    """Inside, the innermost mode is off: it is being asked."""

    def __enter__(self) -> Any:
        mode = self.mode = MODE_STACK.pop()
        self.unwatched = None if MODE_STACK else Unwatched()
        if self.unwatched is not None:
            self.unwatched.__enter__()
        return mode

    def __exit__(self, *error: object) -> None:
        if self.unwatched is not None:
            self.unwatched.__exit__(*error)
        MODE_STACK.append(self.mode)


# --- tensors without elements -----------------------------------------------------------------------------------------


def _of_shape(t: Tensor) -> Tensor:
    """A tensor on the device meta, in the place of a wrapper in the graph."""
    a = aval_of(t)
    with off():
        made = new_tensor(torch.empty(a.shape, dtype=a.dtype, device="meta")._s.value, t._s.strides)
    made._edge, made._nr = t._edge, t._nr
    return made


# --- a call of an operator --------------------------------------------------------------------------------------------------


def call_overload(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operator, offered to the modes and classes."""
    given = tensors_in(args, kwargs) if state.mode & GRAD else []
    if not any([t._edge is not None for t in given]):
        return _offered(func, args, kwargs)
    if getattr(func, "_opname", "") in _NO_HISTORY:
        return _offered(func, args, kwargs)
    shells = any(is_shell(t) for t in given)
    frames.append(None if shells else func)
    try:
        with no_grad():
            out = _offered(func, args, kwargs)
    finally:
        frames.pop()
    if shells or not _recorded(out):
        swap = (lambda t: _of_shape(t)) if shells else (lambda t: t)
        with off(), _uncounted():
            like = run_plain(func, _swapped(args, swap), {k: _swapped(v, swap) for k, v in kwargs.items()})
    else:
        like = out
    return ATTACH[0](func, args, kwargs, out, like)


@contextlib.contextmanager
def _uncounted() -> Iterator[None]:
    """Inside, who counts operators (``FlopCounterMode``) is not told of them: they were counted when they were offered."""
    before = state.mode
    state.mode &= ~COUNTED
    try:
        yield
    finally:
        state.mode = before


def _recorded(out: Any) -> bool:
    return any(t._edge is not None for t in tensors_in((out,), {}))


def _swapped(x: Any, swap: Callable[[Tensor], Any]) -> Any:
    if isinstance(x, Tensor):
        return swap(x)
    return type(x)(_swapped(y, swap) for y in x) if x.__class__ in (tuple, list) else x


def run_plain(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operator, whoever might be asked."""
    with off(), functions.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


def _rule_for(func: Any, cls: type) -> Any:
    """What was registered for an operator and a class or mode (``torch.library.register_torch_dispatch``)."""
    rules = func._op.dispatch_rules
    return rules.get(cls) if rules else None


def _offered(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    classes = dispatching_classes(args, kwargs)
    types = tuple(classes)
    asked = []
    if MODE_STACK:
        with _Popped() as mode:
            rule = _rule_for(func, type(mode))
            result = mode.__torch_dispatch__(func, types, args, kwargs) if rule is None else rule(mode, func, types, args, kwargs)
            if result is NotImplemented:
                asked.append(f"mode object {mode}")
                if MODE_STACK or not classes:
                    result = _offered(func, args, kwargs) if MODE_STACK else result
        if result is not NotImplemented:
            return result
    for cls in classes:
        rule = _rule_for(func, cls)
        result = cls.__torch_dispatch__(func, types, args, kwargs) if rule is None else rule(func, types, args, kwargs)  # type: ignore[attr-defined]
        if result is not NotImplemented:
            return result
        asked.append(f"tensor subclass {cls}")
    if asked:
        raise TypeError(
            f"Multiple dispatch failed for 'torch._ops.{func}'; all __torch_dispatch__ handlers returned NotImplemented:\n\n"
            + "".join(f"  - {who}\n" for who in asked) + "\nFor more information, try re-running with TORCH_LOGS=not_implemented"
        )  # fmt: skip
    return run_plain(func, args, kwargs)
