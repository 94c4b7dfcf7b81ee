"""Whole parameters that do not wait for backward: the graph forgets them after the forward, and they are gathered again when backward comes to the first operator that reads one
(all that are read of the module, as in torch: each time more would begin one more program).

It is rematerialisation (``torch.utils.checkpoint``) of the gathering alone: nothing that the module computes runs twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtorch._core.backward.recompute import LEAVES, after_barrier, tensors_of
from jtorch._core.graph.node import OpNode
from jtorch._engine.values.lanes import bare
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.values import Value

__all__ = ["forget_wholes"]


class _Gathering:
    """``again(numbers, barrier)`` gathers the parameters with these numbers once more, from their parts behind the barrier. In one pass each of those that are ``read`` is gathered once."""

    def __init__(self, again: Callable[[list[int], Any], list[Value]]) -> None:
        self.again = again
        self.read: set[int] = set()
        self.run: Any = None
        self.found: dict[int, Value] = {}

    def whole(self, k: int, cts: Any) -> Value:
        """The whole parameter, in the pass that is under way."""
        if self.run is not state.backward:
            after = [bare(c) for c in cts if isinstance(c, Value)]  # the barrier is between arrays: how they lie is nothing to it
            every = sorted(self.read)
            self.found = dict(zip(every, self.again(every, lambda parts: after_barrier(parts, after, "barrier_of_parts")), strict=True))
            self.run = state.backward
        return self.found[k]


class _Forgotten:
    """Stands in a node for what it saved: values, and numbers of parameters where they were wholes."""

    __slots__ = ("gathering", "saved", "at")

    def __init__(self, gathering: _Gathering, saved: list[Any], at: dict[int, int]) -> None:
        self.gathering, self.saved, self.at = gathering, saved, at

    def fill(self, node: OpNode, cts: Any) -> tuple[Any, ...]:
        """The values again. (A node that keeps its graph forgets them after the pass, as it does what hooks unpacked.)"""
        if node.extra is None:
            node.extra = {}
        node.extra["packed"] = self
        return tuple([self.gathering.whole(self.at[i], cts) if i in self.at else v for i, v in enumerate(self.saved)])


def forget_wholes(result: Any, since: int, wholes: Sequence[Value], again: Callable[[list[int], Any], list[Value]]) -> None:
    """Of the nodes that ``result`` hangs on and that were made since, those that saved some of the ``wholes`` forget them."""
    number = {id(v): k for k, v in enumerate(wholes)}
    strangers = number.keys().isdisjoint
    gathering = _Gathering(again)
    stack = [t._edge for t in tensors_of(result) if t._edge is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if not since <= node.seq < LEAVES:
            continue
        if isinstance(node, OpNode):
            saved = node.saved
            if saved.__class__ is tuple and not strangers(map(id, saved)):
                at = {i: number[id(v)] for i, v in enumerate(saved) if id(v) in number}
                gathering.read.update(at.values())
                node.saved = _Forgotten(gathering, [None if i in at else v for i, v in enumerate(saved)], at)
        for other in node.edges[::2]:
            if other not in seen:
                seen.add(other)
                stack.append(other)
