"""The boxes of tensors that a process has, to be written, and those that it is to fill."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from jtorch._core.storage.bare_tensor import new_tensor
from jtorch._core.storage.host_memory import numpy_of
from jtorch._core.storage.view_steps import read, write
from jtorch._engine.placing import entries
from jtorch._engine.placing.parts import part
from jtorch._engine.values.placed import part_of, placed
from jtorch._engine.values.values import value_of
from jtorch._public import torch
from jtorch.distributed.tensor._api import DTensor
from jtorch.distributed.tensor._local import from_part

from .metadata import ChunkStorageMetadata

__all__ = ["Filling", "box", "boxes"]


def _box(shape: Any, places: Any, grid: Any, at: Any) -> ChunkStorageMetadata:
    sizes, offsets = list(shape), [0] * len(shape)
    for p, n, k in zip(places, grid, at, strict=True):
        if isinstance(p, int):
            start, sizes[p] = part(sizes[p], n, k)
            offsets[p] += start
    return ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))


def boxes(t: Any) -> list[ChunkStorageMetadata]:
    """Those that this process has: one, or where it sees all devices one for each of them. Empty ones are left out."""
    if not isinstance(t, DTensor):
        return [ChunkStorageMetadata(torch.Size([0] * t.dim()), torch.Size(t.shape))]
    a: Any = read(t).aval
    grid = a.grid
    if any(isinstance(p, str) for p in a.places):
        raise RuntimeError(f"a DTensor with placements {t.placements} cannot be written: redistribute it")
    every = [grid.coordinate] if grid.coordinate is not None else itertools.product(*map(range, grid.shape))
    found = {}
    for at in every:
        b = _box(a.shape, a.places, grid.shape, at)
        if all(b.sizes) or t.numel() == 0:
            found.setdefault(tuple(b.offsets), b)
    return list(found.values())


def box(t: Any, b: ChunkStorageMetadata) -> Any:
    """What lies in a box of :func:`boxes`, on the host."""
    if isinstance(t, DTensor):
        v = read(t)
        held, grid = numpy_of(part_of(v)), v.aval.grid  # type: ignore[attr-defined]
        if grid.coordinate is None:
            held = held[tuple(slice(o, o + n) for o, n in zip(b.offsets, b.sizes, strict=True))]
        return new_tensor(value_of(np.ascontiguousarray(held).reshape(tuple(b.sizes))))
    out = t.detach()
    out = out.cpu() if out.device.type != "cpu" else out
    return out.clone(memory_format=torch.contiguous_format)


class Filling:
    """Memory on the host for what a process has of a tensor. :meth:`done` puts it there."""

    def __init__(self, t: Any) -> None:
        self.tensor = t
        self.own = isinstance(t, DTensor)
        if not self.own:
            self.boxes, self.memory = boxes(t), t
            return
        a: Any = read(t).aval
        if a.grid.coordinate is None:
            self.boxes = [ChunkStorageMetadata(torch.Size([0] * t.dim()), torch.Size(t.shape))]
        else:
            self.boxes = [_box(a.shape, a.places, a.grid.shape, a.grid.coordinate)]
        self.memory = torch.zeros(tuple(self.boxes[0].sizes), dtype=t.dtype)

    def done(self) -> None:
        """The tensor has what was filled in."""
        if not self.own:
            return
        a: Any = read(self.tensor).aval
        v = read(self.memory)
        if a.device.type != "cpu" and a.device.type != "meta":
            v = read(self.memory.to(a.device))
        new = entries.spread_out(v, a) if a.grid.coordinate is None else placed(a, v)
        with torch.no_grad():
            write(self.tensor, new if a.device.type != "meta" else from_part(v, a.grid, a.places, a.shape))
