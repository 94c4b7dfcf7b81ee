"""When a trace is run though nobody asked: at places that recur, once enough is pending.

A cut at a fixed count of nodes would drift against the loop's period, and no two traces would be alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jtorch._engine.planning import ahead
from jtorch._engine.recording.entry import Entry
from jtorch._engine.recording import trace as _trace
from jtorch._engine.planning.segments import repetition
from jtorch._engine.values import shards
from jtorch._engine.values.thread_state import state

from jtorch._core.storage.bare_tensor import PLAIN, Storage

__all__ = ["LIMIT", "parameters_are_there", "step_done", "keep_for_now", "backward_started", "backward_done", "module_called", "at_limit"]

LIMIT = 8000  # outputs; no trace grows beyond
ENOUGH = 400  # nodes that are worth running when the outermost module is called again
SENT = 16  # nodes that are worth sending off before the update
TOGETHER = 240  # nodes over several devices that are not: one program with the update, where each array that a program gives or takes costs Python's thread as much as recording three nodes
BYTES = 1 << 30  # pending inputs that are
SMALL = 1 << 16  # bytes of a gradient that may be freed later


def parameters_are_there(params: Iterable[Any]) -> None:
    """An optimizer is made. What its parameters begin with is computed by itself, and backward is sent off from the first step on: that step is then made of the programs that the others are made of."""
    state.steps = True
    if state.observed is None and state.trace.nodes and any([p._s.__class__ is Storage and p._s.value.array is None for p in params]):
        _trace.flush("begin")


def step_done() -> None:
    """The end of ``optimizer.step()``: what is still pending runs."""
    if state.observed is not None:
        return
    if state.trace.backwards:
        state.steps = True
    _trace.flush("step")
    state.dropped = None


def keep_for_now(tensors: list[Any]) -> None:
    """Gradients that were dropped before the next forward. Freeing many small arrays takes a while: it can be done while a program runs."""
    state.dropped = [t for t in tensors if t is not None and t._s.__class__ is Storage and t._s.value.aval.nbytes <= SMALL] if state.steps else None


def backward_done() -> None:
    """The end of ``backward()``. In a loop that has an optimizer, forward and backward are sent off now: they run while the update is recorded,
    which would be programs of its own in any case. (Not before its first step: a backward that is looked at once is not worth a program.)"""
    tr = state.trace
    if state.steps and len(tr.nodes) > SENT and state.observed is None and not (shards.in_use and len(tr.nodes) <= TOGETHER and tr.input_bytes <= shards.FEW_BYTES and shards.any_wide(tr.inputs)):
        _trace.flush("backward")
        state.dropped = None


def backward_started() -> None:
    """``backward()`` was called. If the trace holds another backward already, this loop has no optimizer (or accumulates): run what is there."""
    tr = state.trace
    if state.observed is not None:
        tr.backwards += 1
        return
    if tr.backwards:
        _trace.flush("backward")
        tr = state.trace
    tr.backwards += 1
    if state.steps and len(tr.nodes) > SENT:
        ahead.begin(tr)


_SAID = frozenset((bool, int, float, str, type(None)))  # classes of arguments that are what they are


def module_called(module: Any, args: tuple[Any, ...]) -> None:
    """A module is called outside of any graph (evaluation, generation). The module that began the trace marks the loop's period."""
    tr = state.trace
    if state.observed is not None:
        return
    if tr.root == 0:
        if tr.nodes and all([node[0].__class__ is Entry and node[0].fills() for node in tr.nodes]):  # what a new model begins with: the first call is then as the others
            _trace.flush("begin")
            tr = state.trace
        tr.root = id(module)
        if not tr.input_count and not tr.count and not state.lanes and not state.derivative:
            _call_begins(tr, module, args)
    elif tr.root == id(module) and (len(tr.nodes) > ENOUGH or tr.input_bytes > BYTES):
        _trace.flush("module")
        state.trace.root = id(module)


def _call_begins(tr: Any, module: Any, args: tuple[Any, ...]) -> None:
    key: list[Any] = [tr.root]
    given = []
    for a in args:
        if a.__class__ in PLAIN:
            t: Any = a
            if t._view is not None or t._s.__class__ is not Storage or t._s.value.trace is not None:
                return
            v = t._s.value
            given.append(v)
            key.append(v.aval)
        elif a.__class__ in _SAID:
            key.append((a.__class__, a))
        else:
            return
    ahead.begin_call(tr, module, tuple(key), given)


def at_limit() -> None:
    """The trace is as long as it may be: run whole periods of what repeats in it, so that the next trace begins where this one did."""
    tr = state.trace
    if tr.symbolic:
        _trace.grow(tr)
        return
    found = repetition([id(node[0]) for node in tr.nodes])
    if found is None:
        _trace.flush("limit")
        return
    first, period, times = found
    _trace.run_prefix(first + period * times, "limit")
