"""When a trace is run though nobody asked: at places that recur, once enough is pending."""

from __future__ import annotations

from typing import Any

from jtorch._engine import trace as _trace
from jtorch._engine.state import state

__all__ = ["LIMIT", "step_done", "backward_started", "module_done", "at_limit"]

LIMIT = 12000  # outputs; no trace grows beyond
ENOUGH = 400  # nodes that are worth running when the outermost module returns
BYTES = 1 << 30  # pending inputs that are


def step_done() -> None:
    """The end of ``optimizer.step()``: forward, backward and update become one set of programs."""
    _trace.flush("step")


def backward_started(root_trace: Any) -> None:
    """A second backward in one trace: a loop without optimizer. Run what came before its forward... as one recurring piece."""


def module_done() -> None:
    """The outermost module call returned."""
    tr = state.trace
    if len(tr.nodes) > ENOUGH or tr.input_bytes > BYTES:
        if not state.mode & 1:
            _trace.flush("module")


def at_limit() -> None:
    """The trace is as long as it may be."""
    _trace.flush("limit")
