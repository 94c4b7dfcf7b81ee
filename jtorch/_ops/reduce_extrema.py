"""Largest and smallest: max, min, amax, amin, aminmax, argmax, argmin, and their running forms."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops._lib import apart, dim_of, dtype_of, is_complex, is_float, place_type
from jtorch._ops._pointwise import refuse, refuse_with
from jtorch._ops._reduce import axes_of, check_dims, keep, order_key, picked, same, shares, spread_evenly, whole_or_dim
from jtorch._registry import op


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 2))
def _extreme(fn: Any, x: Any, axes: tuple[int, ...]) -> Any:
    return fn(x, axes)


@_extreme.defjvp
def _extreme_rule(fn: Any, axes: tuple[int, ...], primals: Any, tangents: Any) -> Any:
    # Equal extremes share the gradient evenly. A nan equals nothing: torch divides by no element at all, and everything gets nan.
    (x,), (t,) = primals, tangents
    best = _extreme(fn, x, axes)
    high = t.astype(np.float32) if t.dtype.itemsize == 2 else t
    mask = x == keep(best, axes)
    count = jnp.sum(mask, axes, dtype=high.dtype)
    return best, (jnp.sum(shares(mask, keep(count, axes)) * high, axes) / count).astype(t.dtype)


def _reduced(fn: Any, x: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    out = _extreme(fn, x, axes) if is_float(x) else fn(order_key(x), axes).astype(x.dtype)
    return keep(out, axes) if keepdim else out


def _first_place(x: Any, best: Any, axis: int) -> Any:
    """The position (int32 where that holds it) of the first element equal to ``best`` (size 1 along the axis), or of the first nan."""
    if place_type(x.shape[axis]) is np.int64:
        return lax.argmax(same(x, best), axis, np.int64)
    # A masked minimum of positions: XLA's own argmax is many times slower on CPU.
    places = lax.broadcasted_iota(np.int32, x.shape, axis)
    return jnp.min(jnp.where(same(x, best), places, np.int32(2**31 - 1)), axis)


def _along(fn: Any, name: str, x: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    dim = dim_of(dim, x.ndim)
    whole_or_dim(name, x, dim)
    refuse_with(f"{name}(): does not support complex input", x, "c")
    if x.ndim == 0:
        return x, jnp.zeros((), np.int64)
    key = order_key(lax.stop_gradient(x))
    best = fn(key, dim)
    index = _first_place(key, jnp.expand_dims(best, dim), dim)
    values = apart(picked(x, index, best.astype(x.dtype), dim))
    index = index.astype(np.int64)
    return (jnp.expand_dims(values, dim), jnp.expand_dims(index, dim)) if keepdim else (values, index)


def _all_of(fn: Any, name: str, x: Any) -> Any:
    refuse(f"{name}_all", x, "c")
    whole_or_dim(name, x, None)
    axes = tuple(range(x.ndim))
    return spread_evenly(x, fn(lax.stop_gradient(x), axes)) if is_float(x) else _reduced(fn, x, axes, False)


@op("max(Tensor input)", grad_name="MaxBackward1")
def max(input: Any) -> Any:
    """The largest element; nan if there is one. RuntimeError when empty."""
    return _all_of(jnp.max, "max", input)


@op("max(Tensor input, int dim, bool keepdim=False) -> (values, indices)", grad_name="MaxBackward0", unsaved="input", kept="indices")
def max_dim(input: Any, dim: int, keepdim: bool) -> Any:
    """The largest along a dim and where it first stands (int64)."""
    return _along(jnp.max, "max", input, dim, keepdim)


@op("min(Tensor input)", grad_name="MinBackward1")
def min(input: Any) -> Any:
    """The smallest element; nan if there is one. RuntimeError when empty."""
    return _all_of(jnp.min, "min", input)


@op("min(Tensor input, int dim, bool keepdim=False) -> (values, indices)", grad_name="MinBackward0", unsaved="input", kept="indices")
def min_dim(input: Any, dim: int, keepdim: bool) -> Any:
    """The smallest along a dim and where it first stands (int64)."""
    return _along(jnp.min, "min", input, dim, keepdim)


_SAME_TYPE = "Expected the dtype for input and out to match, but got {0} for input's dtype and {1} for out's dtype."


def _over_dims(fn: Any, name: str, x: Any, dim: Any, keepdim: bool) -> Any:
    check_dims(dim, x)
    axes = axes_of(dim, x)
    whole_or_dim(name, x, dim)
    if x.size:
        refuse(f"{name[1:]}_values_cpu", x, "c")
    elif is_complex(x):
        return jnp.zeros([n for d, n in enumerate(x.shape) if d not in axes] if not keepdim else [1 if d in axes else n for d, n in enumerate(x.shape)], x.dtype)
    return _reduced(fn, x, axes, keepdim)


@op("amax(Tensor input, int[1] dim=(), bool keepdim=False)", out=_SAME_TYPE)
def amax(input: Any, dim: Any, keepdim: bool) -> Any:
    """The largest over dims; ties share the gradient."""
    return _over_dims(jnp.max, "amax", input, dim, keepdim)


@op("amin(Tensor input, int[1] dim=(), bool keepdim=False)", out=_SAME_TYPE)
def amin(input: Any, dim: Any, keepdim: bool) -> Any:
    """The smallest over dims; ties share the gradient."""
    return _over_dims(jnp.min, "amin", input, dim, keepdim)


@op("aminmax(Tensor input, *, int? dim=None, bool keepdim=False) -> (min, max)", out="exact", kept="min max")
def aminmax(input: Any, dim: int | None, keepdim: bool) -> Any:
    """Smallest and largest at once."""
    if input.ndim > 64:
        raise RuntimeError("only tensors with up to 64 dims are supported")
    if dim is None:
        refuse("aminmax_cpu", input, "c")
        if input.size == 0:
            raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
        axes = tuple(range(input.ndim))
    else:
        dim = dim_of(dim, input.ndim)
        if input.ndim and input.shape[dim] == 0:
            raise IndexError(f"aminmax: Expected reduction dim {dim} to have non-zero size.")
        if input.ndim == 0:
            refuse_with(f"aminmax not implemented for {dtype_of(input).legacy}", input, "c")
        refuse("aminmax_cpu", input, "c")
        axes = (dim,) if input.ndim else ()
    return _reduced(jnp.min, input, axes, keepdim), _reduced(jnp.max, input, axes, keepdim)


def _place(fn: Any, name: str, x: Any, dim: int | None, keepdim: bool) -> Any:
    refuse_with(f"{name}(): does not support complex input", x, "c")
    refuse_with(f"{name}(): does not support bool input", x, "b")
    if dim is None:
        if x.size == 0:
            raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        flat = x.reshape(-1)
        index = _first_place(flat, fn(flat, 0, keepdims=True), 0).astype(np.int64)
        return index.reshape((1,) * x.ndim) if keepdim else index
    dim = dim_of(dim, x.ndim)
    if x.ndim == 0:
        return jnp.zeros((), np.int64)
    whole_or_dim(name, x, dim)
    index = _first_place(x, fn(x, dim, keepdims=True), dim).astype(np.int64)
    return jnp.expand_dims(index, dim) if keepdim else index


@op("argmax(Tensor input, int? dim=None, bool keepdim=False)", out="exact")
def argmax(input: Any, dim: int | None, keepdim: bool) -> Any:
    """Where the largest element first stands, in the flattened tensor or along a dim (int64)."""
    return _place(jnp.max, "argmax", input, dim, keepdim)


@op("argmin(Tensor input, int? dim=None, bool keepdim=False)", out="exact")
def argmin(input: Any, dim: int | None, keepdim: bool) -> Any:
    """Where the smallest element first stands, in the flattened tensor or along a dim (int64)."""
    return _place(jnp.min, "argmin", input, dim, keepdim)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _gathered(x: Any, index: Any, values: Any, axis: int) -> Any:
    del x, index, axis
    return values


@_gathered.defjvp
def _gathered_rule(axis: int, primals: Any, tangents: Any) -> Any:
    _, index, values = primals
    return values, jnp.take_along_axis(tangents[0], index, axis)


def _running(fn: Any, name: str, x: Any, dim: int) -> tuple[Any, Any]:
    if x.ndim == 0:
        if not -1 <= dim < 1:
            raise IndexError(f"{name}(): Expected reduction dim -1 or 0 for scalar but got {dim}")
        return x, jnp.zeros((), np.int64)
    if x.size == 0:  # torch does not look further
        return x, jnp.zeros(x.shape, np.int64)
    dim = dim_of(dim, x.ndim)
    refuse(f"{name}_cpu", x, "c")
    key = order_key(lax.stop_gradient(x))
    values = fn(key, dim)
    # The last of equal values counts, and any nan after the first.
    updates = (key == values) | (key != key)
    places = lax.broadcasted_iota(np.int64, x.shape, dim)
    index = lax.cummax(jnp.where(updates, places, np.int64(0)), dim)
    values = values.astype(x.dtype)
    return (_gathered(x, index, values, dim) if is_float(x) else values), index


@op("cummax(Tensor input, int dim) -> (values, indices)", residuals="save", kept="input indices")
def cummax(input: Any, dim: int) -> Any:
    """The largest so far along a dim, and where it stands."""
    return _running(lax.cummax, "cummax", input, dim)


@op("cummin(Tensor input, int dim) -> (values, indices)", residuals="save", kept="input indices")
def cummin(input: Any, dim: int) -> Any:
    """The smallest so far along a dim, and where it stands."""
    return _running(lax.cummin, "cummin", input, dim)
