"""What each thread has of its own: its pending trace and its modes."""

from __future__ import annotations

import threading
from typing import Any

# Bits of ``state.mode``. Dispatch takes its short way for 0 and GRAD alone.
GRAD, INFERENCE, AUTOCAST, FUNCTION_MODE, ANOMALY, SAVED_HOOKS = 1, 2, 4, 8, 16, 32
SELECTIVE = 128  # a selective checkpoint wants to know of each operator


class State(threading.local):
    """One instance, a copy of its attributes in each thread."""

    host = False  # whether traces begun now are run by numpy (host.py)
    steps = False  # whether this thread has seen an optimizer's step end a trace with a backward in it
    keys: Any = None  # where random numbers come from inside JAX's transformations (generator.py)
    host_only = False  # in a forked child: XLA must not be touched at all (fork.py)

    def __init__(self) -> None:
        self.trace: Any = None  # set by trace.py, which knows how to make one
        self.mode: int = GRAD
        self.ran: Any = None  # the recipe of the last backward that ran as programs
        self.dropped: Any = None  # gradients that are freed while the next program runs
        self.selective: Any = None  # the run of a selective checkpoint
        self.backward: Any = None  # the backward pass that is running
        self.traces: dict[Any, Any] = {}  # pending traces of other devices


state = State()
