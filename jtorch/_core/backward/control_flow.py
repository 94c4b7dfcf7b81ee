"""Branches and loops as operators, on the tape: ``torch.cond``, ``while_loop``, ``scan``, ``map`` come down to these.

A function is recorded once as a :class:`Region`: its inputs stand for any values, and its results hang on a graph inside that ends at them and at what it reads from outside. The
derivative is the pass over that graph, recorded into the same region, and is a branch or a loop again; so it can be differentiated in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jtorch._core.backward.backward_pass import run_backward
from jtorch._core.backward.levels import End, boundary
from jtorch._core.graph.node import Node, next_seq, node_repr
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._core.storage.write_counts import origin_of
from jtorch._engine.recording import bodies
from jtorch._engine.recording.bodies import Body, Part
from jtorch._engine.recording.trace import record_multi
from jtorch._engine.recording.undo import Mark, keep
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._engine.values.values import Aval
from jtorch._namespace import torch

__all__ = ["Aliased", "Region", "Written", "branched", "looped", "scanned"]


class Written(Exception):
    """An input is written in place."""


class Aliased(Exception):
    """A result shares memory with an input."""


class Region:
    """What a function does to tensors of these avals. ``leaves`` and ``spec``: what it returned, None for tensors, which are ``outs`` (at ``tensors``) with their ``values``.
    ``changed``: storages of outside that it writes (a running mean), with the value of each before and after."""

    def __init__(self, fn: Callable[..., Any], avals: Sequence[Aval], followed: Sequence[bool], flatten: Callable[[Any], tuple[list[Any], Any]]) -> None:
        self.since = next_seq()
        where = next((a.device for a in avals if a.shape), avals[0].device if avals else state.trace.device)
        self.body = Body(where)
        self.grad = bool(state.mode & GRAD)
        self.inputs = [self.input(a, f) for a, f in zip(avals, followed, strict=True)]
        mark = Mark(False)
        marks, state.undo[:] = list(state.undo), [mark]
        mark.marks = state.undo
        try:
            with self.body.recording():
                self.body.trace.marked = True
                try:
                    leaves, self.spec = flatten(fn(*self.inputs))
                    self.tensors = [i for i, t in enumerate(leaves) if isinstance(t, Tensor)]
                    self.leaves = [None if isinstance(x, Tensor) else x for x in leaves]
                    self.outs = [leaves[i] for i in self.tensors]
                    values = [read(t) for t in self.outs]
                finally:
                    state.undo[:] = marks
        finally:
            self.changed = [(s, old, s.value) for s, old in mark.old.items() if not self.body.knows(old)]
            for s, old, _ in self.changed:
                s.value = old
                s.version -= 1 if s.version else 0
        if any(t._s.version for t in self.inputs):
            raise Written
        memory = {id(origin_of(t._s)) for t in self.inputs}
        for t in self.outs:
            if id(origin_of(t._s)) in memory:
                raise Aliased
            memory.add(id(origin_of(t._s)))
        self.values = values

    def input(self, a: Aval, followed: bool, target: Any = None) -> Tensor:
        """A tensor that stands for any of its aval; ``followed``: gradients come to it."""
        t = new_tensor(self.body.add(a))
        if followed:
            t._edge = End(target, False, self, self.since)
        return t

    def ends(self, outs: Sequence[Tensor | None]) -> tuple[list[Any], list[End]]:
        """Where the graph of results begins, and its ends."""
        at = [k for k, t in enumerate(outs) if t is not None and t._edge is not None]
        if not at:
            return [None] * len(outs), []
        found, ends = boundary([outs[k] for k in at], self, self.since, lambda leaf: self.body.knows(leaf._s.value))  # type: ignore[misc]
        roots = dict(zip(at, found, strict=True))
        return [roots.get(k) for k in range(len(outs))], ends

    def pull(self, roots: Sequence[Any], cotangents: Sequence[Any], wanted: Sequence[Any], create: bool) -> list[Any]:
        """What comes to the ends from these gradients, recorded here: tensors, None where nothing does."""
        pairs = [(r, g) for r, g in zip(roots, cotangents, strict=True) if r is not None and g is not None]
        if not pairs:
            return [None] * len(wanted)
        with self.body.recording():
            found = run_backward([r for r, _ in pairs], [g if create else read(g) for _, g in pairs], True, create, [(e, 0) for e in wanted], False)
            return [g if g is None else self.settled(g) for g in found]

    def settled(self, g: Any) -> Tensor:
        """A gradient as a tensor whose value is one of the region's: not a view that would have to be read elsewhere."""
        t = _tensor(g)
        if t._view is not None:
            t = t.clone()
        return t

    def add(self, a: Any, b: Any) -> Any:
        """The sum of two tensors of the region; None is nothing."""
        if a is None or b is None:
            return b if a is None else a
        with self.body.recording():
            return torch.add(a, b)

    def stand_in(self, actual: Any, followed: bool) -> Tensor:
        """A new input for a gradient that comes from outside."""
        t = self.input(aval_of(actual), followed and actual._edge is not None, _edge(actual))
        self.body.actual[t._s.value] = read(actual)
        return t


