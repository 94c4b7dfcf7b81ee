"""What a rank sees of a DTensor, and back. Where one process sees all devices, a tensor that differs from rank to rank stands for the tensors of all of them: operators on it are applied to each
(as in ``torch.vmap``), on the device that it is on. A tensor that is alike everywhere is an ordinary one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jtorch._core.storage.bare_tensor import new_tensor
from jtorch._core.storage.view_steps import read
from jtorch._engine.placing import entries
from jtorch._engine.placing.parts import size_of_part
from jtorch._engine.recording.trace import force
from jtorch._engine.values.lanes import Level, lanes_of, within
from jtorch._engine.values.placed import Grid, Place, PlacedAval, part_of, placed, placed_aval
from jtorch._engine.values.values import Value, aval
from jtorch._public import torch

__all__ = ["every_rank", "from_part", "part_for_ranks", "whole_shape"]


class Ranks(Level):
    """All ranks of a grid. It is never left, so anything may be written by what differs from rank to rank."""

    __slots__ = ()

    def made_here(self, v: Value) -> bool:
        """It is always known in each rank."""
        return True

    @staticmethod
    def shown(rows: Value) -> Any:
        """What the first rank sees."""
        return np.asarray(np.asarray(force(rows))[0])


_ranks: dict[Any, Ranks] = {}


def every_rank(grid: Grid) -> Ranks:
    """The level of the ranks on these devices."""
    key = (grid.devices, grid.names)
    found = _ranks.get(key)
    if found is None:
        found = _ranks[key] = Ranks(math.prod(grid.shape), "same", (None, 0))
        found.under_way = 1
    return found


def whole_shape(shape: Any, grid: Grid, places: tuple[Place, ...]) -> tuple[int, ...]:
    """The shape of what has parts of this shape."""
    out = list(shape)
    for p, n in zip(places, grid.shape, strict=True):
        if isinstance(p, int):
            out[p] *= n
    return tuple(out)


def _spread(t: Any, grid: Grid, dims: int) -> Value:
    """Rows for the ranks, each on its device."""
    names = grid.names
    spec = PartitionSpec(*names, *[None] * dims) if t.dim() > 1 or dims == 0 else PartitionSpec(names)
    return entries.constrained(read(t), NamedSharding(grid.devices, spec), read(t).aval.device)


def part_for_ranks(v: Value) -> Value:
    """What each rank has of a placed value, where one process sees all devices."""
    a: Any = v.aval
    grid, n = a.grid, a.grid.shape
    if not any(isinstance(p, int) or p in ("sum", "product") for p in a.places):
        return part_of(v)
    if any(isinstance(p, int) and d % k for p, k in zip(a.places, n, strict=True) for d in [a.shape[p] if isinstance(p, int) else 0]):
        return _first_part(v)
    with torch.no_grad():
        t = new_tensor(part_of(v))
        at = list(range(len(a.shape)))  # where each dim is by now; the dims of the grid come first
        for m, (p, k) in enumerate(zip(a.places, n, strict=True)):
            if isinstance(p, int):
                t = t.unflatten(at[p], (k, -1)).movedim(at[p], m)
                at = [x + 1 if x < at[p] else x + 1 for x in at]
            else:
                t = t.unsqueeze(m).expand(*t.shape[:m], k, *t.shape[m:])
                at = [x + 1 for x in at]
                if p == "sum":  # one has it, the others nothing
                    t = t * (torch.arange(k) == 0).to(t.dtype).reshape(k, *[1] * (t.dim() - m - 1))
        rows = _spread(t, grid, len(a.shape))
        t = new_tensor(rows).reshape(math.prod(n), *t.shape[len(n) :])
        return within(read(t), every_rank(grid))


def _first_part(v: Value) -> Value:
    """Parts that are not equal: the first rank's."""
    a: Any = v.aval
    with torch.no_grad():
        t = new_tensor(part_of(v))
        for d, size in enumerate(size_of_part(a.shape, a.places, a.grid.shape, (0,) * len(a.places))):
            t = t.narrow(d, 0, size)
        return read(t)


def from_part(v: Value, grid: Grid, places: tuple[Place, ...], shape: tuple[int, ...]) -> Value:
    """The placed value of this shape whose parts these are."""
    whole = aval(shape, v.aval.dtype, v.aval.device)
    a = placed_aval(whole, grid, places)
    if grid.coordinate is not None:
        return placed(a, v)
    rows = lanes_of(v, every_rank(grid)) if v.array is not None else None
    if rows is None and not any(isinstance(p, int) or p in ("sum", "product") for p in places):
        return entries.lay(placed(a, v))
    with torch.no_grad():
        n = grid.shape
        if rows is not None:
            t = new_tensor(rows).reshape(*n, *v.aval.shape)
        else:
            t = new_tensor(v)
            t = t.reshape(*[1] * len(n), *t.shape).expand(*n, *t.shape)
        for m in reversed(range(len(n))):
            p = places[m]
            if isinstance(p, int):
                t = t.movedim(m, m + p).flatten(m + p, m + p + 1)
            elif p is not None:
                t = getattr(t, _REDUCED[p])(m)
            else:
                t = t.select(m, 0)
        if t.shape != shape:
            for d, size in enumerate(shape):
                t = t.narrow(d, 0, size)
        out = placed(a, read(t.to(whole.dtype)))
        return entries.lay(out)


_REDUCED = {"sum": "sum", "product": "prod", "max": "amax", "min": "amin", "avg": "mean"}


def is_placed(v: Value) -> bool:
    """Whether a value lies on a grid."""
    return v.aval.__class__ is PlacedAval
