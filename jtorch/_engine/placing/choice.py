"""How an operator's inputs are to lie, and how its outputs lie then: along each dim of the grid by itself, what moves the fewest bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtorch._engine.values.placed import Place

from .factors import Dims, Factors, linear_outputs

__all__ = ["choose"]

Lying = list[list[Place]]


def _cost(before: Place, after: Place, nbytes: int) -> float:
    if before == after:
        return 0.0
    if before is None:  # each takes its part of what it has
        return 1e-3 * nbytes if isinstance(after, int) or after == "sum" else 1e30
    if isinstance(before, str):  # a reduction for all, or of parts
        return 2.0 * nbytes if after is None else float(nbytes)
    return float(nbytes) if after is None else 0.5 * nbytes


def _place(f: Factors, d: Dims, factor: int) -> Place | bool:
    """The dim of a value that this factor is; None if there is none, False if there are several."""
    at = [i for i, x in enumerate(d.dims) if f.root(x) == factor and d.shape[i] != 1]
    return (at[0] if at else None) if len(at) < 2 else False


def _cut(f: Factors, factor: int) -> tuple[list[Place], list[Place]] | None:
    ins = [_place(f, d, factor) for d in f.inputs]
    outs: list[Any] = [_place(f, d, factor) for d in f.outputs]
    if False in [x for x in (*ins, *outs) if isinstance(x, bool)]:
        return None
    added = f.added(factor)
    if added is None:
        return None
    for i in added:
        ins[i] = "sum"
    for k, d in enumerate(f.outputs):
        if outs[k] is None:
            outs[k] = next((how for x, how in d.unfinished.items() if f.root(x) == factor), None)
    return ins, outs  # type: ignore[return-value]


def _joined(a: list[Place], b: list[Place]) -> list[Place] | None:
    """What lies as one or the other says; None where both say something."""
    if any(x is not None and y is not None for x, y in zip(a, b, strict=True)):
        return None
    return [y if x is None else x for x, y in zip(a, b, strict=True)]


Cut = tuple[float, int, list[Place], list[Place], tuple[int, ...]]  # its cost, what comes first of equal ones, inputs, outputs, factors


def _with_others(f: Factors, cut: Cut, others: list[Cut], cost: Callable[[list[Place]], float]) -> Cut:
    """A cut together with those that have nothing to do with it and make it no dearer."""
    for other in others:
        if all(f.apart(a, b) for a in cut[4] for b in other[4]):
            ins, outs = _joined(cut[2], other[2]), _joined(cut[3], other[3])
            if ins is not None and outs is not None and cost(ins) <= cut[0]:
                cut = (cost(ins), 0, ins, outs, (*cut[4], *other[4]))
    return cut


def choose(f: Factors, closed: Any, places: Sequence[tuple[Place, ...]], nbytes: Sequence[int], shape: tuple[int, ...]) -> tuple[Lying, Lying]:
    """(places of each input, places of each output), from those that the inputs have now. ``shape``: the grid's."""
    ins: Lying = [[] for _ in f.inputs]
    outs: Lying = [[] for _ in f.outputs]
    cuts: dict[int, int] = {}
    for m, n in enumerate(shape):
        now = [p[m] for p in places]

        def cost(after: list[Place], now: list[Place] = now) -> float:
            return sum(_cost(p, q, b) for p, q, b in zip(now, after, nbytes, strict=True))

        whole: list[Place] = [None] * len(now)
        found: list[Cut] = [(cost(whole), 2, whole, [None] * len(f.outputs), ())]
        for how in ("sum", "avg"):
            if how in now:
                sums = linear_outputs(closed, [p == how for p in now])
                if sums is not None:
                    kept: list[Place] = [p if p == how else None for p in now]
                    found.append((cost(kept), 1, kept, [how if s else None for s in sums], ()))
        tried, single = set(), []
        for d, p in zip(f.inputs, now, strict=True):
            if not isinstance(p, int):
                continue
            factor = f.root(d.dims[p])
            if factor in tried or not f.can(factor, n, cuts.get(factor, 1)):
                continue
            tried.add(factor)
            cut = _cut(f, factor)
            if cut is not None:
                single.append((cost(cut[0]), 0, *cut, (factor,)))
        found += [_with_others(f, c, [x for x in single if x is not c], cost) for c in single]
        _, _, mine, theirs, factors = min(found, key=lambda c: c[:2])
        for factor in factors:
            cuts[factor] = cuts.get(factor, 1) * n
        for x, q in zip(ins, mine, strict=True):
            x.append(q)
        for x, q in zip(outs, theirs, strict=True):
            x.append(q)
    return ins, outs
