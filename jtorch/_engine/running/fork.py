"""What happens to the engine when the process forks: the child computes on the host (see ``host_executor.py``) and never touches XLA again."""

from __future__ import annotations

import contextlib
import os
import warnings
from threading import RLock

import jax

from jtorch._engine.recording import trace
from jtorch._engine.running.executor import running
from jtorch._engine.values import values
from jtorch._engine.values.thread_state import State, state

__all__ = ["in_child", "start_afresh"]

_child = False
_fresh = False
_held: list[bool] = []  # whether the forking thread has the lock of updates
_PATIENCE = 10.0  # seconds for another thread's program


def in_child() -> bool:
    """Whether this process was forked from one that had jtorch loaded."""
    return _child


def start_afresh() -> None:
    """In a child of a process in which jtorch had run nothing and no backend of XLA was started: use XLA, as after a spawn. RuntimeError in any other process."""
    global _child
    if not _child or not _fresh:
        raise RuntimeError("XLA can be used after a fork only if the process that forked had run nothing yet")
    _child = False
    State.host = State.host_only = False
    state.host = state.host_only = False
    for pending in (state.trace, *state.traces.values()):
        pending.host = False


def _before() -> None:
    """Finish what is under way: a child would wait for ever for a result that only the parent's threads can bring."""
    global _fresh
    _fresh = not _child and not values._jax_device
    if _child or not values._jax_device:
        return  # nothing has run on a device yet
    with contextlib.suppress(Exception):
        trace.flush("fork")
    for array in jax.live_arrays():
        with contextlib.suppress(Exception):
            array.block_until_ready()
    for tr in list(running):  # of other threads, which the child does not have; what is half done there would stay so
        if tr.lock.acquire(timeout=_PATIENCE):
            tr.lock.release()
    _held.append(State.updating.acquire(timeout=_PATIENCE))


def _in_parent() -> None:
    if _held and _held.pop():
        State.updating.release()


def _in_child() -> None:
    global _child
    _child = True
    State.host = State.host_only = True
    state.host = state.host_only = True  # an attribute of this thread would hide the class's
    for pending in (state.trace, *state.traces.values()):
        pending.host = True
    _held.clear()
    State.updating = RLock()
    for tr in running:
        tr.lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
    # JAX warns that a forked child is likely to hang. Ours does not touch what would hang it.
    warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called\. os\.fork\(\) is incompatible with multithreaded code, and JAX", category=RuntimeWarning)
