"""Grad mode, inference mode, autocast and anomaly detection: what an operator does besides its own work while one of them is on."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from operator import and_, or_
from typing import Any

from jtorch._engine.values.callers import lines, shown
from jtorch._engine.values.lanes import Lanes, lanes_of
from jtorch._engine.recording.trace import flush
from jtorch._engine.values.thread_state import ANOMALY, AUTOCAST, GRAD, INFERENCE, state
from jtorch._engine.values.unbroken import ending

from jtorch._core.storage.bare_tensor import Tensor, meta_of, new_tensor

__all__ = ["no_grad", "enable_grad", "set_grad_enabled", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled"]

autocast_hook: Callable[[Any, Any], Any] | None = None  # set by jtorch.amp


COUNTED = 256  # a bit of state.mode beside those in jtorch/_engine/values/thread_state.py
computed_again = [False]  # whether an operator is computed only for the sake of its derivative


class _Told(threading.local):
    """Who is told of each of the thread's operators while that bit is set: before it, and with its results."""

    def __init__(self) -> None:
        self.before: list[Callable[[Any, Any], None]] = []
        self.after: list[Callable[[Any, Any, list[Tensor]], None]] = []


told = _Told()


def before(call: Any, args: Any, mode: int) -> Any:
    """Called for each operator while a mode other than grad is on."""
    if mode & COUNTED:
        for hook in told.before:
            hook(call, args)
    if mode & AUTOCAST and autocast_hook is not None:
        args = autocast_hook(call, args)
    return args


_FRAMES = 50  # of the traceback of a forward line


def after(call: Any, args: Any, tensors: list[Tensor], mode: int) -> None:
    if mode & COUNTED:
        for hook in told.after:
            hook(call, args, tensors)
    if mode & INFERENCE:
        for t in tensors:
            meta_of(t).inference = True
    if mode & ANOMALY:
        for t in tensors:
            if t._edge is not None:
                if t._edge.extra is None:
                    t._edge.extra = {}
                t._edge.extra["traceback"] = shown(lines(_FRAMES))
    if mode & 64:
        flush("eager")


def check_anomaly(node: Any, grads: list[Tensor | None]) -> None:
    """RuntimeError naming the node if a gradient has a NaN."""
    if not anomaly_check_nan[0]:
        return
    from jtorch._namespace import torch

    places = [i for i, m in enumerate(node._mask()) if m]
    for i, g in zip(places, grads, strict=False):
        if g is not None and g.dtype.category >= 2 and bool(torch.isnan(_of_all_lanes(g)).any()):
            import warnings

            if node.extra and "traceback" in node.extra:
                warnings.warn(
                    f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{node.extra['traceback']}", stacklevel=2
                )
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


def _of_all_lanes(t: Tensor) -> Tensor:
    """The elements of all lanes of ``vmap``, where a tensor has those of one."""
    from jtorch._core.storage.view_steps import read

    v: Any = read(t)
    while v.trace is None and v.array.__class__ is Lanes:
        v = lanes_of(v, v.array.level)
    return new_tensor(v)


anomaly_check_nan = [True]


class _Context:
    """A context manager that is also a decorator; generators run inside it step by step."""

    def __call__(self, fn: Any) -> Any:
        if inspect.isclass(fn):
            fn.__init__ = self(fn.__init__)  # type: ignore[method-assign]
            return fn
        if inspect.isgeneratorfunction(fn):

            @functools.wraps(fn)
            def generator(*args: Any, **kwargs: Any) -> Any:
                with self.clone():
                    g = fn(*args, **kwargs)
                    try:
                        item = next(g)
                    except StopIteration as stop:
                        return stop.value
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        with self.clone():
                            g.close()
                        raise
                    except BaseException as error:
                        with self.clone():
                            try:
                                item = g.throw(error)
                            except StopIteration as stop:
                                return stop.value
                    else:
                        with self.clone():
                            try:
                                item = g.send(sent)
                            except StopIteration as stop:
                                return stop.value

            return generator

        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return fn(*args, **kwargs)

        return run

    def clone(self) -> Any:
        return self.__class__()

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        raise NotImplementedError


def _grad_as_before(context: Any) -> Any:
    return map(or_, map(and_, map(getattr, _STATE, _MODE), _OTHERS), map(getattr, (context,), _BEFORE))


def _mode_as_before(context: Any) -> Any:
    return map(getattr, (context,), _BEFORE)


_STATE, _MODE, _BEFORE, _OTHERS = (state,), ("mode",), ("prev",), (~GRAD,)


class _Exit:
    """An ``__exit__`` that nothing comes before (see the engine's ``unbroken``): whoever is interrupted at the end of a block does not stay in its mode.
    ``mode``: what gives that of outside when it is gone through."""

    def __init__(self, mode: Callable[[Any], Any]) -> None:
        self.mode = mode

    def __get__(self, context: Any, cls: Any) -> Callable[..., Any]:
        return self if context is None else ending(setattr, _STATE, _MODE, self.mode(context))

    def __call__(self, context: Any, *_: object) -> None:
        ending(setattr, _STATE, _MODE, self.mode(context))()


class no_grad(_Context):
    """Operators inside are not recorded for backward. Context manager and decorator."""

    def __new__(cls, orig_func: Any = None) -> Any:
        if orig_func is None:
            return super().__new__(cls)
        return cls()(orig_func)

    def __enter__(self) -> None:
        mode = state.mode
        self.prev = bool(mode & GRAD)
        state.mode = mode & ~GRAD

    __exit__ = _Exit(_grad_as_before)


class enable_grad(_Context):
    """Operators inside are recorded for backward, also within ``no_grad``."""

    def __new__(cls, orig_func: Any = None) -> Any:
        if orig_func is None:
            return super().__new__(cls)
        return cls()(orig_func)

    def __enter__(self) -> None:
        mode = state.mode
        self.prev = bool(mode & GRAD)
        state.mode = mode | GRAD

    __exit__ = _Exit(_grad_as_before)


class set_grad_enabled(_Context):
    """Switch gradients on or off: at once when called, until the end of the block as a context manager."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}")
        self.prev = bool(state.mode & GRAD)
        self.mode = mode
        state.mode = state.mode | GRAD if mode else state.mode & ~GRAD

    def __call__(self, fn: Any) -> Any:
        state.mode = state.mode | GRAD if self.prev else state.mode & ~GRAD
        return super().__call__(fn)

    def __enter__(self) -> None:
        state.mode = state.mode | GRAD if self.mode else state.mode & ~GRAD

    __exit__ = _Exit(_grad_as_before)

    def clone(self) -> Any:
        return self.__class__(self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}(mode={self.mode})"


class inference_mode(_Context):
    """As ``no_grad``; tensors made inside can never be part of a graph."""

    def __new__(cls, mode: Any = True) -> Any:
        if isinstance(mode, bool):
            return super().__new__(cls)
        return cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        self.prev = state.mode
        if self.mode:
            state.mode = (state.mode & ~GRAD) | INFERENCE
        else:
            state.mode = (state.mode & ~INFERENCE) | GRAD

    __exit__ = _Exit(_mode_as_before)

    def clone(self) -> Any:
        return self.__class__(self.mode)


def is_grad_enabled() -> bool:
    """Whether operators are recorded in the graph now."""
    return bool(state.mode & GRAD)


def is_inference_mode_enabled() -> bool:
    """Whether this is inside ``torch.inference_mode()``."""
    return bool(state.mode & INFERENCE)


for _mode in (no_grad, enable_grad, set_grad_enabled, inference_mode):
    _mode.__module__ = "jtorch.autograd.grad_mode"  # as torch shows them
