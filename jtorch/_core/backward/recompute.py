"""Regions of the graph that forget what they saved and compute it again when backward asks (``torch.utils.checkpoint``).

A :class:`Region` remembers which nodes a function made. Their saved values are replaced by a note; the first node that backward comes to
runs the function again, on the inputs behind a barrier (or XLA would merge the second run with the first, and nothing would be saved),
and every node takes over the values of its twin.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from jtorch._engine.recording.call import call_of, tensor_list
from jtorch._engine.recording.trace import record_multi
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.values import Value
from jtorch._registry import lookup

from jtorch._core.graph.grad_modes import COUNTED, told
from jtorch._core.graph.node import OpNode, next_seq
from jtorch._core.storage.bare_tensor import Tensor

__all__ = ["LEAVES", "Region", "after_barrier", "nodes_of", "tensors_of"]


def after_barrier(values: list[Value], and_these: list[Value], name: str = "barrier") -> list[Value]:
    """The values behind a wall; they are not there before ``and_these`` are. ``name``: which of the internal operators it is."""
    every = [*values, *and_these]
    if not every:
        return []
    call = call_of(lookup("internal." + name), (tensor_list((True,) * len(every)),))
    return record_multi(call, every)[: len(values)]


class _Forgotten:
    """Stands in a node for what it saved."""

    __slots__ = ("region",)

    def __init__(self, region: Region) -> None:
        self.region = region

    def fill(self, node: OpNode, cts: Any) -> Any:
        """What ``node`` saved, or another note. Outside of a pass backward it is for this one look: all is forgotten again."""
        region = self.region
        kept = region.nodes, region.places, region.seen
        region.fill([c for c in cts if isinstance(c, Value)])
        found = node.saved
        if state.backward is None:
            region.nodes, region.places, region.seen = kept
            for other in region.nodes:
                if (alive := other()) is not None and alive.saved is not None:
                    alive.saved = self
        return found


class _Twins:
    """Stands in a node whose twin lies in a checkpoint within this one and has forgotten its values in turn."""

    __slots__ = ("twin",)

    def __init__(self, twin: OpNode) -> None:
        self.twin = twin

    def fill(self, node: OpNode, cts: Any) -> Any:
        """What the twin saved, once that is known."""
        self.twin.check(cts)
        return self.twin.saved


class _Enough(Exception):
    """The second run has made everything that backward needs."""


class Region:
    """``again(cts)`` runs the function a second time, with gradients on, and returns its result; ``describe`` says of a value what must be
    equal in both runs; ``fail`` raises where that is not so. ``early``: the second run ends with the last operator that saves something.

    The end of the second run, which is not there if it ends early, leads to the nodes that count, whatever else is recorded meanwhile. An early end is by the nodes' numbers, which are
    the process's: so it is left out beside other threads, and if what was found is not the same graph (a handler that computes came in between), the function is run to its end."""

    def __init__(self, again: Callable[[list[Value]], Any], describe: Callable[[Any], Any], fail: Callable[..., None], early: bool = False) -> None:
        self.again, self.describe, self.fail, self.early = again, describe, fail, early
        self.first = next_seq()
        self.nodes: list[weakref.ref[OpNode]] = []  # which hold the region by their notes: a graph that is dropped goes at once
        self.places: list[int] = []
        self.seen: list[Any] = []
        self.alone = not state.several

    def close(self, result: Any) -> None:
        """The function returned ``result``: forget what its nodes saved."""
        nodes = [n for n in nodes_of(result, self.first) if n.saved.__class__ is not tuple or _values(n)]
        self.nodes = [weakref.ref(n) for n in nodes]
        note: Any = _Forgotten(self)
        for node in nodes:
            self.places.append(node.seq - self.first)
            self.seen.append([self.describe(v) for v in _values(node)] if node.saved.__class__ is tuple else None)
            node.saved, node.versions = note, ()

    def fill(self, cts: list[Value]) -> None:
        """Run again and give every node its values back."""
        start = next_seq()
        twins = self._early(start, cts) if self.early and self.alone and not state.several else None
        if twins is None:
            start = next_seq()
            twins = [n for n in nodes_of(self.again(cts), start) if n.saved.__class__ is not tuple or _values(n)]
        seen = self.seen
        if len(twins) == len(self.nodes):  # what a checkpoint within has forgotten cannot be compared
            seen = [s for s, twin in zip(seen, twins, strict=True) if s is not None and twin.saved.__class__ is tuple]
            compared = [t for s, t in zip(self.seen, twins, strict=True) if s is not None and t.saved.__class__ is tuple]
        else:
            seen, compared = [s for s in seen if s is not None], twins
        self.fail([x for saved in seen for x in saved], [self.describe(v) for twin in compared for v in _values(twin)])
        for ref, twin in zip(self.nodes, twins, strict=True):
            node = ref()
            if node is not None and node.saved is not None:
                node.saved = twin.saved if twin.saved.__class__ is tuple else _Twins(twin)
        self.nodes, self.seen, self.places = [], [], []

    def _early(self, start: int, cts: list[Value]) -> list[OpNode] | None:
        """The twins of a second run that ends as early as it can; None if they are no twins."""
        made = self._until_enough(start, cts)
        if state.several or not all(place in made for place in self.places):
            return None
        twins = [made[place] for place in self.places]
        nodes = [ref() for ref in self.nodes]
        pairs = {id(node): twin for node, twin in zip(nodes, twins, strict=True) if node is not None}
        ours = set(map(id, twins))
        for node, twin in zip(nodes, twins, strict=True):
            if node is None:  # of a part of the graph that nobody holds any more
                ours.discard(id(twin))
        for node, twin in zip(nodes, twins, strict=True):
            if node is None:
                continue
            if type(node) is not type(twin) or len(node.edges) != len(twin.edges):
                return None
            for before, after in zip(node.edges[::2], twin.edges[::2], strict=True):
                if pairs.get(id(before)) is not after if id(before) in pairs else id(after) in ours:
                    return None
        return twins

    def _until_enough(self, start: int, cts: list[Value]) -> dict[int, OpNode]:
        """The nodes of the second run by how far from its begin they were made."""
        made: dict[int, OpNode] = {}
        last = max(self.places)

        def saw(call: Any, args: Any, tensors: list[Tensor]) -> None:
            for t in tensors:
                node = t._edge
                if isinstance(node, OpNode) and node.seq > start:
                    made[node.seq - start] = node
                    if node.seq - start >= last:
                        raise _Enough

        mode = state.mode
        try:
            told.after.append(saw)
            state.mode |= COUNTED
            self.again(cts)
        except _Enough:
            pass
        finally:
            state.mode = mode
            if saw in told.after:
                told.after.remove(saw)
        return made


