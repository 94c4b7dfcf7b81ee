"""What each thread has of its own: its pending trace and its modes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

# Bits of ``state.mode``. Dispatch takes its short way for 0 and GRAD alone.
GRAD, INFERENCE, AUTOCAST, FUNCTION_MODE, ANOMALY, SAVED_HOOKS = 1, 2, 4, 8, 16, 32
SELECTIVE = 128  # a selective checkpoint wants to know of each operator


_living = [0]  # threads that have computed something


class State(threading.local):
    """One instance, a copy of its attributes in each thread."""

    host = False  # whether traces begun now are run by numpy (host.py)
    steps = False  # whether this thread has seen an optimizer's step end a trace with a backward in it
    keys: Any = None  # where random numbers come from inside JAX's transformations (generator.py)
    lanes: tuple[Any, ...] = ()  # the levels of torch.vmap that are under way, the innermost last
    derivative: int = 0  # the number (lanes.newest) of the torch.func.grad, vjp or jvp that is under way and was entered last
    derivatives: tuple[tuple[int, int], ...] = ()  # all of them that are under way: (that number, the number of the first node inside)
    changeable: tuple[tuple[int, Any], ...] = ()  # the same: (what the storages made inside have as ``born``, the storages from outside that may be written there)
    pushing = False  # whether tangents will be pushed through what is recorded (torch.func.jvp): torch does so past arguments that are differentiable nowhere
    stops: int = False  # whether JAX differentiates, and what is computed without gradients is to have none there (2: until a function ends that is JAX's as a whole)
    host_only = False  # in a forked child: XLA must not be touched at all (fork.py)
    observed: Any = None  # who watches a call in order to replay it (torch.compile): what is recorded stays one trace until it returns
    before_run: Any = None  # who is told of a trace that is about to run, and so forgets what it was (make_fx)
    several = False  # whether there is more than one thread that has computed anything
    updating: Any = threading.RLock()  # held while tensors are updated without a trace, which no other thread may read meanwhile

    def __init__(self) -> None:
        self.trace: Any = None  # set by trace.py, which knows how to make one
        self.mode: int = GRAD
        self.ran: Any = None  # the recipe of the last backward that ran as programs
        self.dropped: Any = None  # gradients that are freed while the next program runs
        self.selective: Any = None  # the run of a selective checkpoint
        self.backward: Any = None  # the backward pass that is running
        self.traces: dict[Any, Any] = {}  # pending traces of other devices
        self.step: Any = None  # the optimizer's step whose updates are being gathered
        self.undo: list[Any] = []  # marks: see undo.py
        self.runs: list[Any] = []
        self.here = _Here()


class _Here:
    """A thread that has computed something, as long as it lives."""

    __slots__ = ()

    def __init__(self) -> None:
        _living[0] += 1
        if _living[0] > 1:
            State.several = True
            with State.updating:  # whoever updates does not know yet
                pass

    def __del__(self) -> None:
        _living[0] -= 1
        State.several = _living[0] > 1


state = State()


def with_gradients(on: bool, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``fn(*args, **kwargs)`` with gradients on or off. As a context manager would, but that nothing can come before what it restores."""
    before = state.mode & GRAD
    try:
        state.mode = state.mode | GRAD if on else state.mode & ~GRAD
        out = fn(*args, **kwargs)
    finally:
        state.mode = state.mode & ~GRAD | before
    return out
