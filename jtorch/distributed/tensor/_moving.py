"""Placed values from one way of lying to another: by XLA where one process sees all devices, by collectives of processes where each has its part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import read
from jtorch._engine.placing import entries
from jtorch._engine.placing.parts import part, size_of_part
from jtorch._engine.values import heard
from jtorch._engine.values.placed import Grid, Place, PlacedAval, part_of, placed, placed_aval
from jtorch._engine.values.values import Value
from jtorch._public import torch
from jtorch.distributed import _collectives as collectives
from jtorch.distributed._reduce_op import ReduceOp

__all__ = ["move", "move_all"]

_OPS = {"sum": ReduceOp.SUM, "avg": ReduceOp.AVG, "max": ReduceOp.MAX, "min": ReduceOp.MIN, "product": ReduceOp.PRODUCT}


def move(v: Value, places: tuple[Place, ...]) -> Value:
    """The same value in other places."""
    a: Any = v.aval
    if a.places == places:
        return v
    if heard.listeners and a.device.type != "meta":
        with heard.as_one(*heard.moves(a.grid.shape, a.places, places, a.device.type == "cpu")):
            return _move(v, places)
    return _move(v, places)


def _move(v: Value, places: tuple[Place, ...]) -> Value:
    a: Any = v.aval
    if a.places == places:
        return v
    to = placed_aval(a.whole, a.grid, tuple(places))
    if a.device.type == "meta":
        return without_elements(to)
    if a.grid.coordinate is None:
        return entries.lay(placed(to, part_of(v)))
    with torch.no_grad():
        return placed(to, read(_moved(new_tensor(part_of(v)), a.shape, a.grid, list(a.places), list(places))))


def move_all(values: Sequence[Value], to: tuple[PlacedAval, ...]) -> list[Value]:
    """Placed values of one grid, each to where its aval says: by one node where one process sees all devices, and of what goes the same way all together, end to end, where each process has its part."""
    if not to:
        return []
    grid = to[0].grid
    if to[0].device.type == "meta":
        return [move(v, a.places) for v, a in zip(values, to, strict=True)]
    if grid.coordinate is None:
        return list(map(placed, to, entries.lay_all(list(map(part_of, values)), to)))
    out: list[Any] = [None] * len(to)
    together: dict[Any, list[int]] = {}
    for i, (v, a) in enumerate(zip(values, to, strict=True)):
        together.setdefault(_way(v.aval, a), []).append(i)  # type: ignore[arg-type]
    for way, numbers in together.items():
        if way is None or len(numbers) == 1:
            for i in numbers:
                out[i] = _move(values[i], to[i].places)
            continue
        name, m, how, _ = way
        with torch.no_grad():
            parts = [new_tensor(part_of(values[i])) for i in numbers]
            dims = [values[i].aval.places[m] if name == "gather" else to[i].places[m] for i in numbers]  # type: ignore[attr-defined]
            moved = _gathered_all(parts, dims, [size_of_part(to[i].shape, to[i].places, grid.shape, _at(grid)) for i in numbers], grid, m) if name == "gather" else _scattered_all(parts, dims, how, grid, m)
            for i, t in zip(numbers, moved, strict=True):
                out[i] = placed(to[i], read(t))
    return out


def _way(now: PlacedAval, to: PlacedAval) -> tuple[str, int, Place, Any] | None:
    """(name, dim of the grid, reduction, type) of the one collective that brings a value there; None where it is none, or not one."""
    changed = [m for m, (p, q) in enumerate(zip(now.places, to.places, strict=True)) if p != q]
    if len(changed) != 1 or now.grid.shape[changed[0]] == 1:
        return None
    (m,) = changed
    before, after = now.places[m], to.places[m]
    cut = before if after is None else after
    if not isinstance(cut, int) or [*now.places, *to.places].count(cut) != 1:  # cut once more along another dim of the grid
        return None
    if after is None:
        return "gather", m, None, now.dtype
    return ("scatter", m, before, now.dtype) if before in ("sum", "avg") else None


def _gathered_all(parts: list[Tensor], dims: list[int], shapes: list[tuple[int, ...]], grid: Grid, m: int) -> list[Tensor]:
    n = grid.shape[m]
    mine = [_padded(t, d, -(-s[d] // n)).movedim(d, 0) for t, d, s in zip(parts, dims, shapes, strict=True)]
    flat = torch.cat([t.reshape(-1) for t in mine])
    out = flat.new_empty(n * flat.numel())
    collectives.all_gather_single(out, flat, _group(grid, m))
    rows = out.reshape(n, -1).split([t.numel() for t in mine], 1)
    return [r.reshape(n * t.shape[0], *t.shape[1:])[: s[d]].movedim(0, d) for r, t, d, s in zip(rows, mine, dims, shapes, strict=True)]


def _scattered_all(parts: list[Tensor], dims: list[int], how: Any, grid: Grid, m: int) -> list[Tensor]:
    n = grid.shape[m]
    rows = [_padded(t, d, -(-t.shape[d] // n) * n).movedim(d, 0) for t, d in zip(parts, dims, strict=True)]
    flat = torch.cat([t.reshape(n, -1) for t in rows], 1).reshape(-1)
    out = flat.new_empty(flat.numel() // n)
    collectives.reduce_scatter_single(out, flat, _OPS[how], _group(grid, m))
    mine = out.split([t.numel() // n for t in rows])
    sizes = [part(t.shape[d], n, _at(grid)[m])[1] for t, d in zip(parts, dims, strict=True)]
    return [x.reshape(t.shape[0] // n, *t.shape[1:])[:k].movedim(0, d).contiguous() for x, t, d, k in zip(mine, rows, dims, sizes, strict=True)]


def without_elements(a: PlacedAval) -> Value:
    """A placed value on the meta device."""
    shape = a.shape if a.grid.coordinate is None else size_of_part(a.shape, a.places, a.grid.shape, a.grid.coordinate)
    return placed(a, read(torch.empty(shape, dtype=a.dtype, device="meta")))


def _moved(t: Tensor, shape: tuple[int, ...], grid: Grid, now: list[Place], to: list[Place]) -> Tensor:
    """This process's part, laid out as ``to``. What is cut several times is put together from the inside out."""
    open_ = {m for m in range(len(now)) if now[m] != to[m]}
    for m in reversed(range(len(now))):  # a cut of the same dim further in goes first, and comes again
        for way in (now, to):
            if m in open_ and isinstance(way[m], int):
                open_ |= {k for k in range(m + 1, len(now)) if way[k] == way[m]}
    alone = len(open_) == 1
    for m in sorted(open_, reverse=True):
        before, after = now[m], to[m]
        if before == after and isinstance(before, int) or isinstance(before, int) and not (alone and isinstance(after, int)):
            now[m] = None
            t = _gathered(t, before, size_of_part(shape, now, grid.shape, _at(grid))[before], grid, m)
        elif isinstance(before, int):
            assert isinstance(after, int)
            now[m] = None
            t = _turned(t, before, after, size_of_part(shape, now, grid.shape, _at(grid)), grid, m)
            now[m] = after
        elif isinstance(before, str):
            if isinstance(after, int) and alone and before in ("sum", "avg"):
                t = _reduced_parts(t, before, after, grid, m)
                now[m] = after
            else:
                t = t.contiguous().clone()
                collectives.all_reduce(t, _OPS[before], _group(grid, m))
                now[m] = None
    for m in range(len(now)):
        after = to[m]
        if now[m] == after:
            continue
        if isinstance(after, int):
            start, size = part(t.shape[after], grid.shape[m], _at(grid)[m])
            t = t.narrow(after, start, size).clone(memory_format=torch.contiguous_format)
        elif after == "sum" and _at(grid)[m]:
            t = torch.zeros_like(t)
        now[m] = after
    return t


