"""A call recorded at several sizes: what both kinds of export are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

from jtorch._core.backward.control_flow import Region
from jtorch._core.storage.view_steps import aval_of
from jtorch._engine.families.exporting import Differs, Solved, solved
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


class Recorded(NamedTuple):
    """``regions``: one for each row of ``samples``. ``spec``: of the arguments; ``leaves``: those with None for tensors."""

    regions: list[Region]
    samples: list[list[int]]
    sizes: Sizes
    spec: Any
    leaves: list[Any]
    at: list[int]

    def solved(self, outs: Any = None) -> Solved:
        """The call for any sizes. ``outs``: of each region, the values that are wanted; its results, if not said."""
        given = [[t._s.value for t in r.inputs] for r in self.regions]
        return solved([r.body for r in self.regions], [r.values for r in self.regions] if outs is None else outs, given, self.sizes.names, self.samples)


def recorded(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], sizes: Sizes) -> Recorded:
    """The call recorded at sizes of its choice; nothing is computed."""
    flat, spec = tree_flatten((args, kwargs))
    at = [i for i, x in enumerate(flat) if isinstance(x, torch.Tensor)]
    samples = chosen(sizes)
    regions = []

    def run(*tensors: Any) -> Any:
        leaves = list(flat)
        for i, t in zip(at, tensors, strict=True):
            leaves[i] = t
        a, k = tree_unflatten(leaves, spec)
        found, form = tree_flatten(fn(*a, **k))
        return tree_unflatten([x.clone() if isinstance(x, torch.Tensor) else x for x in found], form)

    for row in samples:
        avals = []
        for i, mine in zip(at, sizes.leaves, strict=True):
            a = aval_of(flat[i])
            shape = list(a.shape)
            for d, (which, of) in mine.items():
                shape[d] = of(row[which])
            avals.append(aval(tuple(shape), a.dtype, a.device))
        try:
            with torch.no_grad():
                regions.append(Region(run, avals, [False] * len(avals), tree_flatten))
        except RuntimeError as error:
            if not regions or isinstance(error, NotKnown):
                raise
            raise Differs(f"where {', '.join(f'{n} = {k}' for n, k in zip(sizes.names, row, strict=True))}: {error}") from error
    return Recorded(regions, samples, sizes, spec, [None if isinstance(x, torch.Tensor) else x for x in flat], at)
