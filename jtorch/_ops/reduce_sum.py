"""Sums, products, means, and the questions all and any."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._ops._lib import accumulate_in, cast, dim_of, dtype_of, is_float, is_inexact, quotient, size_as, total
from jtorch._ops._pointwise import refuse_with
from jtorch._ops._reduce import axes_of, check_dims, count_of
from jtorch._registry import op

Dtype = _dtypes.dtype


_HUGE = 1 << 26  # elements
_PIECE = 1 << 24


def _is_huge(x: Any, axes: Any) -> bool:
    return len(axes) == x.ndim and isinstance(x.size, int) and x.size >= _HUGE


def _by_pieces(x: Any, kind: Any, keepdim: bool = False) -> Any:
    """The sum of all elements as integers of a wider type, piece by piece: XLA would first write every one of them in that type."""
    flat = x.reshape(-1)
    whole = flat.size // _PIECE

    def more(i: Any, found: Any) -> Any:
        return found + jnp.sum(lax.dynamic_slice(flat, (i * _PIECE,), (_PIECE,)), dtype=kind)

    found = lax.fori_loop(np.int64(0), np.int64(whole), more, jnp.sum(flat[whole * _PIECE :], dtype=kind))
    return found.reshape((1,) * x.ndim) if keepdim else found


def _summed(x: Any, dim: Any, keepdim: bool, dtype: Dtype | None) -> Any:
    """The sum in ``dtype``, or in the input's; integers and bools in int64, halves accumulated in float32."""
    check_dims(dim, x)
    axes = axes_of(dim, x)
    if dtype is None and not is_inexact(x):
        dtype = _dtypes.int64
    if dtype is not None and not is_inexact(x) and dtype.category == 1 and dtype.itemsize > x.dtype.itemsize and _is_huge(x, axes):
        return _by_pieces(x, dtype.np, keepdim)
    x = cast(x, dtype)
    if x.dtype == np.bool_:
        return jnp.any(x, axes, keepdims=keepdim)
    return total(accumulate_in(x), axes, keepdim).astype(x.dtype)


@op("sum(Tensor input, *, dtype? dtype=None)", out=False)
def sum(input: Any, dtype: Dtype | None) -> Any:
    """The sum of all elements; integers and bools in int64."""
    return _summed(input, None, False, dtype)


@op("sum(Tensor input, int[1]? dim, bool keepdim=False, *, dtype? dtype=None)", out_type=True, grad_name="SumBackward1")
def sum_dim(input: Any, dim: Any, keepdim: bool, dtype: Dtype | None) -> Any:
    """The sum over dims (all of them for None or ())."""
    return _summed(input, dim, keepdim, dtype)


@op("nansum(Tensor input, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None)", out_type="nansum_cpu")
def nansum(input: Any, dim: Any, keepdim: bool, dtype: Dtype | None) -> Any:
    """The sum with nan counted as 0. RuntimeError for complex numbers."""
    check_dims(dim, input)
    refuse_with("nansum on CPU does not support complex inputs", input, "c")
    if is_float(input):
        if dtype is not None and dtype.is_complex:
            raise NotImplementedError(f"\"nansum_cpu\" not implemented for '{dtype.legacy}'")
        input = jnp.where(jnp.isnan(input), jnp.zeros_like(input), input)
    return _summed(input, dim, keepdim, dtype)


def _mean_type(x: Any, dtype: Dtype | None) -> None:
    kind = dtype or dtype_of(x)
    if kind.category < 2:
        which = "Optional dtype" if dtype else "Input dtype"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {which} must be either a floating point or complex dtype. Got: {kind.legacy}"
        )


def _averaged(x: Any, dim: Any, keepdim: bool, dtype: Dtype | None) -> Any:
    _mean_type(x, dtype)
    check_dims(dim, x)
    axes = axes_of(dim, x)
    x = cast(x, dtype)
    high = accumulate_in(x)
    n = count_of(x, axes)
    return quotient(total(high, axes, keepdim), size_as(n, high.dtype)).astype(x.dtype)


