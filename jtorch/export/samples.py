"""A call recorded at several sizes: what both kinds of export are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jtorch._core.backward.control_flow import Region
from jtorch._core.storage.view_steps import aval_of
from jtorch._engine.families.exporting import Differs, Solved, alike, solved
from jtorch._engine.values.symbols import NotKnown
from jtorch._engine.values.values import aval
from jtorch._public import torch
from jtorch.utils._pytree import tree_flatten, tree_unflatten

from .dynamic_shapes import MOST, Dim, sizes_by_leaf

__all__ = ["Recorded", "Sizes", "recorded", "sizes_of"]


class Sizes(NamedTuple):
    """``names`` of what changes, its ``bounds`` (least, most), what it is in the examples, and of each tensor the dims that change: (which name, a function of it)."""

    names: list[str]
    bounds: list[tuple[int, int]]
    example: list[int]
    leaves: list[dict[int, tuple[int, Any]]]


def sizes_of(m: Any, args: Any, kwargs: Any, shapes: Any) -> Sizes:
    """What was said about sizes."""
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)]
    found = Sizes([], [], [], [])
    at: dict[Any, int] = {}
    for i, (t, by_dim) in enumerate(zip(tensors, sizes_by_leaf(m, args, kwargs, shapes), strict=True)):
        mine = {}
        for d, kind in by_dim.items():
            root = kind.root if isinstance(kind, Dim) else (i, d)
            name = root.__name__ if isinstance(kind, Dim) else f"d{i}_{d}"
            fn = kind.fn if isinstance(kind, Dim) else _same
            if root not in at:
                at[root] = len(found.names)
                found.names.append(name)
                low, high = (root.min, root.max) if isinstance(kind, Dim) else (kind.min or 0, MOST if kind.max is None else kind.max)
                found.bounds.append((low, high))
                found.example.append(next(n for n in range(t.shape[d] + 1) if fn(n) == t.shape[d]) if fn is not _same else t.shape[d])
            mine[d] = at[root], fn
        found.leaves.append(mine)
    return found


def _same(n: int) -> int:
    return n


_CHOSEN = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113)


def chosen(sizes: Sizes, count: int = 3) -> list[list[int]]:
    """Sizes to record a call at, no two alike. ValueError where the bounds leave too few."""
    taken: set[int] = set()
    columns = []
    for name, (low, high), example in zip(sizes.names, sizes.bounds, sizes.example, strict=True):
        room = [n for n in (*([example] if example > 2 else []), *_CHOSEN, *range(max(low, 2), min(high, max(low, 2) + 40) + 1)) if max(low, 2) <= n <= high]
        mine = [n for n in dict.fromkeys(room) if n not in taken][:count]
        mine = mine if len(mine) == count else list(dict.fromkeys(room))[:count]
        if len(mine) < 2:
            raise ValueError(f"the bounds of {name}, {low} to {high}, leave no two sizes above 1")
        mine += mine[-1:] * (count - len(mine))
        taken.update(mine)
        columns.append(mine)
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[]]


_LARGEST = 1 << 12  # that a call is tried at


def ends(sizes: Sizes) -> list[tuple[list[int], bool]]:
    """Sizes near the ends of what was said, or where nothing was, one that is small: a call must not do something else there. And whether it must take them."""
    rows = []
    for end in (0, 1):
        row, said, count = [], False, 0
        for (low, high), example in zip(sizes.bounds, sizes.example, strict=True):
            bounded = high < MOST or low > 1
            wanted = max(low, 2) + (0 if bounded else count) if end == 0 else high - 1 if high <= _LARGEST else example  # at the very end, what is cut to a size may be whole
            count += not bounded
            said |= bounded
            row.append(min(max(wanted, low), high))
        if end == 0 or row != sizes.example:
            rows.append((row, said and all(high < MOST or low > 1 for low, high in sizes.bounds)))
    return rows if sizes.names else []


class Recorded(NamedTuple):
    """``regions``: one for each row of ``samples`` (``calls``: what was counted when the first was there), and ``ends`` for those of :func:`ends` that it takes. ``spec``: of the arguments; ``leaves``: those with None for tensors."""

    regions: list[Region]
    samples: list[list[int]]
    sizes: Sizes
    spec: Any
    leaves: list[Any]
    at: list[int]
    ends: list[Region]
    calls: int = 0

    def results(self, found: Solved) -> list[Any]:
        """The results that are no tensors, None in the places of those: constants, and sizes as expressions. :class:`Differs` for others that are not the same for all sizes."""
        first = self.regions[0]
        out: list[Any] = [None] * len(first.leaves)
        for i in [i for i in range(len(out)) if i not in first.tensors]:
            column: tuple[Any, ...] = tuple([r.leaves[i] for r in self.regions])
            if all(type(x) is int for x in column):
                out[i] = found.size(column, "a result")
            elif all(type(x) is type(column[0]) and bool(x == column[0] or x != x) for x in column):
                out[i] = column[0]
            else:
                raise Differs(f"a result is {', '.join(map(repr, column))} for other sizes")
        return out

    def solved(self, outs: Any = None) -> Solved:
        """The call for any sizes. ``outs``: of each region, the values that are wanted; its results, if not said."""
        given = [[t._s.value for t in r.inputs] for r in self.regions]
        first = self.regions[0]
        for r in (*self.regions[1:], *self.ends):
            if r.spec != first.spec or set(r.tensors) != set(first.tensors) or len(r.changed) != len(first.changed):
                raise Differs("the function gives something else for other sizes")
        for r in self.ends:
            wanted = [[*x.values, *([new for _, _, new in x.changed] if outs is not None else ())] for x in (first, r)]
            alike([first.body, r.body], wanted, [given[0], [t._s.value for t in r.inputs]])
        return solved([r.body for r in self.regions], [r.values for r in self.regions] if outs is None else outs, given, self.sizes.names, self.samples)


def recorded(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], sizes: Sizes, count: Callable[[], int] = lambda: 0) -> Recorded:
    """The call recorded at sizes of its choice; nothing is computed. ``count`` counts something of the first."""
    flat, spec = tree_flatten((args, kwargs))
    at = [i for i, x in enumerate(flat) if isinstance(x, torch.Tensor)]
    samples = chosen(sizes)
    regions: list[Region] = []
    first = 0

    def run(*tensors: Any) -> Any:
        leaves = list(flat)
        for i, t in zip(at, tensors, strict=True):
            leaves[i] = t
        a, k = tree_unflatten(leaves, spec)
        found, form = tree_flatten(fn(*a, **k))
        return tree_unflatten([x.clone() if isinstance(x, torch.Tensor) else x for x in found], form)

    def at_sizes(row: list[int]) -> Region:
        avals = []
        for i, mine in zip(at, sizes.leaves, strict=True):
            a = aval_of(flat[i])
            shape = list(a.shape)
            for d, (which, of) in mine.items():
                shape[d] = of(row[which])
            avals.append(aval(tuple(shape), a.dtype, a.device))
        with torch.no_grad():
            return Region(run, avals, [False] * len(avals), tree_flatten)

    def differs(row: list[int], error: Exception) -> Differs:
        return Differs(f"where {', '.join(f'{n} = {k}' for n, k in zip(sizes.names, row, strict=True))}: {error}")

    for row in samples:
        try:
            regions.append(at_sizes(row))
            first = first if len(regions) > 1 else count()
        except RuntimeError as error:
            if not regions or isinstance(error, NotKnown):
                raise
            raise differs(row, error) from error
    more = []
    for row, required in ends(sizes):
        try:
            more.append(at_sizes(row))
        except (RuntimeError, ValueError, IndexError) as error:  # what is too small for a kernel, where nobody said that it may be
            if required:
                raise differs(row, error) from error
    return Recorded(regions, samples, sizes, spec, [None if isinstance(x, torch.Tensor) else x for x in flat], at, more, first)
