"""A recorded step whose small parameters go in and out as one array, and what the optimizer remembers of them as one array for each kind.

Calling a program costs a microsecond for each array that goes in or comes out: more than the arithmetic, where the arrays are small. Nodes that update parameters, each on its own, become one
update of all of them end to end; whoever else reads a parameter gets its piece. Only updates that treat each element on its own can be done so (``packed_updates.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._engine.recording.call import Call
from jtorch._engine.recording.entry import entry_of
from jtorch._engine.recording.trace import SCALAR
from jtorch._engine.running.packed_updates import LEAST, packable, treats_elements_alone
from jtorch._engine.running.replay import Recorded
from jtorch._engine.values.values import Aval, aval

__all__ = ["Group", "groups_of", "packed"]


class Group(NamedTuple):
    """Updates that are alike: one row for each parameter. ``inputs``, ``outputs``: by kind (the parameter first) the inputs that are overwritten, and the outputs that take their place;
    ``gradients``: by argument that is not, the outputs that are read."""

    nodes: list[int]
    avals: tuple[Aval, ...]
    inputs: list[list[int]]
    outputs: list[list[int]]
    gradients: list[list[int]]

    @property
    def starts(self) -> list[int]:
        """Where each row begins, end to end."""
        return [0, *np.cumsum([_size(a) for a in self.avals]).tolist()]


def _size(a: Aval) -> int:
    return int(np.prod(a.shape, dtype=int))


def groups_of(recorded: Recorded, inputs: set[int]) -> list[Group]:
    """The groups of updates that overwrite ``inputs`` alone."""
    firsts: list[int] = []
    reads: set[int] = set()
    count = 0
    for entry, *_ in recorded.nodes:
        firsts.append(count)
        count += len(entry.outs)
    found: dict[Any, list[tuple[int, list[tuple[int, int]], list[int]]]] = {}
    for k, (entry, *refs) in enumerate(recorded.nodes):
        row = _row(recorded, entry, refs, firsts[k], inputs)
        if row is None:
            reads.update(p for p in refs if p >= 0)
        else:
            key, replaced, others = row
            found.setdefault(key, []).append((k, replaced, others))
            reads.update(others)
    groups = []
    for (call, classes, *_), rows in found.items():
        rows = [row for row in rows if reads.isdisjoint(o for _, o in row[1])]
        avals = tuple([recorded.nodes[k][0].outs[0] for k, _, _ in rows])
        if len(rows) < LEAST or not treats_elements_alone(call, avals, len(recorded.nodes[rows[0][0]][0].inputs) - len(classes), classes):
            continue
        kinds, left = range(len(rows[0][1])), range(len(rows[0][2]))
        groups.append(Group(
            [k for k, _, _ in rows], avals, [[r[1][j][0] for r in rows] for j in kinds], [[r[1][j][1] for r in rows] for j in kinds], [[r[2][j] for r in rows] for j in left],
        ))  # fmt: skip
    return groups


def _row(recorded: Recorded, entry: Any, refs: list[int], first: int, inputs: set[int]) -> Any:
    """(what must be equal in a group, (input, output) for each that is overwritten, the outputs that are read); None for what is no such update."""
    like: Aval = entry.outs[0]
    if entry.inputs[0] is not like or not packable(like) or any(o is not like for o in entry.outs):
        return None
    numbers = [i for i, a in enumerate(entry.inputs) if a.__class__ is type]
    arrays = [i for i in range(len(refs)) if i not in numbers]
    if numbers != list(range(len(arrays), len(refs))) or any(entry.inputs[i] is not like for i in arrays):
        return None
    replaced, others, roles = [], [], []
    for i in arrays:
        p = refs[i]
        if p >= 0:
            others.append(p)
            roles.append(-1)
        elif p > SCALAR and -1 - p in inputs and first <= recorded.successors.get(-1 - p, -1) < first + len(entry.outs):
            replaced.append((-1 - p, recorded.successors[-1 - p]))
            roles.append(recorded.successors[-1 - p] - first)
        else:
            return None
    if roles[0] != 0 or len(set(replaced)) != len(entry.outs) or len(replaced) != len(entry.outs) or not others:
        return None
    return (entry.call, tuple([entry.inputs[i] for i in numbers]), tuple(roles), tuple(refs[len(arrays) :]), like.dtype, like.device), replaced, others


class _Whole(Recorded):
    """One program, however long its arrays are."""

    __slots__ = ()

    def _small(self) -> bool:
        return True


def packed(recorded: Recorded, groups: list[Group], live: list[int], gradients: list[bool]) -> tuple[Recorded, list[int], tuple[int, ...]]:
    """The same nodes with what the groups overwrite end to end: its inputs come after all others, group by group and kind by kind. ``live``: the outputs that are wanted as they are; ``gradients``:
    for each group, whether the first of what it reads is wanted, end to end. Also which of the old inputs it still has, and its live outputs: those, then those of the groups' kinds, then gradients."""
    packing = {i for g in groups for kind in g.inputs for i in kind}
    left = [i for i in range(len(recorded.avals)) if i not in packing]
    ref = {-1 - i: -1 - j for j, i in enumerate(left)}
    avals = [recorded.avals[i] for i in left]
    skipped = {k: g for g in groups for k in g.nodes}
    read = {p for k, (_, *refs) in enumerate(recorded.nodes) if k not in skipped for p in refs}
    nodes: list[Any] = []
    count = 0

    def add(entry: Any, refs: Any) -> int:
        nonlocal count
        nodes.append((entry, *refs))
        first, count = count, count + len(entry.outs)
        return first

    flats: list[list[int]] = []  # for each group, where its kinds come in
    for g in groups:
        size, flat = g.starts[-1], g.avals[0]
        flats.append([])
        for kind in g.inputs:
            avals.append(aval((size,), flat.dtype, flat.device))
            flats[-1].append(-len(avals))
            if any(-1 - i in read for i in kind):
                first = add(entry_of(_pieces_of(tuple([a.shape for a in g.avals])), avals[-1]), (-len(avals),))
                ref.update({-1 - i: first + j for j, i in enumerate(kind)})
    made: dict[int, tuple[int, list[int]]] = {}  # group -> where its outputs, and what it reads, are end to end
    before = 0
    for k, (entry, *refs) in enumerate(recorded.nodes):
        if k not in skipped:
            first = add(entry, [p if p <= SCALAR else ref[p] for p in refs])
            ref.update({before + j: first + j for j in range(len(entry.outs))})
        elif k == skipped[k].nodes[-1]:
            n = next(n for n, g in enumerate(groups) if g is skipped[k])
            g = groups[n]
            flat = aval((g.starts[-1],), g.avals[0].dtype, g.avals[0].device)
            joined = [add(entry_of(_end_to_end_of(len(g.nodes)), g.avals if len(g.nodes) > 1 else g.avals[0]), [ref[p] for p in read_]) for read_ in g.gradients]
            mine, other = iter(flats[n]), iter(joined)
            arguments = [p if p <= SCALAR else next(other) if p >= 0 else next(mine) for p in refs]
            made[n] = add(entry_of(entry.call, tuple([a if a.__class__ is type else flat for a in entry.inputs])), arguments), joined
        before += len(entry.outs)
    whole = _Whole(nodes, avals, recorded.scalars, recorded.dynamic, recorded.device)
    outs = [ref[p] for p in live]
    whole.successors = {left.index(i): ref[p] for i, p in recorded.successors.items() if i not in packing and p in ref}
    for n, g in enumerate(groups):
        base = sum(len(node[0].outs) for node in recorded.nodes[: g.nodes[0]])
        for kind, at in zip(g.outputs, flats[n], strict=True):
            outs.append(made[n][0] + kind[0] - base)
            whole.successors[-1 - at] = outs[-1]
    outs += [made[n][1][0] for n, wanted in enumerate(gradients) if wanted]
    return whole, left, tuple(outs)


def _pieces(shapes: tuple[tuple[int, ...], ...]) -> Call:
    ends = np.cumsum([int(np.prod(s, dtype=int)) for s in shapes]).tolist()

    def apply(flat: Any) -> Any:
        return tuple([lax.slice(flat, (start,), (end,)).reshape(s) for start, end, s in zip([0, *ends], ends, shapes, strict=False)])

    return Call(None, None, apply, "pieces", origin=(_pieces, (shapes,)))


def _end_to_end(count: int) -> Call:
    def apply(*arrays: Any) -> Any:
        return jnp.concatenate([a.reshape(-1) for a in arrays])

    return Call(None, None, apply, "end_to_end", origin=(_end_to_end, (count,)))


_calls: dict[Any, Call] = {}


def _one(make: Callable[[Any], Call], of: Any) -> Call:
    return _calls.get((make, of)) or _calls.setdefault((make, of), make(of))


def _pieces_of(shapes: tuple[tuple[int, ...], ...]) -> Call:
    return _one(_pieces, shapes)


def _end_to_end_of(count: int) -> Call:
    return _one(_end_to_end, count)