def _values(node: OpNode) -> list[Value]:
    return [v for v in node.saved if isinstance(v, Value)] if node.saved.__class__ is tuple else []


LEAVES = 1 << 62  # the numbers of leaves, which are no operator's, begin here


def tensors_of(x: Any) -> list[Tensor]:
    """Those in what a function returned."""
    if isinstance(x, Tensor):
        return [x]
    if isinstance(x, dict):
        return [t for v in x.values() for t in tensors_of(v)]
    if isinstance(x, (list, tuple)):
        return [t for v in x for t in tensors_of(v)]
    if hasattr(x, "__dataclass_fields__"):
        return [t for name in x.__dataclass_fields__ for t in tensors_of(getattr(x, name))]
    return []


def nodes_of(result: Any, since: int) -> list[OpNode]:
    """The operators' nodes that a result hangs on and that were made since, in the order of making."""
    stack = [t._edge for t in tensors_of(result) if t._edge is not None]
    seen = set(map(id, stack))
    nodes = []
    while stack:
        node = stack.pop()
        if isinstance(node, OpNode) and node.seq >= since and hasattr(node, "saved"):
            nodes.append(node)
        elif not since <= node.seq < LEAVES:
            continue
        for other in node.edges[::2]:
            if id(other) not in seen:
                seen.add(id(other))
                stack.append(other)
    return sorted(nodes, key=lambda n: n.seq)
