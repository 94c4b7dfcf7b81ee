"""Order statistics: median, mode, kthvalue, quantile. Ties keep the first position; nan sorts last.

torch leaves open which position it reports among equal values."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._ops import _value_guards
from jtorch._ops._lib import dim_of, is_complex, is_float, on_cpu, place_type, size_as
from jtorch._ops._order import largest_places, sort_with_index
from jtorch._ops._pointwise import constant, refuse
from jtorch._ops._reduce import order_key, picked, spread_evenly, whole_or_dim
from jtorch._ops.arithmetic import lerp_with_rule
from jtorch._registry import op


def _at(rows: Any, place: Any, axis: int) -> Any:
    """One element along the axis, kept with size 1; ``place`` is a number or an array of them with size 1 there."""
    if isinstance(place, int):  # a number that is there when the program is made
        return lax.slice_in_dim(rows, place, place + 1, axis=axis)
    if not hasattr(place, "ndim"):
        place = jnp.full([1 if i == axis else n for i, n in enumerate(rows.shape)], place, place_type(rows.shape[axis]))
    return jnp.take_along_axis(rows, place, axis)


def _answer(x: Any, index: Any, values: Any, axis: int, keepdim: bool) -> tuple[Any, Any]:
    """(values, int64 indices) from int32 ``index`` and ``values``, both with size 1 along the axis."""
    index, values = jnp.squeeze(index, axis), jnp.squeeze(values, axis)
    values = picked(x, index, values.astype(x.dtype), axis)
    index = index.astype(np.int64)
    return (jnp.expand_dims(values, axis), jnp.expand_dims(index, axis)) if keepdim else (values, index)


def _median_place(rows: Any, axis: int, skip_nan: bool) -> Any:
    """The position, in the sorted rows, of the lower median; of the first nan if there is one and it counts."""
    n = rows.shape[axis]
    if not is_float(rows):
        return (n - 1) // 2
    kind = place_type(n)
    finite = jnp.sum(~jnp.isnan(rows), axis, keepdims=True, dtype=kind)
    middle = jnp.maximum((finite - 1) // 2, 0)
    return middle if skip_nan else jnp.where(finite < size_as(n, kind), finite, size_as((n - 1) // 2, kind))


def _median_along(x: Any, dim: int, keepdim: bool, skip_nan: bool) -> Any:
    dim = dim_of(dim, x.ndim)
    whole_or_dim("median", x, dim)
    refuse("median_out", x, "bc")
    if x.ndim == 0:
        return x, jnp.zeros((), np.int64)
    rows, places = sort_with_index(lax.stop_gradient(x), dim)
    where = _median_place(rows, dim, skip_nan)
    return _answer(x, _at(places, where, dim), _at(rows, where, dim), dim, keepdim)


def _median_of_all(x: Any, skip_nan: bool) -> Any:
    refuse("median_cpu", x, "bc")
    if x.size == 0:
        return jnp.full((), np.nan if is_float(x) else np.iinfo(x.dtype).min, x.dtype)
    value = _median_along(lax.stop_gradient(x).reshape(-1), 0, False, skip_nan)[0]
    return spread_evenly(x, value) if is_float(x) else value


@op("median(Tensor input)", out=False, residuals="save", kept="input result")
def median(input: Any) -> Any:
    """The lower median of all elements; nan if there is one."""
    return _median_of_all(input, False)


@op("median(Tensor input, int dim, bool keepdim=False) -> (values, indices)", grad_name="MedianBackward1", residuals="save", apart=True, kept="indices")
def median_dim(input: Any, dim: int, keepdim: bool) -> Any:
    """The lower median along a dim and its position."""
    return _median_along(input, dim, keepdim, False)


@op("nanmedian(Tensor input)", out=False, residuals="save", kept="input result")
def nanmedian(input: Any) -> Any:
    """The lower median of what is not nan."""
    return _median_of_all(input, True)


@op("nanmedian(Tensor input, int dim, bool keepdim=False) -> (values, indices)", grad_name="NanmedianBackward1", residuals="save", apart=True, kept="indices")
def nanmedian_dim(input: Any, dim: int, keepdim: bool) -> Any:
    """The lower median along a dim, nan left out, and its position."""
    return _median_along(input, dim, keepdim, True)


_FEW = 8  # the part of a dim beyond which all of it is sorted


@op("kthvalue(Tensor input, int k, int dim=-1, bool keepdim=False) -> (values, indices)", residuals="save", apart=True, kept="indices")
def kthvalue(input: Any, k: int, dim: int, keepdim: bool) -> Any:
    """The k-th smallest along a dim (k from 1) and its position. RuntimeError when there are fewer."""
    dim = dim_of(dim, input.ndim)
    whole_or_dim("kthvalue", input, dim)
    if not 0 < k <= (input.shape[dim] if input.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
    if input.ndim == 0:
        return input, jnp.zeros((), np.int64)
    refuse("kthvalue_cpu", input, "bc")
    x, n = lax.stop_gradient(input), input.shape[dim]
    if on_cpu(input) and (k <= n // _FEW or n - k < n // _FEW):
        smallest = k <= n // _FEW
        places = largest_places(jnp.moveaxis(x, dim, -1), k if smallest else n - k + 1, not smallest)[..., -1:]
        places = jnp.moveaxis(places, -1, dim)
        return _answer(input, places, jnp.take_along_axis(x, places, dim), dim, keepdim)
    rows, places = sort_with_index(x, dim)
    return _answer(input, _at(places, k - 1, dim), _at(rows, k - 1, dim), dim, keepdim)


@op("mode(Tensor input, int dim=-1, bool keepdim=False) -> (values, indices)", residuals="save", apart=True, kept="indices")
def mode(input: Any, dim: int, keepdim: bool) -> Any:
    """The most frequent value along a dim (the smallest of several) and a position of it."""
    dim = dim_of(dim, input.ndim)
    if input.ndim == 0:
        return input, jnp.zeros((), np.int64)
    whole_or_dim("mode", input, dim)
    if input.size:
        refuse("mode_cpu", input, "c")
    elif is_complex(input):
        shape = [1 if d == dim else n for d, n in enumerate(input.shape) if keepdim or d != dim]
        return jnp.zeros(shape, input.dtype), jnp.zeros(shape, np.int64)
    rows, places = sort_with_index(order_key(lax.stop_gradient(input)), dim)
    n = rows.shape[dim]
    step = lax.broadcasted_iota(place_type(n), rows.shape, dim)
    before = jnp.concatenate([lax.slice_in_dim(rows, 0, 1, axis=dim), lax.slice_in_dim(rows, 0, -1, axis=dim)], dim)
    starts = (rows != before) | (step == 0)
    run = step - lax.cummax(jnp.where(starts, step, size_as(0, step.dtype)), dim)
    longest = jnp.max(run, dim, keepdims=True)
    # The first place where a run reaches the greatest length is the end of the smallest such value.
    where = jnp.min(jnp.where(run == longest, step, size_as(n, step.dtype)), dim, keepdims=True)
    return _answer(input, _at(places, where, dim), _at(rows, where, dim), dim, keepdim)


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(x: Any, q: Any, interpolation: str) -> None:
    if x.size == 0:
        raise RuntimeError("quantile() input tensor must be non-empty")
    if q.ndim > 1:
        raise RuntimeError("quantile() q must be a scalar or 1D tensor")
    if x.dtype not in (np.float32, np.float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if q.dtype != x.dtype:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    if interpolation not in _INTERPOLATIONS:
        names = f"{', '.join(_INTERPOLATIONS[:-1])} or {_INTERPOLATIONS[-1]}"
        raise RuntimeError(f"quantile() interpolation must be one of {names}, but got {interpolation}")


def _quantile(x: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool) -> Any:
    """Quantiles along ``dim`` as a new leading dim (dropped for a scalar q). Sorting carries the gradient."""
    _check_quantile(x, q, interpolation)
    shape = x.shape
    if dim is None:
        rows, kept = x.reshape(1, -1), (1,) * x.ndim
    else:
        dim = dim_of(dim, x.ndim)
        rows = jnp.moveaxis(x, dim, -1) if x.ndim else x.reshape(1)
        kept = tuple(1 if i == dim else s for i, s in enumerate(shape))
        rows = rows.reshape(-1, rows.shape[-1])
    n = rows.shape[1]
    keys, places = sort_with_index(lax.stop_gradient(rows), 1)
    del keys
    ordered = jnp.take_along_axis(rows, places, 1)
    missing = jnp.isnan(rows)
    ranks = q.reshape(-1)[:, None]  # one row of results for each q
    if skip_nan:
        last = jnp.sum(~missing, 1).astype(x.dtype)[None, :] - 1
        rank = jnp.maximum(ranks * last, 0)
    else:
        rank = jnp.broadcast_to(ranks * constant(n - 1, x), (ranks.shape[0], rows.shape[0]))
        rank = jnp.where(jnp.any(missing, 1)[None, :], constant(n - 1, x), rank)
    if interpolation == "lower":
        rank = jnp.floor(rank)
    elif interpolation == "higher":
        rank = jnp.ceil(rank)
    elif interpolation == "nearest":
        rank = jnp.round(rank)
    below = lax.stop_gradient(rank).astype(place_type(n))
    out = jnp.take_along_axis(ordered, below.T, 1).T
    if interpolation in ("linear", "midpoint"):
        weight = jnp.full_like(rank, 0.5) if interpolation == "midpoint" else rank - below.astype(x.dtype)
        above = jnp.take_along_axis(ordered, jnp.minimum(jnp.ceil(lax.stop_gradient(rank)).astype(below.dtype), n - 1).T, 1).T
        out = lerp_with_rule(out, above, weight)
    rest = kept if keepdim else () if dim is None else tuple(s for i, s in enumerate(shape) if i != dim)
    return out.reshape((*q.shape, *rest))


_TENSOR_Q = "(Tensor input, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation='linear')"
_FLOAT_Q = "(Tensor input, float q, int? dim=None, bool keepdim=False, *, str interpolation='linear')"


def _number_q(x: Any, q: float) -> Any:
    if not 0 <= q <= 1:
        raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q:g}")
    kind = x.dtype if x.dtype in (np.float32, np.float64) else _dtypes.default.np
    return jnp.asarray(np.asarray(q, kind))


@op("quantile" + _TENSOR_Q, grad_name="SqueezeBackward4", residuals="save", guard=_value_guards.fractions)
def quantile(input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str) -> Any:
    """The q-th quantiles over everything or along a dim; several q give a leading dim."""
    return _quantile(input, q, dim, keepdim, interpolation, False)


@op("quantile" + _FLOAT_Q, grad_name="SqueezeBackward4", residuals="save")
def quantile_number(input: Any, q: float, dim: int | None, keepdim: bool, interpolation: str) -> Any:
    """One quantile."""
    return _quantile(input, _number_q(input, q), dim, keepdim, interpolation, False)


@op("nanquantile" + _TENSOR_Q, grad_name="SqueezeBackward4", residuals="save", guard=_value_guards.fractions)
def nanquantile(input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str) -> Any:
    """Quantiles of what is not nan."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


@op("nanquantile" + _FLOAT_Q, grad_name="SqueezeBackward4", residuals="save")
def nanquantile_number(input: Any, q: float, dim: int | None, keepdim: bool, interpolation: str) -> Any:
    """One quantile of what is not nan."""
    return _quantile(input, _number_q(input, q), dim, keepdim, interpolation, True)