class _Flow(Node):
    """The node of a branch or a loop: ``pull(run, buffer)`` gives the gradients for its edges."""

    __slots__ = ("pull", "avals")

    def __init__(self, pull: Any, avals: Any, targets: Sequence[Any]) -> None:
        self.pull, self.avals = pull, avals
        self.edges = tuple([x for target in targets for x in target])
        self.seq, self.hooks, self.extra = next_seq(), None, None

    __repr__ = node_repr

    @property
    def outs(self) -> Any:
        return self.avals

    @property
    def saved(self) -> Any:
        """None once the graph is freed."""
        return self.pull

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        if self.pull is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate values of the graph "
                "are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "
                "saved tensors after calling backward."
            )
        found = self.pull(run, buffer)
        if not run.retain:
            self.pull = None
        return found  # type: ignore[no-any-return]


def _on_tape(name: str, outs: list[Tensor], roots: Sequence[Any], pull: Any, targets: Sequence[Any]) -> None:
    node = _named.setdefault(name, type(name, (_Flow,), {"__slots__": (), "__module__": "torch.autograd.graph"}))(pull, [aval_of(t) for t in outs], targets)
    for k, (t, root) in enumerate(zip(outs, roots, strict=True)):
        if root is not None:
            t._edge, t._nr = node, k


_named: dict[str, Any] = {}


def _edge(t: Tensor) -> Any:
    return None if t._edge is None else (edge_of(t), t._nr)


def _tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else new_tensor(g)


def _zeros(a: Any) -> Tensor:
    return torch.zeros(a.shape, dtype=a.dtype, device=a.device)  # type: ignore[no-any-return]


# ---- cond -------------------------------------------------------------------------------------------------------------


def branched(pred: Tensor, regions: Sequence[Region], operands: Sequence[Tensor]) -> list[Tensor]:
    """The results of one of two regions over the same operands; what either writes outside is written."""
    for region in regions:
        for t, given in zip(region.inputs, operands, strict=True):
            region.body.actual[t._s.value] = read(given)
            if t._edge is not None:
                t._edge.target = _edge(given)
    changed = {id(s): (s, old) for region in regions for s, old, _ in region.changed}
    outs, values = [], []
    for region in regions:
        new = {id(s): v for s, _, v in region.changed}
        outs.append([*region.outs, *[None] * len(changed)])
        values.append([*region.values, *[new.get(k, old) for k, (_, old) in changed.items()]])
    found = _branch(read(pred), regions, outs, values, regions[0].grad)
    n = len(regions[0].outs)
    _store([s for s, _ in changed.values()], found[n:])
    return found[:n]


def _store(storages: Sequence[Any], new: Sequence[Tensor]) -> None:
    """What a body wrote outside is written, all at once."""
    for s, t in zip(storages, new, strict=True):
        if state.undo:
            keep(s)
        s.value = t._s.value
        s.version += 1


def _branch(pred: Any, regions: Sequence[Region], outs: Sequence[Sequence[Any]], values: Sequence[Sequence[Any]], followed: bool) -> list[Tensor]:
    """``values``: what each branch gives: values of its body, or avals for zeros. ``outs``: the tensors of them (or None), for their graphs."""
    parts = [Part(r.body, mine) for r, mine in zip(regions, values, strict=True)]
    given = bodies.placed(parts, [r.body for r in regions], {}, 0)
    results = [new_tensor(v) for v in record_multi(bodies.branches(parts), [pred, *given])]
    if not followed:
        return results
    graphs = [r.ends(mine) for r, mine in zip(regions, outs, strict=True)]
    targets: dict[Any, int] = {}
    places = [[targets.setdefault(e.target, len(targets)) for e in ends] for _, ends in graphs]
    if not targets:
        return results

    def pull(run: Any, buffer: dict[int, Any]) -> list[Any]:
        found: list[list[Any]] = []
        for r, (roots, ends), at in zip(regions, graphs, places, strict=True):
            got: list[Any] = [None] * len(targets)
            cotangents = [r.stand_in(_tensor(g), run.create) for g in buffer.values()]
            for k, g in zip(at, r.pull([roots[k] for k in buffer], cotangents, ends, run.create), strict=True):
                got[k] = r.add(got[k], g)
            found.append(got)
        avals = {k: aval_of(g) for got in found for k, g in enumerate(got) if g is not None}
        there = sorted(avals)
        out: list[Any] = [None] * len(targets)
        if there:
            given = [[avals[k] if got[k] is None else got[k]._s.value for k in there] for got in found]
            for k, t in zip(there, _branch(pred, regions, [[got[k] for k in there] for got in found], given, run.create), strict=True):
                out[k] = run.unwrap(t)
        return out

    _on_tape("CondAutogradOpBackward", results, [a or b for a, b in zip(*[mine for mine, _ in graphs], strict=True)], pull, list(targets))
    return results