@op("mean(Tensor input, *, dtype? dtype=None)")
def mean(input: Any, dtype: Dtype | None) -> Any:
    """The mean of all elements. RuntimeError for integers unless ``dtype`` is given."""
    return _averaged(input, None, False, dtype)


@op("mean(Tensor input, int[1]? dim, bool keepdim=False, *, dtype? dtype=None)", grad_name="MeanBackward1")
def mean_dim(input: Any, dim: Any, keepdim: bool, dtype: Dtype | None) -> Any:
    """The mean over dims (all of them for None or ())."""
    return _averaged(input, dim, keepdim, dtype)


@op("nanmean(Tensor input, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None)", out_type="nansum_cpu", grad_name="DivBackward0")
def nanmean(input: Any, dim: Any, keepdim: bool, dtype: Dtype | None) -> Any:
    """The mean of what is not nan."""
    if not is_inexact(input):
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {dtype_of(input).legacy}"
        )
    if dtype is not None and dtype.category < 2:
        raise RuntimeError(f"nanmean(): could not infer output dtype. Optional dtype must be either a floating point or complex dtype. Got: {dtype.legacy}")
    count = jnp.sum(~jnp.isnan(input), axes_of(dim, input), keepdims=keepdim)
    whole = nansum.fn(input, dim, keepdim, dtype)
    return (whole / count.astype(whole.dtype)).astype(whole.dtype)


def _prod_all_but(x: Any, axes: tuple[int, ...]) -> Any:
    """At each place the product of the others along the axes: exact with any number of zeros."""
    moved = jnp.moveaxis(x, axes, tuple(range(len(axes))))
    rest = moved.shape[len(axes) :]
    flat = moved.reshape((math.prod(moved.shape[: len(axes)]), *rest))
    one = jnp.ones((1, *rest), flat.dtype)
    before = jnp.concatenate([one, lax.cumprod(flat[:-1], 0)]) if flat.shape[0] > 1 else one
    after = jnp.concatenate([lax.cumprod(flat[1:], 0, reverse=True), one]) if flat.shape[0] > 1 else one
    return jnp.moveaxis((before * after).reshape(moved.shape), tuple(range(len(axes))), axes)


@jax.custom_jvp
def _prod_all(x: Any) -> Any:
    return jnp.prod(x, 0)


