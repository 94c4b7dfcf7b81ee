"""What the reductions share: dims of a reduction, picking one element with its gradient, empty inputs."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops._lib import dim_of, dims_of, is_float, place_type, positions, size_as


def axes_of(dim: Any, x: Any) -> tuple[int, ...]:
    """The axes that ``dim`` (None, (), an int or several) names. RuntimeError beyond 64 dims or when one comes twice."""
    if x.ndim > 64:
        raise RuntimeError("only tensors with up to 64 dims are supported")
    if isinstance(dim, int):
        dim = (dim,)
    return dims_of(dim, x.ndim)


def check_dims(dim: Any, x: Any) -> None:
    """Raise torch's errors for dims that a 0-dim input would otherwise let pass."""
    for d in dim or ():
        dim_of(d, x.ndim)


def count_of(x: Any, axes: tuple[int, ...]) -> int:
    """How many elements each result is made of."""
    return math.prod(x.shape[a] for a in axes)


def keep(x: Any, axes: tuple[int, ...]) -> Any:
    """The reduced axes back, with size 1."""
    return jnp.expand_dims(x, axes) if axes else x


def whole_or_dim(name: str, x: Any, dim: Any) -> None:
    """Raise torch's error for a reduction without identity over nothing."""
    if dim is None or dim == ():
        if x.size == 0:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        return
    for given in dim if isinstance(dim, tuple) else (dim,):
        d = dim_of(given, x.ndim)
        if x.ndim and x.shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {given if isinstance(dim, tuple) else d} to have non-zero size.")


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _picked(x: Any, index: Any, values: Any, axis: int) -> Any:
    del x, index, axis
    return values


@_picked.defjvp
def _picked_rule(axis: int, primals: Any, tangents: Any) -> Any:
    x, index, values = primals
    here = lax.broadcasted_iota(index.dtype, x.shape, axis) == jnp.expand_dims(index, axis)
    return values, jnp.sum(jnp.where(here, tangents[0], jnp.zeros_like(x)), axis)


def picked(x: Any, index: Any, values: Any, axis: int) -> Any:
    """``values``, known to be ``x`` at the int32 ``index`` along ``axis``, with that derivative.

    The derivative is a masked sum, whose transpose is a masked broadcast: no scatter in the backward pass."""
    return _picked(x, index, values, axis) if jnp.issubdtype(x.dtype, jnp.inexact) else values


def same(x: Any, best: Any) -> Any:
    """Where ``x`` is ``best``, nan being itself."""
    return (x == best) | ((x != x) & (best != best)) if is_float(x) else x == best


def shares(mask: Any, count: Any) -> Any:
    """1 where the mask is, else 0, in the type of ``count``; nan where the count of the mask is 0: torch has 0 * (gradient / 0) there, of which XLA would make 0."""
    return jnp.where(mask, jnp.ones((), count.dtype), jnp.where(count == 0, jnp.full((), np.nan, count.dtype), jnp.zeros((), count.dtype)))


@jax.custom_jvp
def spread_evenly(x: Any, value: Any) -> Any:
    """``value``, known to be one of the elements of ``x``: all that are equal to it (nan to nan) share its gradient."""
    del x
    return value


@spread_evenly.defjvp
def _spread_rule(primals: Any, tangents: Any) -> Any:
    (x, value), (t, _) = primals, tangents
    mask = same(x, value)
    high = t.astype(np.float32) if t.dtype.itemsize == 2 else t
    total = jnp.sum(jnp.where(mask, high, jnp.zeros_like(high)))
    return value, (total / jnp.sum(mask, dtype=high.dtype)).astype(t.dtype)


def order_key(x: Any) -> Any:
    """Bools as integers, which every XLA reduction takes."""
    return x.astype(np.uint8) if x.dtype == np.bool_ else x


def insertion_points(rows: Any, values: Any, right: bool) -> Any:
    """Where (int32 where that holds it) each of the values would be put into a 1-d sorted array of any length, by halving, as torch does it."""

    def halve(_: Any, bounds: Any) -> Any:
        low, high = bounds
        mid = (low + high) // 2
        there = jnp.take(rows, mid, mode="clip")
        after = ~(there > values) if right else ~(there >= values)
        open = low < high
        return jnp.where(open & after, mid + 1, low), jnp.where(open & ~after, mid, high)

    kind = place_type(rows.shape[0])
    none = jnp.zeros(values.shape, kind)
    return lax.fori_loop(0, 32 if kind is np.int32 else 64, halve, (none, none + size_as(rows.shape[0], kind)))[0]


def pairs_above(n: Any, first: int) -> tuple[Any, Any]:
    """Rows and columns of a square matrix from its ``first`` diagonal (0 or 1) up, row after row."""
    if isinstance(n, int):
        return np.triu_indices(n, first)
    starts = jnp.cumsum(size_as(n - first, np.int64) - positions(n)) - (size_as(n - first, np.int64) - positions(n))
    k = positions(n * (n - 1) // 2 if first else n * (n + 1) // 2)
    row = insertion_points(starts, k, True).astype(np.int64) - 1
    row = jnp.minimum(row, size_as(n - 1 - first, np.int64))
    return row, k - jnp.take(starts, row, mode="clip") + row + first


def at_least_1d(x: Any) -> Any:
    return x.reshape(1) if x.ndim == 0 else x