# ---- scan and map --------------------------------------------------------------------------------------------------------


class _Turn(NamedTuple):
    """What a loop does once: what its ``carries`` become (``outs``), and ``others`` that come out, for each of its ``elements``; all are tensors of the region."""

    region: Region
    carries: list[Tensor]
    elements: list[Tensor]
    outs: list[Tensor]
    others: list[Tensor]
    values: list[Any]  # of outs and others
    moved: list[tuple[Any, Any]]  # values of outside that a turn writes, and what with


def scanned(region: Region, init: Sequence[Tensor], xs: Sequence[Tensor], name: str) -> tuple[list[Tensor], list[Tensor]]:
    """(last carries, other results stacked) of a region whose inputs are the carries and one element of each of the xs, along their first dim."""
    n = len(init)
    turn = _Turn(region, region.inputs[:n], region.inputs[n:], region.outs[:n], region.outs[n:], region.values, [(old, new) for _, old, new in region.changed])
    last, ys, after = _scan(turn, list(init), list(xs), False, region.grad, name)
    _store([s for s, _, _ in region.changed], after)
    return last, ys


def _scan(turn: _Turn, init: list[Tensor], xs: list[Tensor], reverse: bool, followed: bool, name: str) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    r, n, m, k = turn.region, len(init), len(xs), len(turn.moved)
    starts, elements = [t._s.value for t in turn.carries], [t._s.value for t in turn.elements]
    outs, others, moved = turn.values[:n], turn.values[n:], [old for old, _ in turn.moved]
    roots: list[Any] = []
    free: list[End] = []
    if followed:
        roots, ends = r.ends([*turn.outs, *turn.others, *turn.carries])
        own = {t._edge for t in (*turn.carries, *turn.elements)}
        free = [e for e in ends if e not in own]
        followed = bool(free) or any(t._edge is not None and given._edge is not None for t, given in zip((*turn.carries, *turn.elements), (*init, *xs), strict=True))
    kept = [*starts, *moved] if followed else []  # the pass backward reads them
    part = Part(r.body, [*outs, *[new for _, new in turn.moved], *others, *kept])
    rest = bodies.placed([part], [r.body], {id(v): i for i, v in enumerate([*starts, *moved, *elements])}, n + k + m)
    results = [new_tensor(v) for v in record_multi(bodies.steps(part, n + k, m, reverse), [*map(read, init), *moved, *map(read, xs), *rest])]
    last, after, ys, stacks, moved_stacks = _split(results, n, k, len(others), n if followed else 0)
    if not followed:
        return last, ys, after
    flows, with_x = [i for i, t in enumerate(turn.carries) if t._edge is not None], [i for i, t in enumerate(turn.elements) if t._edge is not None]
    places = [("c", i) for i in flows if init[i]._edge is not None] + [("x", i) for i in with_x if xs[i]._edge is not None]
    targets = [_edge(init[i] if kind == "c" else xs[i]) for kind, i in places] + [e.target for e in free]

    def pull(run: Any, buffer: dict[int, Any]) -> list[Any]:
        # One turn backward: it carries the gradients of the carries and sums for what is read from outside; elements are the forward's, its carries, and what came from others.
        create = run.create
        arrived = {i: _tensor(g) for i, g in buffer.items()}
        g_carries = [r.input(aval_of(turn.carries[i]), create) for i in flows]
        at = [i for i in arrived if i >= n]
        g_others = [r.input(aval_of((*turn.others, *turn.carries)[i - n]), create and arrived[i]._edge is not None) for i in at]
        cotangents: list[Any] = [None] * len(roots)
        for i, g in zip((*flows, *at), (*g_carries, *g_others), strict=True):
            cotangents[i] = g
        found = r.pull(roots, cotangents, [*[turn.carries[i]._edge for i in flows], *[turn.elements[i]._edge for i in with_x], *free], create)
        to_carries, to_xs, to_free, _ = _split(found, len(flows), len(with_x), len(free))
        with r.body.recording():
            to_carries = [_zeros(aval_of(turn.carries[i])) if g is None else g for i, g in zip(flows, to_carries, strict=True)]
        reached = [i for i, g in enumerate(to_free) if g is not None]
        sums = [r.input(aval_of(to_free[i]), create) for i in reached]
        added = [r.add(s, to_free[i]) for s, i in zip(sums, reached, strict=True)]
        reached_xs = [i for i, g in enumerate(to_xs) if g is not None]
        ys = [to_xs[i] for i in reached_xs]
        back = _Turn(
            r, [*g_carries, *sums], [*turn.elements, *turn.carries, *map(new_tensor, moved), *g_others], [*to_carries, *added], ys,
            [t._s.value for t in (*to_carries, *added, *ys)], [],
        )  # fmt: skip
        start = [arrived[i] if i in arrived else _zeros(aval_of(turn.carries[i])) for i in flows] + [_zeros(aval_of(s)) for s in sums]
        g_last, g_xs, _ = _scan(back, start, [*xs, *stacks, *moved_stacks, *[arrived[i] for i in at]], not reverse, create, name)
        grads: dict[Any, Any] = {("c", i): g for i, g in zip(flows, g_last, strict=False)}
        grads.update({("x", with_x[i]): g for i, g in zip(reached_xs, g_xs, strict=True)})
        grads.update({("f", i): g for i, g in zip(reached, g_last[len(flows) :], strict=True)})
        return [run.unwrap(grads.get(place)) for place in (*places, *[("f", i) for i in range(len(free))])]

    _on_tape(name, [*last, *ys, *stacks], roots, pull, targets)
    return last, ys, after