@_prod_all.defjvp
def _prod_rule(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    y = _prod_all(x)
    # Quotients where nothing is zero, as in torch: what nan and infinity make of them is torch's, too.
    return y, jnp.sum(t * lax.cond(jnp.any(x == 0), lambda: _prod_all_but(x, (0,)), lambda: y / x), 0)


def _product(x: Any, axes: tuple[int, ...], keepdim: bool, dtype: Dtype | None) -> Any:
    if dtype is None and not is_inexact(x):
        dtype = _dtypes.int64
    x = cast(x, dtype)
    if x.dtype == np.bool_:
        return jnp.all(x, axes, keepdims=keepdim)
    high = accumulate_in(x)
    if not is_inexact(x) or count_of(x, axes) == 0:
        return jnp.prod(high, axes, keepdims=keepdim).astype(x.dtype)
    if len(axes) == x.ndim:
        out = _prod_all(high.reshape(-1))
        return (out.reshape((1,) * x.ndim) if keepdim else out).astype(x.dtype)
    (axis,) = axes
    out = _prod_all(jnp.moveaxis(high, axis, 0))
    return (jnp.expand_dims(out, axis) if keepdim else out).astype(x.dtype)


@op("prod(Tensor input, *, dtype? dtype=None)", out=False, second="of nothing")
def prod(input: Any, dtype: Dtype | None) -> Any:
    """The product of all elements; integers and bools in int64."""
    return _product(input, tuple(range(input.ndim)), False, dtype)


@op("prod(Tensor input, int dim, bool keepdim=False, *, dtype? dtype=None)", out_type=True, grad_name="ProdBackward1", second="of nothing")
def prod_dim(input: Any, dim: int, keepdim: bool, dtype: Dtype | None) -> Any:
    """The product along one dim."""
    dim = dim_of(dim, input.ndim)
    return _product(input, (dim,) if input.ndim else (), keepdim, dtype)


def _asked(which: Any, x: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    # Of uint8, torch answers in uint8.
    out = which(x if x.dtype == np.bool_ else x != 0, axes, keepdims=keepdim)
    return out.astype(np.uint8) if x.dtype == np.uint8 else out


_BOOL_OUT = "@ only supports bool tensor for result, got: {1}"


def _one_axis(dim: int, x: Any) -> tuple[int, ...]:
    dim = dim_of(dim, x.ndim)
    return (dim,) if x.ndim else ()


def _some_axes(dim: Any, x: Any) -> tuple[int, ...]:
    # Unlike elsewhere, () means no dims here.
    check_dims(dim, x)
    return axes_of(dim, x) if dim is None or dim else ()


@op("all(Tensor input)", out=_BOOL_OUT.replace("@", "all"))
def all(input: Any) -> Any:
    """True when no element is zero."""
    return _asked(jnp.all, input, tuple(range(input.ndim)), False)


@op("all(Tensor input, int dim, bool keepdim=False)", out=_BOOL_OUT.replace("@", "all"))
def all_dim(input: Any, dim: int, keepdim: bool) -> Any:
    """True where no element along a dim is zero."""
    return _asked(jnp.all, input, _one_axis(dim, input), keepdim)


@op("all(Tensor input, int[]? dim=None, bool keepdim=False)")
def all_dims(input: Any, dim: Any, keepdim: bool) -> Any:
    """True where no element along the dims is zero; () reduces nothing."""
    return _asked(jnp.all, input, _some_axes(dim, input), keepdim)


@op("any(Tensor input)", out=_BOOL_OUT.replace("@", "any"))
def any(input: Any) -> Any:
    """True when an element is nonzero."""
    return _asked(jnp.any, input, tuple(range(input.ndim)), False)


@op("any(Tensor input, int dim, bool keepdim=False)", out=_BOOL_OUT.replace("@", "any"))
def any_dim(input: Any, dim: int, keepdim: bool) -> Any:
    """True where an element along a dim is nonzero."""
    return _asked(jnp.any, input, _one_axis(dim, input), keepdim)


@op("any(Tensor input, int[]? dim=None, bool keepdim=False)")
def any_dims(input: Any, dim: Any, keepdim: bool) -> Any:
    """True where an element along the dims is nonzero; () reduces nothing."""
    return _asked(jnp.any, input, _some_axes(dim, input), keepdim)


@op("count_nonzero(Tensor input, int[1]? dim=None)", out=False)
def count_nonzero(input: Any, dim: Any) -> Any:
    """How many elements are nonzero, as int64."""
    check_dims(dim, input)
    axes = axes_of(dim, input)
    if _is_huge(input, axes):
        return _by_pieces(input != 0, np.int64)
    return jnp.sum(input != 0, axes, dtype=np.int64)


@op("hash_tensor(Tensor input, int[1] dim=(), *, bool keepdim=False, int mode=0)")
def hash_tensor(input: Any, dim: Any, keepdim: bool, mode: int) -> Any:
    """The exclusive or, as uint64, of the elements' bits widened to 64."""
    refuse_with('"xor_sum_cpu" not implemented for complex', input, "c", NotImplementedError)
    check_dims(dim, input)
    high = input.astype(np.float64 if is_float(input) else np.int64)
    bits = lax.bitcast_convert_type(high, np.uint64)
    out = lax.reduce(bits, np.uint64(0), lax.bitwise_xor, axes := axes_of(dim, input))
    return jnp.expand_dims(out, axes) if keepdim else out
