"""Gather and scatter. Indices are valid where the program is; those in the padding are masked where they would write."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .dims import Frame, is_symbolic
from .layout import part, written
from .table import NoRule, rule
from .value import Padded, fit, single, valid, whole

__all__: list[str] = []


def _fill(given: Any, kind: Any) -> Any:
    """What a gather gives for an index that is out of range (JAX's choice)."""
    if given is not None:
        return given
    if jnp.issubdtype(kind, jnp.inexact):
        return np.nan
    if kind == np.bool_:
        return True
    return jnp.iinfo(kind).min if jnp.issubdtype(kind, jnp.signedinteger) else jnp.iinfo(kind).max


def _windows(f: Frame, p: Padded, sizes: Any) -> list[int]:
    """The lengths of the slices that a gather or scatter takes along each dim of ``p``."""
    out = []
    for (d,), n, length in zip(p.dims, sizes, p.array.shape, strict=True):
        if is_symbolic(n):
            if not n == d:
                raise NoRule("a gather or scatter of slices of changing size")
            out.append(length)
        else:
            out.append(int(n))
    return out


def _limits(f: Frame, p: Padded, sizes: Any, mapped: Any) -> list[Any] | None:
    """The largest start along each indexed dim; None if the array's own length says it."""
    if not any(is_symbolic(p.dims[i][0]) for i in mapped):
        return None
    return [f.true(p.dims[i][0]) - f.true(sizes[i]) for i in mapped]


def _inside(index: Any, limits: list[Any]) -> Any:
    high = jnp.stack([jnp.asarray(x, np.int64) for x in limits])
    wide = index.astype(np.int64)
    return jnp.all((wide >= 0) & (wide <= high), axis=-1)


def _batch(f: Frame, index: Padded, special: bool) -> Padded:
    """Indices whose batch dims may be products, unless dims of the operand depend on their places."""
    last = len(index.dims) - 1
    return whole(f, index) if special else whole(f, index, [last])


@rule("gather")
def _gather(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    g, q = eqn.params["dimension_numbers"], eqn.params
    p = whole(f, ps[0])
    n_batch = len(ps[1].dims) - 1
    if n_batch == 0 and q["mode"] != lax.GatherScatterMode.FILL_OR_DROP:
        return _one_slice(f, p, ps[1].array, g, f.dims(q["slice_sizes"]))
    index = _batch(f, ps[1], bool(g.start_indices_batching_dims) or any(o < n_batch for o in g.offset_dims))
    extra = index.array.ndim - len(index.dims)
    sizes = f.dims(q["slice_sizes"])
    for i, j in zip(g.operand_batching_dims, g.start_indices_batching_dims, strict=True):
        n = min(p.array.shape[i], index.array.shape[j])
        p, index = Padded(fit(p.array, i, n), p.dims), Padded(fit(index.array, j, n), index.dims)
    windows = _windows(f, p, sizes)
    limits = _limits(f, p, sizes, g.start_index_map)
    at, inside = index.array, None
    if limits is not None:
        if q["mode"] == lax.GatherScatterMode.FILL_OR_DROP:
            inside = _inside(at, limits)
        else:
            high = jnp.stack([jnp.asarray(x, np.int64) for x in limits])
            at = jnp.clip(at.astype(np.int64), 0, high).astype(at.dtype)
    numbers = lax.GatherDimensionNumbers(
        tuple([o + extra if o >= n_batch else o for o in g.offset_dims]), g.collapsed_slice_dims, g.start_index_map, g.operand_batching_dims, g.start_indices_batching_dims
    )
    out = lax.gather(p.array, at, numbers, windows, mode=q["mode"], fill_value=q["fill_value"])
    if inside is not None:
        lined_up = [1 if a in numbers.offset_dims else n for a, n in enumerate(out.shape)]
        out = jnp.where(inside.reshape(lined_up), out, jnp.asarray(_fill(q["fill_value"], out.dtype), out.dtype))
    shape, batch = f.out(eqn), iter(index.dims[:-1])
    return Padded(out, tuple([(d,) if i in g.offset_dims else next(batch) for i, d in enumerate(shape)]))


def _starts(f: Frame, p: Padded, index: Any, mapped: Any, sizes: Any) -> list[Any]:
    """Where the one slice of a gather or scatter begins, moved so that it is inside."""
    out: list[Any] = [np.int64(0)] * len(p.dims)
    for k, i in enumerate(mapped):
        if not sizes[i] == p.dims[i][0]:
            out[i] = jnp.clip(index[k].astype(np.int64), 0, f.true(p.dims[i][0]) - f.true(sizes[i]))
    return out


def _one_slice(f: Frame, p: Padded, index: Any, g: Any, sizes: Any) -> Padded:
    array = p.array
    for axis, at in enumerate(_starts(f, p, index, g.start_index_map, sizes)):
        if not sizes[axis] == p.dims[axis][0]:
            array = part(f, array, axis, at, f.pad(sizes[axis]))
    kept = [i for i in range(len(sizes)) if i not in g.collapsed_slice_dims]
    return Padded(lax.squeeze(array, g.collapsed_slice_dims), single([sizes[i] for i in kept]))


_SCATTERS: dict[str, Any] = {"add": lax.scatter_add, "mul": lax.scatter_mul, "min": lax.scatter_min, "max": lax.scatter_max, "sub": getattr(lax, "scatter_sub", None)}
_JOINS: dict[str, Any] = {"add": lax.add, "mul": lax.mul, "min": lax.min, "max": lax.max, "sub": lax.sub}


@rule("scatter", "scatter-add", "scatter_add", "scatter-mul", "scatter_mul", "scatter-min", "scatter_min", "scatter-max", "scatter_max", "scatter-sub", "scatter_sub")
def _scatter(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    g, q = eqn.params["dimension_numbers"], eqn.params
    p = whole(f, ps[0])
    n_batch = len(ps[1].dims) - 1
    if n_batch == 0 and q["mode"] != lax.GatherScatterMode.FILL_OR_DROP:
        new = whole(f, ps[2])
        sizes: list[Any] = [1 if i in g.inserted_window_dims else None for i in range(len(p.dims))]
        rest = iter(new.dims)
        dims = [(1,) if n == 1 else next(rest) for n in sizes]
        lengths = iter(new.array.shape)
        new = Padded(new.array.reshape([1 if n == 1 else next(lengths) for n in sizes]), tuple(dims))
        at = _starts(f, p, ps[1].array, g.scatter_dims_to_operand_dims, [d for (d,) in dims])
        return Padded(written(f, p, new, at, _JOINS.get(eqn.primitive.name[8:])), p.dims)
    at_batch = [i for i in range(len(ps[2].dims)) if i not in g.update_window_dims]
    merged = any(len(d) > 1 for d in ps[1].dims[:-1])
    alike = all(tuple(map(str, a)) == tuple(map(str, ps[2].dims[i])) for a, i in zip(ps[1].dims[:-1], at_batch, strict=True))
    special = bool(g.scatter_indices_batching_dims) or any(o < n_batch for o in g.update_window_dims) or not alike
    index = _batch(f, ps[1], special and merged)
    new = whole(f, ps[2]) if special else whole(f, ps[2], g.update_window_dims)
    if special:
        index = whole(f, index)
    extra = index.array.ndim - len(index.dims)
    # The batch axes of indices and updates, and the windows and those of the operand, are made equally long.
    window_dims = [i for i in range(len(p.dims)) if i not in g.inserted_window_dims and i not in g.operand_batching_dims]
    windows = dict(zip(window_dims, g.update_window_dims, strict=True))
    u, at, operand = new.array, index.array, p.array
    for k, axis in enumerate(new.axes_of(at_batch)):
        n = min(u.shape[axis], at.shape[k])
        u, at = fit(u, axis, n), fit(at, k, n)
    for i, j in zip(g.operand_batching_dims, g.scatter_indices_batching_dims, strict=True):
        n = operand.shape[i]
        if at.shape[j] > n:
            at = fit(at, j, n)
            u = fit(u, new.axes(at_batch[j])[0], n)
        elif at.shape[j] < n:
            raise NoRule("a scatter into more rows than there are indices")
    sizes = [1] * len(p.dims)
    for i, j in windows.items():
        (axis,), (n,), (d,) = new.axes(j), new.dims[j], p.dims[i]
        if is_symbolic(n):
            if not n == d:
                raise NoRule("a scatter of slices of changing size")
            u = fit(u, axis, operand.shape[i])
        sizes[i] = n
    mode = q["mode"]
    limits = _limits(f, p, sizes, g.scatter_dims_to_operand_dims)
    if at.dtype.itemsize < 4:
        at = at.astype(np.int32)
    if mode != lax.GatherScatterMode.FILL_OR_DROP and limits is not None:
        at = jnp.clip(at.astype(np.int64), 0, jnp.stack([jnp.asarray(x, np.int64) for x in limits])).astype(at.dtype)
    trimmed = Padded(at, index.dims)
    mask = valid(f, trimmed, list(range(at.ndim - 1)))
    if mask is not None and at.shape[-1] == 0:
        raise NoRule("a scatter without indices")
    if mask is not None:
        if mode != lax.GatherScatterMode.FILL_OR_DROP and limits is None:
            high = np.array([operand.shape[i] - (operand.shape[i] if is_symbolic(sizes[i]) else sizes[i]) for i in g.scatter_dims_to_operand_dims], np.int64)
            at = jnp.clip(at.astype(np.int64), 0, high).astype(at.dtype)
        at = jnp.where(mask, at, jnp.iinfo(at.dtype).max)  # out of range, so dropped
        mode = lax.GatherScatterMode.FILL_OR_DROP
    numbers = lax.ScatterDimensionNumbers(
        tuple([o + extra if o >= n_batch else o for o in g.update_window_dims]), g.inserted_window_dims, g.scatter_dims_to_operand_dims,
        g.operand_batching_dims, g.scatter_indices_batching_dims,
    )  # fmt: skip
    function = _SCATTERS.get(eqn.primitive.name[8:], lax.scatter)
    return Padded(function(operand, at, u, numbers, mode=mode), p.dims)