def _split(values: list[Any], *counts: int) -> list[list[Any]]:
    """Pieces of these lengths, and the rest."""
    out, at = [], 0
    for n in counts:
        out.append(values[at : at + n])
        at += n
    return [*out, values[at:]]


# ---- while_loop ----------------------------------------------------------------------------------------------------------


def looped(test: Region, region: Region, init: Sequence[Tensor]) -> list[Tensor]:
    """The carries when the test, a region over the same inputs whose result is a bool, no longer holds."""
    n, k = len(init), len(region.changed)
    moved = [old for _, old, _ in region.changed]
    starts = [t._s.value for t in region.inputs]
    places = {id(v): i for i, v in enumerate([*starts, *moved])} | {id(t._s.value): i for i, t in enumerate(test.inputs)}
    parts = [Part(test.body, test.values), Part(region.body, [*region.values, *[new for _, _, new in region.changed]])]
    rest = bodies.placed(parts, [test.body, region.body], places, n + k)
    results = [new_tensor(v) for v in record_multi(bodies.loop(parts[0], parts[1], n + k), [*map(read, init), *moved, *rest])]
    _store([s for s, _, _ in region.changed], results[n:])
    if not region.grad:
        return results[:n]
    roots, ends = region.ends(region.outs)
    own = {t._edge for t in region.inputs}
    free = [e for e in ends if e not in own]
    flows = [i for i, t in enumerate(region.inputs) if t._edge is not None]
    taken = [i for i in flows if init[i]._edge is not None]
    if not free and not taken:
        return results[:n]

    def pull(run: Any, buffer: dict[int, Any]) -> list[Any]:
        if run.create:
            raise RuntimeError("while_loop: gradients of gradients are not known, because the number of turns is not; torch.scan has them")
        cotangents = [region.input(aval_of(region.inputs[i]), False) for i in flows]
        given: list[Any] = [None] * n
        for i, g in zip(flows, cotangents, strict=True):
            given[i] = g
        pulled = region.pull(roots, given, [*[region.inputs[i]._edge for i in flows], *free], False)
        to_carries, to_free, _ = _split(pulled, len(flows), len(free))
        reached = [i for i, g in enumerate(to_free) if g is not None]
        wanted = [aval_of(region.inputs[i]) if g is None else g._s.value for i, g in zip(flows, to_carries, strict=True)] + [to_free[i]._s.value for i in reached]
        joint = Part(region.body, wanted)
        parts = [Part(test.body, test.values), Part(region.body, [*region.values, *[new for _, _, new in region.changed]]), joint]
        where = places | {id(g._s.value): n + k + i for i, g in enumerate(cotangents)}
        avals = [aval_of(to_free[i]) for i in reached]
        # The loop itself has no gradients among its arguments: it reads the rest from where the turn backward does.
        rest = bodies.placed(parts, [test.body, region.body, region.body], where, n + k + len(flows))
        arrived = [read(_tensor(buffer[i])) if i in buffer else read(_zeros(aval_of(region.inputs[i]))) for i in flows]
        outs = record_multi(bodies.reversed_loop(parts[0], parts[1], joint, n + k, len(flows), avals), [*map(read, init), *moved, *arrived, *rest])
        grads: list[Any] = [None] * len(free)
        for i, found in zip(reached, outs[len(flows) :], strict=True):
            grads[i] = found
        return [*[outs[flows.index(i)] for i in taken], *grads]

    _on_tape("WhileLoopAutogradOpBackward", results[:n], roots, pull, [*[_edge(init[i]) for i in taken], *[e.target for e in free]])
    return results[:n]