def _at(grid: Grid) -> tuple[int, ...]:
    assert grid.coordinate is not None
    return grid.coordinate


def _group(grid: Grid, m: int) -> Any:
    return grid.owner.get_group(m)


def _padded(t: Tensor, dim: int, size: int) -> Tensor:
    missing = size - t.shape[dim]
    if not missing:
        return t
    more = list(t.shape)
    more[dim] = missing
    return torch.cat([t, t.new_zeros(more)], dim)  # type: ignore[no-any-return]


def _gathered(t: Tensor, dim: int, size: int, grid: Grid, m: int) -> Tensor:
    """All parts of ``dim``, which has ``size`` then."""
    n = grid.shape[m]
    if n == 1 or not size:
        return t
    each = -(-size // n)
    mine = _padded(t, dim, each).movedim(dim, 0).contiguous()
    out = mine.new_empty((n * each, *mine.shape[1:]))
    collectives.all_gather_single(out, mine, _group(grid, m))
    return out[:size].movedim(0, dim)  # type: ignore[no-any-return]


def _reduced_parts(t: Tensor, how: str, dim: int, grid: Grid, m: int) -> Tensor:
    n, size = grid.shape[m], t.shape[dim]
    each = -(-size // n)
    rows = _padded(t, dim, each * n).movedim(dim, 0).contiguous()
    out = rows.new_empty((each, *rows.shape[1:]))
    collectives.reduce_scatter_single(out, rows, _OPS[how], _group(grid, m))
    return out[: part(size, n, _at(grid)[m])[1]].movedim(0, dim).contiguous()  # type: ignore[no-any-return]


def _turned(t: Tensor, dim: int, to: int, shape: tuple[int, ...], grid: Grid, m: int) -> Tensor:
    """Cut along another dim: each sends to each what it is to have of its part. ``shape``: that of the whole."""
    n, me = grid.shape[m], _at(grid)[m]
    each, theirs = -(-shape[dim] // n), -(-shape[to] // n)
    rows = _padded(_padded(t, dim, each), to, theirs * n)
    sent = torch.stack([rows.narrow(to, k * theirs, theirs) for k in range(n)]).contiguous()
    got = torch.empty_like(sent)
    collectives.all_to_all_single(got.view(n, -1), sent.view(n, -1), group=_group(grid, m))
    whole = torch.cat(list(got.unbind(0)), dim)
    return whole.narrow(dim, 0, shape[dim]).narrow(to, 0, part(shape[to], n, me)[1]).contiguous()  # type: ignore[no-any-return]


entries.move = move
