"""Order: sort, topk and friends, and the operators whose shape depends on values (nonzero, unique)."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from ._lib import dim_of, place_type
from ._linalg_lib import scalar_name
from ._order import largest_places, sort_with_index
from ._reduce import insertion_points


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _in_order(x: Any, descending: bool) -> tuple[Any, Any]:
    """Sorted along the last dim, stable; with where each came from."""
    return sort_with_index(x, x.ndim - 1, descending)


@_in_order.defjvp
def _in_order_rule(descending: bool, primals: Any, tangents: Any) -> Any:
    values, where = _in_order(*primals, descending)
    moved = jnp.take_along_axis(tangents[0], where, -1, mode="promise_in_bounds")
    return (values, where), (moved, jax.custom_derivatives.zero_from_primal(where))


def sorted_along(x: Any, dim: int, descending: bool) -> tuple[Any, Any]:
    """(values, int32 positions) along ``dim``, stable in both directions."""
    last = x.ndim - 1
    values, where = _in_order(jnp.moveaxis(x, dim, last) if dim != last else x, descending)
    if dim != last:
        values, where = jnp.moveaxis(values, last, dim), jnp.moveaxis(where, last, dim)
    return values, where


def _sort(input: Any, dim: int, descending: bool) -> tuple[Any, Any]:
    dim = dim_of(dim, input.ndim)
    if jnp.iscomplexobj(input):
        raise RuntimeError(" Sort does not support complex dtypes on CPU")
    if input.ndim == 0:
        return input, jnp.zeros((), np.int64)
    values, where = sorted_along(input, dim, descending)
    return values, where.astype(np.int64)


@op(
    "sort(Tensor input, int dim=-1, bool descending=False) -> (values, indices)",
    "sort(Tensor input, *, bool? stable=None, int dim=-1, bool descending=False) -> (values, indices)", format="like", unsaved="input", kept="indices")
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool | None = None) -> tuple[Any, Any]:
    """The values in order along ``dim`` and where they came from. Equal values keep their order; NaN counts as largest."""
    return _sort(input, dim, descending)


@op(
    "argsort(Tensor input, int dim=-1, bool descending=False)",
    "argsort(Tensor input, *, bool stable=False, int dim=-1, bool descending=False)", out=False, format="like",
)  # fmt: skip
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Where the values of ``sort`` came from."""
    return _sort(input, dim, descending)[1]


@op("msort(Tensor input)", format="like", grad_name="SortBackward0", unsaved="input")
def msort(input: Any) -> Any:
    """The values in order along dim 0."""
    return _sort(input, 0, False)[0]


@op("topk(Tensor input, int k, int dim=-1, bool largest=True, bool sorted=True) -> (values, indices)", unsaved="input", kept="indices")
def topk(input: Any, k: int, dim: int, largest: bool, sorted: bool) -> tuple[Any, Any]:
    """The ``k`` largest (or smallest) values along ``dim`` in order, and where they are."""
    dim = dim_of(dim, input.ndim)
    if not 0 <= k <= (input.shape[dim] if input.ndim else 1):
        raise RuntimeError("selected index k out of range")
    if input.dtype == np.bool_:
        raise RuntimeError("topk does not support bool dtypes on CPU")
    if jnp.iscomplexobj(input):
        raise RuntimeError(" topk does not support complex dtypes on CPU")
    if input.ndim == 0:
        return (input, jnp.zeros((), np.int64)) if k else (jnp.zeros((0,), input.dtype), jnp.zeros((0,), np.int64))
    last = input.ndim - 1
    x = jnp.moveaxis(input, dim, last) if dim != last else input
    if 0 < k < x.shape[last]:
        where = largest_places(jax.lax.stop_gradient(x), k, largest)
        values = jnp.take_along_axis(x, where, last, mode="promise_in_bounds")
    else:
        values, where = sorted_along(x, last, largest)
        values, where = values[..., :k], where[..., :k]
    if dim != last:
        values, where = jnp.moveaxis(values, last, dim), jnp.moveaxis(where, last, dim)
    return values, where.astype(np.int64)


# Shapes that depend on values: numpy in, numpy out ----------------------------------------------------------------------------


@op("nonzero(Tensor input)", where="internal", data_dependent=True, format="columns")
def nonzero(input: Any) -> Any:
    """(n, dims): the positions of all elements that are not zero, in row-major order."""
    if not input.ndim:
        return np.zeros((int(input != 0), 0), np.int64)
    return np.ascontiguousarray(np.stack(np.nonzero(input), 1), np.int64)


