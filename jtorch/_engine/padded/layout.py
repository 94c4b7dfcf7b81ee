"""Primitives that move elements or make shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .dims import Frame, is_symbolic, product
from .table import NoRule, rule
from .value import Padded, fit, is_one, masked, regroup, single, unified, valid, whole

__all__ = ["index", "part", "written"]


def index(x: Any) -> Any:
    """A size or position as an array that lax takes for a start."""
    return jnp.asarray(x, np.int64)


def _starts(ndim: int, axis: int, at: Any) -> list[Any]:
    return [index(at if i == axis else 0) for i in range(ndim)]


@rule("iota")
def _iota(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    shape = f.out(eqn)
    return Padded(lax.broadcasted_iota(eqn.params["dtype"], [f.pad(d) for d in shape], eqn.params["dimension"]), single(shape))


@rule("empty", "empty2")
def _empty(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    shape = f.out(eqn)
    return Padded(jnp.zeros([f.pad(d) for d in shape], eqn.outvars[0].aval.dtype), single(shape))


@rule("dim_as_value")
def _dim_as_value(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    return Padded(jnp.asarray(f.true(f.dim(eqn.params["dim"])), eqn.outvars[0].aval.dtype), ())


@rule("broadcast_in_dim")
def _broadcast(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p, shape, places = ps[0], f.out(eqn), eqn.params["broadcast_dimensions"]
    dims: list[tuple[Any, ...]] = []
    lengths: list[int] = []
    axes: dict[int, list[int]] = {}
    for j, d in enumerate(shape):
        i = places.index(j) if j in places else None
        if i is None:
            dims.append((d,))
            lengths.append(f.pad(d))
        elif is_one(p.dims[i]) and not is_one((d,)):
            axes[i] = [len(lengths) + k for k in range(len(p.dims[i]))]
            dims.append((d,) + (1,) * (len(p.dims[i]) - 1))
            lengths += [f.pad(d)] + [1] * (len(p.dims[i]) - 1)
        else:
            axes[i] = [len(lengths) + k for k in range(len(p.dims[i]))]
            dims.append(p.dims[i])
            lengths += [p.array.shape[a] for a in p.axes(i)]
    order = [a for i in range(len(p.dims)) for a in axes[i]]
    out = Padded(lax.broadcast_in_dim(p.array, lengths, order), tuple(dims))
    return regroup(f, out, shape) if any(len(d) > 1 and 1 in d for d in out.dims if not all(map(is_symbolic, d))) else out


@rule("reshape")
def _reshape(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p, order = ps[0], eqn.params["dimensions"]
    if order is not None:  # transposed first
        p = Padded(lax.transpose(p.array, p.axes_of(order)), tuple([p.dims[i] for i in order]))
    return regroup(f, p, f.out(eqn))


@rule("squeeze")
def _squeeze(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p, gone = ps[0], [i % len(ps[0].dims) for i in eqn.params["dimensions"]]
    return Padded(lax.squeeze(p.array, p.axes_of(gone)), tuple([d for i, d in enumerate(p.dims) if i not in gone]))


@rule("expand_dims")
def _expand(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    return regroup(f, ps[0], f.out(eqn))


@rule("transpose")
def _transpose(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p, order = ps[0], eqn.params["permutation"]
    return Padded(lax.transpose(p.array, p.axes_of(order)), tuple([p.dims[i] for i in order]))


@rule("rev")
def _rev(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p = whole(f, ps[0], eqn.params["dimensions"])
    array = p.array
    for i in eqn.params["dimensions"]:
        (axis,), d = p.axes(i), p.dims[i][0]
        array = jnp.take(array, f.true(d) - 1 - lax.iota(np.int64, array.shape[axis]), axis=axis, mode="clip") if is_symbolic(d) else lax.rev(array, (axis,))
    return Padded(array, p.dims)


# ---- parts -------------------------------------------------------------------------------------------------------------------


def part(f: Frame, array: Any, axis: int, start: Any, length: int, stride: int = 1) -> Any:
    """``length`` elements of an axis from ``start`` (an int, or a number known at run time); what lies behind the end is padding."""
    reach = (length - 1) * stride + 1 if length else 0
    if isinstance(start, int | np.int64):
        start = int(start)
        return lax.slice_in_dim(fit(array, axis, max(array.shape[axis], start + reach)), start, start + reach, stride, axis)
    array = fit(array, axis, array.shape[axis] + reach)  # so that the start is never moved
    array = lax.dynamic_slice_in_dim(array, index(start), reach, axis)
    return lax.slice_in_dim(array, 0, reach, stride, axis) if stride > 1 else array


@rule("slice")
def _slice(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p, shape = ps[0], f.out(eqn)
    starts, strides = f.dims(eqn.params["start_indices"]), eqn.params["strides"] or (1,) * len(shape)
    for i, (start, stride) in enumerate(zip(starts, strides, strict=True)):
        if not is_symbolic(start) and start == 0 and stride == 1 and shape[i] == product(p.dims[i]):
            continue
        p = whole(f, p, [i])
        (axis,) = p.axes(i)
        array = part(f, p.array, axis, f.true(start), f.pad(shape[i]), stride)
        p = Padded(array, (*p.dims[:i], (shape[i],), *p.dims[i + 1 :]))
    return p


@rule("stack")
def _stack(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    ps, dims = unified(f, ps, f.dims(eqn.invars[0].aval.shape))
    i = eqn.params["axis"]
    axis = sum(len(d) for d in dims[:i])
    return Padded(jnp.stack([p.array for p in ps], axis), (*dims[:i], (len(ps),), *dims[i:]))


@rule("unstack")
def _unstack(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    i = eqn.params["axis"]
    p = whole(f, ps[0], [i])
    (axis,) = p.axes(i)
    return [Padded(lax.index_in_dim(p.array, k, axis, False), (*p.dims[:i], *p.dims[i + 1 :])) for k in range(len(eqn.outvars))]


@rule("tile")
def _tile(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p, k = ps[0], 0
    dims: list[tuple[Any, ...]] = []
    array = p.array
    for d, times in zip(p.dims, f.dims(eqn.params["reps"]), strict=True):
        one = not is_symbolic(times) and times == 1
        if not one:  # the repetitions are a factor of their own
            array = jnp.broadcast_to(jnp.expand_dims(array, k), (*array.shape[:k], f.pad(times), *array.shape[k:]))
        k += len(d) + (not one)
        dims.append(d if one else (times, *d))
    return regroup(f, Padded(array, tuple(dims)), f.out(eqn))


@rule("split")
def _split(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    i, sizes = eqn.params["axis"], f.dims(eqn.params["sizes"])
    p = whole(f, ps[0], [i])
    (axis,) = p.axes(i)
    out, at = [], 0
    for n in sizes:
        array = part(f, p.array, axis, f.true(at), f.pad(n))
        out.append(Padded(array, (*p.dims[:i], (n,), *p.dims[i + 1 :])))
        at = at + n
    return out


@rule("dynamic_slice")
def _dynamic_slice(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    shape = f.out(eqn)
    p = whole(f, ps[0])
    array = p.array
    for axis, (start, n) in enumerate(zip(ps[1:], shape, strict=True)):
        d = p.dims[axis][0]
        if is_symbolic(n) and n == d:
            array = fit(array, axis, f.pad(n))
            continue
        array = part(f, array, axis, _inside(start.array, f.true(d) - f.true(n)), f.pad(n))
    return Padded(array, single(shape))


@rule("dynamic_update_slice")
def _dynamic_update_slice(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p, new = whole(f, ps[0]), whole(f, ps[1])
    at = [np.int64(0) if n == d else _inside(s.array, f.true(d) - f.true(n)) for s, (d,), (n,) in zip(ps[2:], p.dims, new.dims, strict=True)]
    return Padded(written(f, p, new, at), p.dims)


def _inside(start: Any, most: Any) -> Any:
    """A start, moved so that what begins there is inside: a number where it is known, since XLA makes less of an operation with constants in it than of a constant."""
    if isinstance(most, int) and isinstance(start, np.ndarray):
        return np.int64(min(max(int(start), 0), most))
    return jnp.clip(start.astype(np.int64), 0, most)


def written(f: Frame, p: Padded, new: Padded, at: Sequence[Any], join: Any = None) -> Any:
    """The array of ``p`` with the valid elements of ``new`` written from ``at`` on, or what ``join`` makes of what is there and them. Its length stays."""
    array, lengths = p.array, p.array.shape
    part = [axis for axis, ((d,), (n,)) in enumerate(zip(p.dims, new.dims, strict=True)) if not n == d]
    mask = valid(f, new, part)  # along the others padding meets padding
    for axis, (n,) in enumerate(new.dims):
        if axis not in part:
            new = Padded(fit(new.array, axis, lengths[axis]), new.dims)
        elif is_symbolic(n):
            array = fit(array, axis, lengths[axis] + new.array.shape[axis])
    made = new.array
    if mask is not None or join is not None:
        before = lax.dynamic_slice(array, at, made.shape)
        made = made if join is None else join(before, made)
        made = made if mask is None else jnp.where(mask, made, before)
    array = lax.dynamic_update_slice(array, made, at)
    for axis, n in enumerate(lengths):
        array = fit(array, axis, n)
    return array


@rule("concatenate")
def _concatenate(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    i, shape = eqn.params["dimension"], f.out(eqn)
    others = [j for j in range(len(shape)) if j != i]
    ps = [whole(f, p, [i]) for p in ps]
    if any({tuple(map(str, p.dims[j])) for p in ps} != {tuple(map(str, ps[0].dims[j]))} for j in others):
        ps = [whole(f, p) for p in ps]
    (axis,) = ps[0].axes(i)
    ndim = ps[0].array.ndim
    least = [min(p.array.shape[a] for p in ps) for a in range(ndim)]
    arrays = []
    for p in ps:
        array = p.array
        for a in range(ndim):
            array = array if a == axis else fit(array, a, least[a])
        arrays.append(array)
    dims = tuple([(shape[i],) if j == i else d for j, d in enumerate(ps[0].dims)])
    if not any(is_symbolic(p.dims[i][0]) for p in ps[:-1]):
        return Padded(fit(lax.concatenate(arrays, axis), axis, f.pad(shape[i])), dims)
    # A later piece overwrites the padding of an earlier one.
    length = f.pad(shape[i])
    spare = max([a.shape[axis] for p, a in zip(ps[1:], arrays[1:], strict=True) if is_symbolic(p.dims[i][0])], default=0)
    out = fit(arrays[0], axis, max(length, arrays[0].shape[axis]) + spare)
    at: Any = ps[0].dims[i][0]
    for p, array in zip(ps[1:], arrays[1:], strict=True):
        out = lax.dynamic_update_slice(out, array, _starts(ndim, axis, f.true(at)))
        at = at + p.dims[i][0]
    return Padded(fit(out, axis, length), dims)


@rule("pad")
def _pad(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    shape, fill = f.out(eqn), ps[1].array
    config = [tuple(f.dims(c)) for c in eqn.params["padding_config"]]
    touched = [i for i, c in enumerate(config) if any(is_symbolic(x) or x for x in c)]
    p = whole(f, ps[0], touched)
    array = masked(f, p, fill, p.axes_of(touched))
    for i in touched:
        (axis,), (low, _, interior) = p.axes(i), config[i]
        if is_symbolic(interior):
            raise NoRule("pad with a changing interior")
        n, length = array.shape[axis], f.pad(shape[i])
        if is_symbolic(low):  # which may be below zero: then elements go from the front
            long = lax.pad(array, fill, [(length, length, interior) if a == axis else (0, 0, 0) for a in range(array.ndim)])
            array = lax.dynamic_slice_in_dim(long, index(length - f.true(low)), length, axis)
            continue
        high = length - low - (n + max(n - 1, 0) * interior)
        array = lax.pad(array, fill, [(low, high, interior) if a == axis else (0, 0, 0) for a in range(array.ndim)])
    return Padded(array, tuple([(shape[i],) if i in touched else d for i, d in enumerate(p.dims)]))
