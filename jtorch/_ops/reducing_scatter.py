"""scatter_reduce and index_reduce: sum, prod, mean, amax, amin into places that an index names, with torch's gradients."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from . import _guards
from ._lib import dim_of, is_float, is_inexact
from ._linalg_lib import scalar_name
from ._pointwise import refuse
from ._reduce import shares
from .indexing import _MODE, _as_1d, add_at, narrow, scatter_parts

_START = {"sum": 0, "prod": 1, "mean": 0}


def _extreme(dtype: Any, lowest: bool) -> Any:
    if jnp.issubdtype(dtype, jnp.inexact):
        return np.array(-np.inf if lowest else np.inf, dtype)
    if dtype == np.bool_:
        return np.array(not lowest)
    info = jnp.iinfo(dtype)
    return np.array(info.min if lowest else info.max, dtype)


def _full(at: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(slice(None) if i is None else i for i in at)


def _reset(x: Any, at: tuple[Any, ...], reduce: str) -> Any:
    """``x`` with the neutral element where something will arrive (``include_self=False``)."""
    start = _extreme(x.dtype, reduce == "amax") if reduce in ("amax", "amin") else np.array(_START[reduce]).astype(x.dtype)
    return jnp.where(_hit(x, at), start, x)


def _hit(x: Any, at: tuple[Any, ...]) -> Any:
    return jnp.zeros(x.shape, bool).at[_full(at)].set(True, mode=_MODE, wrap_negative_indices=False)


def _counts(x: Any, at: tuple[Any, ...], include_self: bool) -> Any:
    """How many values meet at each place; at least one."""
    n = jnp.full(x.shape, 1 if include_self else 0, np.int32)
    n = n.at[_full(at)].add(1, mode=_MODE, wrap_negative_indices=False)
    return jnp.maximum(n, 1)


def _read(x: Any, at: tuple[Any, ...]) -> Any:
    return x.at[_full(at)].get(mode=_MODE, wrap_negative_indices=False)


def _sharing(x: Any, values: Any, out: Any, at: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Which elements of ``x`` and of ``values`` are the extreme of their place, as weights, and how many are: equals share the gradient evenly."""
    own, theirs = x == out, values == _read(out, at)
    count = add_at(own.astype(x.dtype), theirs.astype(x.dtype), at)
    return shares(own, count), shares(theirs, _read(count, at)), count


@jax.custom_jvp
def _no_derivative(x: Any, where: Any) -> Any:
    """Zeros whose derivative is nan ``where`` this says."""
    return jnp.zeros_like(x)


@_no_derivative.defjvp
def _no_derivative_rule(primals: Any, tangents: Any) -> Any:
    x, where = primals
    return jnp.zeros_like(x), tangents[0] * jnp.where(where, np.array(np.nan, x.dtype), np.array(0, x.dtype))


@cache
def _combiner(present: tuple[bool, ...], reduce: str) -> Any:
    """``f(x, values, *indices)`` for prod, amax, amin, differentiable as in torch."""

    def place(indices: Any) -> tuple[Any, ...]:
        rest = iter(indices)
        return tuple(next(rest) if there else None for there in present)

    def raw(x: Any, values: Any, at: tuple[Any, ...]) -> Any:
        ref = x.at[_full(at)]
        if reduce == "prod":
            return ref.multiply(values, mode=_MODE, wrap_negative_indices=False)
        merge = ref.max if reduce == "amax" else ref.min
        return merge(values, mode=_MODE, wrap_negative_indices=False)

    @jax.custom_jvp
    def combine(x: Any, values: Any, *indices: Any) -> Any:
        return raw(x, values, place(indices))

    @combine.defjvp
    def _rule(primals: Any, tangents: Any) -> Any:
        x, values, *indices = primals
        dx, dv = tangents[:2]
        at = place(indices)
        out = combine(x, values, *indices)
        if reduce == "prod":
            # Zeros are taken out of the product and put back where they are the only one. Where several meet, this has no second derivative
            # (torch raises, once it looks at the zeros): it is nan, not a number that leaves the products of the others out.
            one = jnp.ones((), x.dtype)
            safe_x = jnp.where(x == 0, one, x)
            without_x = combine(safe_x, values, *indices) / safe_x
            zero = values == 0
            zeros = _read(add_at(jnp.zeros(x.shape, np.int32), zero.astype(np.int32), at), at)
            alone = zero & (zeros == 1)
            without_zero = combine(x, jnp.where(alone, one, values), *indices)
            factor = jnp.where(alone, _read(without_zero, at), _read(out, at) / jnp.where(zero, one, values))
            factor += _no_derivative(values, zeros * zero > 1)
            return out, add_at(dx * without_x, dv * factor, at)
        own, theirs, count = _sharing(x, values, out, at)
        return out, add_at(dx * own, dv * theirs, at) / count

    return combine