@op("nonzero_static(Tensor input, *, int size, int fill_value=-1)", grad_name="NotImplemented")
def nonzero_static(input: Any, size: int, fill_value: int) -> Any:
    """The first ``size`` positions that ``nonzero`` finds, filled up with ``fill_value``: a shape that does not depend on values."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    if input.ndim == 0:
        return jnp.zeros((size, 0), np.int64)
    n = input.size
    if place_type(n) is np.int32:
        return jnp.stack([i.astype(np.int64) for i in jnp.nonzero(input, size=size, fill_value=fill_value)], 1)
    # JAX counts in int32 there.
    flat = insertion_points(jnp.cumsum((input != 0).reshape(-1), dtype=np.int64), jnp.arange(1, size + 1), False)
    return jnp.stack([jnp.where(flat == n, fill_value, i).astype(np.int64) for i in jnp.unravel_index(flat, input.shape)], 1)


@op("argwhere(Tensor input)", data_dependent=True, out=False, format="columns")
def argwhere(input: Any) -> Any:
    """As ``nonzero``."""
    return nonzero.fn(input)


def _refuse_complex(kernel: str, x: Any) -> None:
    if np.iscomplexobj(x):
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(x)}'")


@op("unique(Tensor input, bool return_inverse, bool return_counts)", where="internal", data_dependent=True, out=False, grad_name="Unique2Backward0")
def unique(input: Any, return_inverse: bool, return_counts: bool) -> tuple[Any, Any, Any]:
    """(values in order, where each element went, how often each came). Every NaN is a value of its own."""
    _refuse_complex("unique", input)
    flat = input.reshape(-1)
    values, inverse, counts = np.unique(flat, return_inverse=True, return_counts=True, equal_nan=False)
    return values, inverse.reshape(input.shape).astype(np.int64), counts.astype(np.int64)


@op("unique_dim(Tensor input, int dim)", where="internal", data_dependent=True, out=False)
def unique_dim(input: Any, dim: int) -> tuple[Any, Any, Any]:
    """As ``unique`` for the slices along ``dim``, in lexicographic order."""
    _refuse_complex("unique_dim", input)
    dim = dim_of(dim, input.ndim)
    if 0 in input.shape:
        if input.shape[dim] == 0 and sum(n == 0 for n in input.shape) == 1:
            return input, np.zeros(0, np.int64), np.zeros(0, np.int64)
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
    rows = np.moveaxis(input, dim, 0)
    flat = rows.reshape(rows.shape[0], -1)
    order = np.lexsort(flat.T[::-1]) if flat.shape[1] else np.arange(len(flat))
    ranked = flat[order]
    new = np.concatenate([[True], (ranked[1:] != ranked[:-1]).any(1)])
    group = np.cumsum(new) - 1
    inverse = np.empty(len(flat), np.int64)
    inverse[order] = group
    counts = np.bincount(group).astype(np.int64)
    return np.moveaxis(rows[order[new]], 0, dim), inverse, counts


@op("unique_consecutive(Tensor input, int? dim)", where="internal", data_dependent=True, out=False)
def unique_consecutive(input: Any, dim: int | None) -> tuple[Any, Any, Any]:
    """As ``unique``, but only neighbours are merged; with ``dim`` neighbouring slices."""
    if dim is None:
        _refuse_complex("unique", input)
        flat = input.reshape(-1)
        new = np.concatenate([np.ones(min(len(flat), 1), bool), flat[1:] != flat[:-1]])
        values, shape = flat[new], input.shape
    else:
        _refuse_complex("unique_dim", input)
        if input.ndim == 0:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        dim = dim_of(dim, input.ndim)
        if 0 in input.shape and (input.shape[dim] or input.shape.count(0) > 1):
            raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
        rows = np.moveaxis(input, dim, 0)
        flat = rows.reshape(rows.shape[0], int(np.prod(rows.shape[1:])))
        new = np.concatenate([np.ones(min(len(flat), 1), bool), (flat[1:] != flat[:-1]).any(1)])
        values, shape = np.moveaxis(rows[new], 0, dim), (len(flat),)
    group = np.cumsum(new) - 1
    counts = np.bincount(group).astype(np.int64) if len(group) else np.zeros(0, np.int64)
    return values, group.reshape(shape).astype(np.int64), counts


@op("repeat_index(Tensor repeats)", where="internal", data_dependent=True, out=False)
def repeat_index(repeats: Any) -> Any:
    """0 ``repeats[0]`` times, 1 ``repeats[1]`` times, and so on: what ``repeat_interleave`` selects by."""
    if repeats.ndim > 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if scalar_name(repeats) not in ("Int", "Long"):
        raise NotImplementedError(f"\"repeat_interleave_cpu\" not implemented for '{scalar_name(repeats)}'")
    if (repeats < 0).any():
        raise RuntimeError("repeats can not be negative")
    return np.repeat(np.arange(repeats.size, dtype=repeats.dtype), repeats.reshape(-1))
