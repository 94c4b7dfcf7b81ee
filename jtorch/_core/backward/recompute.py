"""Regions of the graph that forget what they saved and compute it again when backward asks (``torch.utils.checkpoint``).

A :class:`Region` remembers which nodes a function made. Their saved values are replaced by a note; the first node that backward comes to
runs the function again, on the inputs behind a barrier (or XLA would merge the second run with the first, and nothing would be saved),
and every node takes over the values of its twin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._engine.recording.call import call_of, tensor_list
from jtorch._engine.recording.trace import record_multi
from jtorch._engine.values.values import Value
from jtorch._registry import lookup

from jtorch._core.graph.node import OpNode, next_seq
from jtorch._core.storage.bare_tensor import Tensor

__all__ = ["Region", "after_barrier"]


def after_barrier(values: list[Value], and_these: list[Value]) -> list[Value]:
    """The values behind a wall; they are not there before ``and_these`` are."""
    every = [*values, *and_these]
    if not every:
        return []
    call = call_of(lookup("internal.barrier"), (tensor_list((True,) * len(every)),))
    return record_multi(call, every)[: len(values)]


class _Forgotten:
    """Stands in a node for what it saved."""

    __slots__ = ("region",)

    def __init__(self, region: Region) -> None:
        self.region = region

    def fill(self, node: OpNode, cts: Any) -> Any:
        """What ``node`` saved, or another note."""
        self.region.fill([c for c in cts if isinstance(c, Value)])
        return node.saved


class _Twins:
    """Stands in a node whose twin lies in a checkpoint within this one and has forgotten its values in turn."""

    __slots__ = ("twin",)

    def __init__(self, twin: OpNode) -> None:
        self.twin = twin

    def fill(self, node: OpNode, cts: Any) -> Any:
        """What the twin saved, once that is known."""
        self.twin.check(cts)
        return self.twin.saved


class Region:
    """``again(cts)`` runs the function a second time, with gradients on, and returns its result; ``describe`` says of a value what must be
    equal in both runs; ``fail`` raises where that is not so."""

    def __init__(self, again: Callable[[list[Value]], Any], describe: Callable[[Any], Any], fail: Callable[..., None]) -> None:
        self.again, self.describe, self.fail = again, describe, fail
        self.first = next_seq()
        self.nodes: list[OpNode] = []
        self.seen: list[list[Any]] = []

    def close(self, result: Any) -> None:
        """The function returned ``result``: forget what its nodes saved."""
        self.nodes = _nodes_of(result, self.first)
        note: Any = _Forgotten(self)
        for node in self.nodes:
            self.seen.append([self.describe(v) for v in _values(node)])
            node.saved, node.versions = note, ()

    def fill(self, cts: list[Value]) -> None:
        """Run again and give every node its values back."""
        start = next_seq()
        twins = _nodes_of(self.again(cts), start)
        found = [[self.describe(v) for v in _values(node)] for node in twins]
        self.fail([x for saved in self.seen for x in saved], [x for saved in found for x in saved])
        for node, twin in zip(self.nodes, twins, strict=True):
            if node.saved is not None:
                node.saved = twin.saved if twin.saved.__class__ is tuple else _Twins(twin)
        self.nodes, self.seen = [], []


def _values(node: OpNode) -> list[Value]:
    return [v for v in node.saved if isinstance(v, Value)] if node.saved.__class__ is tuple else []


def _tensors(x: Any) -> list[Tensor]:
    if isinstance(x, Tensor):
        return [x]
    if isinstance(x, dict):
        return [t for v in x.values() for t in _tensors(v)]
    if isinstance(x, (list, tuple)):
        return [t for v in x for t in _tensors(v)]
    if hasattr(x, "__dataclass_fields__"):
        return [t for name in x.__dataclass_fields__ for t in _tensors(getattr(x, name))]
    return []


def _nodes_of(result: Any, since: int) -> list[OpNode]:
    """The operators' nodes that a result hangs on and that were made since, in the order of making."""
    stack = [t._edge for t in _tensors(result) if t._edge is not None]
    seen = set(map(id, stack))
    nodes = []
    while stack:
        node = stack.pop()
        if isinstance(node, OpNode) and node.seq >= since and hasattr(node, "saved"):
            nodes.append(node)
        elif not since <= node.seq < 1 << 62:
            continue
        for other in node.edges[::2]:
            if id(other) not in seen:
                seen.add(id(other))
                stack.append(other)
    return sorted(nodes, key=lambda n: n.seq)
