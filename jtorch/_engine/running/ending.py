"""The end of the process: what XLA is still computing is waited for. Its threads would run a program's code while that is taken down, and the process would end by a
segmentation fault: a training step whose loss was read goes on with its update when the script is over."""

from __future__ import annotations

import atexit
import sys
import time

import jax

from jtorch._engine.running import fork
from jtorch._engine.values import values

__all__ = ["wait_for_results"]

_PATIENCE = 10.0  # seconds; results that never come (another process is gone) do not keep this one
_AFTER_INTERRUPT = 1.0


def wait_for_results() -> None:
    """Wait until all arrays that somebody holds have been computed, or patience ends."""
    if fork.in_child() or not values._jax_device:
        return
    interrupted = isinstance(getattr(sys, "last_value", None), KeyboardInterrupt)
    until = time.monotonic() + (_AFTER_INTERRUPT if interrupted else _PATIENCE)
    for array in jax.live_arrays():
        while not array.is_deleted() and not array.is_ready() and time.monotonic() < until:
            time.sleep(0.001)


atexit.register(wait_for_results)