@cache
def _shared(present: tuple[bool, ...], reduce: str) -> Any:
    """``f(x, start, values, *indices)`` for amax and amin of what does not count ``x``, which ``start`` replaces: it takes a share of the gradient
    all the same where it equals the result, as in torch. A nan equals nothing."""

    @jax.custom_jvp
    def combine(x: Any, start: Any, values: Any, *indices: Any) -> Any:
        return _combiner(present, reduce)(start, values, *indices)

    @combine.defjvp
    def _rule(primals: Any, tangents: Any) -> Any:
        x, start, values, *indices = primals
        out = combine(x, start, values, *indices)
        rest = iter(indices)
        at = tuple(next(rest) if there else None for there in present)
        own, theirs, count = _sharing(x, values, out, at)
        hit, zero = _hit(x, at), jnp.zeros((), x.dtype)
        mine = jnp.where(hit, zero, tangents[0] * (jnp.where(hit, zero, own) / jnp.where(hit, jnp.ones((), x.dtype), count)))  # 0 both ways, neither times what is not finite
        return out, mine + add_at(jnp.zeros_like(x), tangents[2] * theirs, at) / count

    return combine


def _reduce(x: Any, at: tuple[Any, ...], values: Any, reduce: str, include_self: bool) -> Any:
    dtype = x.dtype
    start = x if include_self else _reset(x, at, reduce)
    if dtype == np.bool_ and reduce == "prod":
        reduce = "amin"
    if reduce == "sum":
        return add_at(start, values, at)
    if reduce == "mean":
        total, n = add_at(start, values, at), _counts(x, at, include_self)
        if is_inexact(x):
            return total / n.astype(dtype)
        return jnp.floor_divide(total, n.astype(dtype))
    half = is_float(x) and dtype.itemsize <= 2
    if half:
        x, start, values = (a.astype(np.float32) for a in (x, start, values))
    present, indices = tuple(i is not None for i in at), [i for i in at if i is not None]
    if reduce == "prod" or include_self or not is_float(x):
        return _combiner(present, reduce)(start, values, *indices).astype(dtype)
    return _shared(present, reduce)(x, start, values, *indices).astype(dtype)


_REFUSED = {"mean": "b", "amax": "c", "amin": "c"}  # the groups of types that a reduction has no kernel for


@op("scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True)", inplace=True, guard=_guards.elements, kept="input src result")
def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool) -> Any:
    """``src`` reduced by ``"sum" "prod" "mean" "amax" "amin"`` into ``input`` at the indices along ``dim``."""
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    if reduce in _REFUSED:
        refuse(f"scatter_gather_tensor_cpu_reduce_{reduce}", input, _REFUSED[reduce])
    parts = scatter_parts(input, dim, index, src, "scatter_reduce")
    if parts is None:
        return input
    x, at, s = parts
    return _reduce(x, at, s, reduce, include_self).reshape(input.shape)


@op("index_reduce(Tensor input, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True)", inplace=True, guard=_guards.reduced, kept="input source result")
def index_reduce(input: Any, dim: int, index: Any, source: Any, reduce: str, include_self: bool) -> Any:
    """``source``'s slices reduced by ``"prod" "mean" "amax" "amin"`` into ``input`` at the indices along ``dim``."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    if not include_self:
        refuse("index_reduce_func_exclude_input_init", input, "bc")
    elif input.ndim <= 1:
        refuse("index_func_", input, "bc")
    if reduce != "prod":
        refuse(*{"mean": ("div_floor_cpu", input, "b"), "amax": ("maximum_cpu", input, "c"), "amin": ("minimum_cpu", input, "c")}[reduce])
    dim = dim_of(dim, input.ndim)
    if scalar_name(index) not in ("Int", "Long"):
        raise RuntimeError("index_reduce_(): Expected dtype int32/int64 for index but got: " + scalar_name(index))
    if input.dtype != source.dtype:
        raise RuntimeError("index_reduce_(): self and source must have the same scalar type")
    x, s, i = _as_1d(input), _as_1d(source), _as_1d(index)
    if s.shape[dim] != i.size:
        raise RuntimeError(f"index_reduce_(): Number of indices ({i.size}) should be equal to source.size(dim): ({s.shape[dim]}), for dim: {dim}")
    at = tuple(narrow(i, x.shape[dim]) if d == dim else None for d in range(x.ndim))
    return _reduce(x, at, s, reduce, include_self).reshape(input.shape)
