"""The tape inside ``torch.func``: where a transformation's inputs enter the graph, and what leaves it.

``grad``, ``vjp`` and ``jvp`` are passes over the tape, from the outputs to an :class:`Input` for each of the inputs. Under ``vmap`` the same operators are recorded for all
lanes (``_engine/recording/trace.py``); what leaves it is on the tape outside by one node (:class:`Lanewise`), whose backward is the pass inside, for all lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._core.backward.backward_pass import run_backward, watch_nodes
from jtorch._core.graph.node import AccumulateGrad, Node, forward_mode, next_seq, node_repr
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor, alias_of, new_tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._engine.values.lanes import Level, lanes_of, within
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._namespace import torch

__all__ = ["End", "Input", "boundary", "enter", "enter_lanes", "forward_mode", "gradients", "leave_lanes", "reaches_out", "transposed"]


def transposed(roots: list[Tensor], cotangents: list[Tensor], inputs: list[Input]) -> list[Tensor | None]:
    """As :func:`gradients` with a graph, for the sake of that graph: it is linear in the cotangents, and the pass back through it gives tangents."""
    was, forward_mode.on = forward_mode.on, True
    watched = watch_nodes(lambda node, run: [None] * (len(node.edges) // 2) if forward_mode.blocks(node) else run()) if forward_mode.off else None
    try:
        return gradients(roots, cotangents, inputs, True)
    finally:
        forward_mode.on = was
        if watched is not None:
            watched()


class Input(Node):
    """The end of the graph of a transformation at one of its inputs; ``edges`` lead on to what is outside of it."""

    __slots__ = ("aval", "required", "leaf")

    def __init__(self, t: Tensor | None) -> None:
        self.required = False  # ``requires_grad_`` was said of a dual tensor
        self.leaf = False  # whether it may not be written, as a leaf
        self.edges = () if t is None or t._edge is None else (edge_of(t), t._nr)
        self.seq, self.hooks, self.extra = next_seq(), None, None
        self.aval = None if t is None else aval_of(t)

    __repr__ = node_repr

    @property
    def outs(self) -> Any:
        return (self.aval,)

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        return [buffer[0]] if self.edges else []


class End(Input):
    """An input of ``vmap`` (or of a branch or a loop's body), or what is read from outside of it: ``target`` is where the gradient goes there, ``summed`` over the lanes if it is there once."""

    __slots__ = ("target", "summed", "level")

    def __init__(self, target: tuple[Any, int], summed: bool, level: Any, seq: int) -> None:
        super().__init__(None)
        self.seq = seq  # older than all that leads to it
        self.target, self.summed, self.level = target, summed, level


def enter(t: Tensor, shared: bool = False) -> tuple[Tensor, Input]:
    """A tensor of the same value (``shared``: in the same memory) whose gradient can be asked for, and where it arrives."""
    inside = alias_of(t._s, t._view) if shared else new_tensor(read(t))
    inside._edge = node = Input(t)
    return inside, node


def reaches_out(t: Tensor, since: int) -> bool:
    """Whether the graph of ``t`` leads to what was recorded before ``since``, or to a leaf."""
    return _reaches(t, lambda node: node.__class__ is AccumulateGrad or node.__class__ is End or node.seq < since or (node.__class__ is Input and node.required))


def reaches_inputs(t: Tensor, inputs: list[Input]) -> bool:
    """Whether the graph of ``t`` leads to one of these."""
    return _reaches(t, set(inputs).__contains__)


def _reaches(t: Tensor, wanted: Callable[[Any], bool]) -> bool:
    if t._edge is None:
        return False
    stack = [edge_of(t)]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if wanted(node):
            return True
        for target in node.edges[::2]:
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return False


def gradients(roots: list[Tensor], cotangents: list[Tensor], inputs: list[Input], create: bool) -> list[Tensor | None]:
    """What arrives at the inputs; the graph is kept. With ``create`` the result has a graph of its own."""
    pairs = [(t, g) for t, g in zip(roots, cotangents, strict=True) if t._edge is not None]
    if not pairs:
        return [None] * len(inputs)
    found = run_backward([(edge_of(t), t._nr) for t, _ in pairs], [g if create else read(g) for _, g in pairs], True, create, [(i, 0) for i in inputs], False)
    return [g if g is None or isinstance(g, Tensor) else new_tensor(g) for g in found]


# ---- vmap --------------------------------------------------------------------------------------------------------------


def enter_lanes(t: Tensor, level: Level, dim: int = 0) -> Tensor:
    """One lane of ``t``, whose first dim is the level's lanes; ``dim``: where the caller had them."""
    inside = new_tensor(within(read(t), level, dim))
    if t._edge is not None:
        inside._edge = End((edge_of(t), t._nr), False, level, next_seq())
    return inside


def leave_lanes(outs: list[Tensor], level: Level, since: int) -> list[Tensor]:
    """All lanes of these tensors, along a new first dim, on the tape outside. ``since``: the number of the first node that is inside."""
    values = [_every_lane(t, level) for t in outs]
    if not state.mode & GRAD or all(t._edge is None for t in outs):
        return values
    roots, lanes = boundary(outs, level, since, lambda leaf: lanes_of(leaf._s.value, level) is not None)
    if lanes:
        node = Lanewise(roots, [aval_of(v) for v in values], lanes, level, since)
        for k, (t, v) in enumerate(zip(outs, values, strict=True)):
            if t._edge is not None:
                v._edge, v._nr = node, k
    return values


def _every_lane(t: Tensor, level: Level) -> Tensor:
    v = read(t)
    found = lanes_of(v, level)
    if found is not None:
        return new_tensor(found)
    plain = new_tensor(v)
    return plain.unsqueeze(0).expand(level.size, *aval_of(t).shape).clone()


def boundary(outs: list[Tensor], level: Any, since: int, inside: Callable[[Tensor], bool]) -> tuple[list[Any], list[End]]:
    """Where the graph inside ends; edges to what is outside are led to an :class:`End` in its place. ``inside``: whether a leaf was made there."""
    ends: dict[Any, End] = {}
    lanes: list[End] = []
    stack: list[Any] = []
    seen: set[Any] = set()

    def place(node: Any, nr: int) -> Any:
        if node.__class__ is End and node.level is level:
            if node not in seen:
                seen.add(node)
                lanes.append(node)
            return node
        if node.__class__ is AccumulateGrad:
            leaf = node.variable
            outside = leaf is None or not inside(leaf)
        else:
            outside = node.seq < since
        if not outside:
            if node not in seen:
                seen.add(node)
                stack.append(node)
            return node
        found = ends.get((node, nr))
        if found is None:
            found = ends[node, nr] = End((node, nr), True, level, since)
            seen.add(found)
            lanes.append(found)
        return found

    roots: list[Any] = []
    for t in outs:
        edge = None if t._edge is None else edge_of(t)
        new = None if edge is None else place(edge, t._nr)
        roots.append(None if new is None else (new, t._nr if new is edge else 0))
    while stack:
        node = stack.pop()
        if node.__class__ is AccumulateGrad:
            continue
        edges: list[Any] = []
        for i in range(0, len(node.edges), 2):
            target, nr = node.edges[i], node.edges[i + 1]
            new = place(target, nr)
            edges += (new, nr if new is target else 0)
        node.edges = tuple(edges)
    return roots, lanes


class Lanewise(Node):
    """What left a ``vmap``: its backward is the pass inside, for all lanes at once."""

    __slots__ = ("roots", "lanes", "level", "since", "avals")

    def __init__(self, roots: list[Any], avals: list[Any], lanes: list[End], level: Level, since: int) -> None:
        self.roots, self.avals = roots, avals
        self.lanes, self.level, self.since = lanes, level, since
        self.edges = tuple([x for lane in lanes for x in lane.target])
        self.seq, self.hooks, self.extra = next_seq(), None, None

    __repr__ = node_repr

    @property
    def outs(self) -> Any:
        return self.avals

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        level = self.level
        level.enter()
        with level:
            return self._run(run, buffer)

    def _run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        level, roots, grads = self.level, [], []
        for k, g in buffer.items():
            root = self.roots[k]
            if root is not None:
                roots.append(root)
                grads.append(enter_lanes(g, level) if run.create else within(g, level))
        found = run_backward(roots, grads, run.retain or level.shared, run.create, [(lane, 0) for lane in self.lanes], False)
        at = [i for i, g in enumerate(found) if g is not None]
        inside = [found[i] if isinstance(found[i], Tensor) else new_tensor(found[i]) for i in at]
        out: list[Any] = [None] * len(found)
        for i, t in zip(at, leave_lanes(inside, level, self.since) if run.create else [_every_lane(t, level) for t in inside], strict=True):
            t = torch.sum(t, 0) if self.lanes[i].summed else t
            out[i] = run.unwrap(t)
        return out

