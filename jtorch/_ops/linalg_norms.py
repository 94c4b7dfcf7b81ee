"""Norms and distances, with torch's gradients at zero and at ties."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._dtypes import dtype as Dtype
from jtorch._registry import op

from ._lib import accumulate_in, broadcast_shape, cast, dims_of, is_complex, is_float, is_inexact, sign_of
from ._linalg_lib import contract, mT, scalar_name
from ._pointwise import default_float, refuse, refuse_with
from .arithmetic import no_bools
from .nn_distance import distances


def _sign(x: Any) -> Any:
    """x / |x|, 0 at 0; of real numbers 0 at nan too."""
    if not is_complex(x):
        return sign_of(x)
    size = jnp.abs(x)
    return jnp.where(size == 0, jnp.zeros((), x.dtype), x / jnp.where(size == 0, jnp.ones((), size.dtype), size))


def _divided(a: Any, b: Any) -> Any:
    """a / b, 0 where b is 0."""
    return jnp.where(b == 0, jnp.zeros((), a.dtype), a / jnp.where(b == 0, jnp.ones((), b.dtype), b))


@cache
def _norm(p: float, dims: tuple[int, ...]) -> Any:
    """``f(x)``: the p-norm over ``dims``, which are kept as 1."""

    def value(x: Any) -> Any:
        if p == 2:
            square = jnp.square(x.real) + jnp.square(x.imag) if is_complex(x) else jnp.square(x)
            return jnp.sqrt(jnp.sum(square, dims, keepdims=True))
        size = jnp.abs(x)
        if p == 0:
            return jnp.sum((size != 0).astype(size.dtype), dims, keepdims=True)
        if p == 1:
            return jnp.sum(size, dims, keepdims=True)
        if math.isinf(p):
            return (jnp.max if p > 0 else jnp.min)(size, dims, keepdims=True)
        return jnp.power(jnp.sum(jnp.power(size, p), dims, keepdims=True), 1 / p)

    @jax.custom_jvp
    def norm(x: Any) -> Any:
        return value(x)

    # Zero vectors have gradient 0, and equal extremes share theirs evenly. Up to p = 2 the second derivative there is nan, as in torch: masked is what was computed.
    @norm.defjvp
    def _rule(primals: Any, tangents: Any) -> Any:
        (x,), (dx,) = primals, tangents
        out = norm(x)
        along = (jnp.conj(_sign(x)) * dx).real  # the change of |x|
        size = jnp.abs(x)
        if p == 0:
            tangent = jnp.zeros_like(out)
        elif p == 1:
            tangent = jnp.sum(along, dims, keepdims=True)
        elif p == 2:
            unit = jnp.where(out == 0, jnp.zeros((), x.dtype), x / out)
            tangent = jnp.sum((jnp.conj(unit) * dx).real, dims, keepdims=True)
        elif math.isinf(p):
            hit = ((size == out) | jnp.isnan(size)).astype(size.dtype)
            tangent = jnp.sum(along * hit, dims, keepdims=True) / jnp.sum(hit, dims, keepdims=True)
        elif p < 1:
            weight = jnp.where(size == 0, jnp.zeros((), size.dtype), jnp.power(size, p - 1))
            tangent = jnp.sum(along * weight, dims, keepdims=True) * jnp.power(out, 1 - p)
        elif p < 2:
            scale = jnp.where(out == 0, jnp.zeros((), out.dtype), 1 / jnp.power(out, p - 1))
            tangent = jnp.sum(along * jnp.power(size, p - 1), dims, keepdims=True) * scale
        else:
            tangent = jnp.sum(along * jnp.power(size, p - 1), dims, keepdims=True)
            safe = jnp.where(out == 0, jnp.ones((), out.dtype), out)
            tangent = jnp.where(out == 0, jnp.zeros((), out.dtype), tangent / jnp.power(safe, p - 1))
        return out, tangent

    return norm


def p_norm(x: Any, p: float, dims: tuple[int, ...], keepdim: bool) -> Any:
    """The p-norm over dims; halves in float32, real result."""
    if not dims:
        out = jnp.abs(x) if p != 0 else (x != 0).astype(jnp.abs(x).dtype)
        return out
    half = is_float(x) and x.dtype.itemsize <= 2
    out = _norm(float(p), dims)(accumulate_in(x))
    out = out.astype(x.dtype) if half else out
    return out if keepdim else jnp.squeeze(out, dims)


def _graph(order: str) -> dict[str, Any]:
    """What a norm's gradient hangs on: nothing at order 0, and the input's signs, by a product, at 1 and at the extremes."""
    return {
        "second": lambda given: "MulBackward0" if given[order] in (1, math.inf, -math.inf) else "of nothing",
        "undefined": lambda given: given[order] == 0,
    }


@op("vector_norm(Tensor x, Number ord=2, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None)", where="linalg",
    aliases="internal.vector_norm", grad_name="LinalgVectorNormBackward0",
    **_graph("ord"), kept="x result")  # fmt: skip
def vector_norm(x: Any, ord: float, dim: tuple[int, ...] | None, keepdim: bool, dtype: Dtype | None) -> Any:
    """``sum(|x|**ord)**(1/ord)`` over ``dim`` (all dims if None); ord may be 0 and +-inf."""
    if isinstance(ord, complex):
        raise RuntimeError("linalg.vector_norm: Expected a non-complex scalar as the order of norm.")
    if not is_inexact(x):
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {scalar_name(x)}")
    if dtype is not None:
        if dtype.category < 2:
            raise RuntimeError(f"linalg.vector_norm: dtype should be floating point or complex, but got {dtype.legacy}")
        if dtype.is_complex != is_complex(x):
            kind = "complex" if is_complex(x) else "real"
            raise RuntimeError(f"linalg.vector_norm: dtype should be {kind} for {kind} inputs, but got {dtype.legacy}")
        if dtype.itemsize < x.dtype.itemsize:
            raise RuntimeError(
                f"linalg.vector_norm: the dtype of the input ({scalar_name(x)}) should be convertible without narrowing to the specified dtype ({dtype.legacy})"
            )
        x = cast(x, dtype)
    dims = dims_of(dim, x.ndim)
    if x.size == 0 and (ord < 0 or math.isinf(ord)):
        if dim is None or any(x.shape[d] == 0 for d in dims):
            what = f"{'inf' if math.isinf(ord) and ord > 0 else '-inf' if math.isinf(ord) else ord}"
            tail = "" if dim is None else ""
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {what} norm on an empty {'tensor' if dim is None else 'dimension ' + str(next(d for d in dims if x.shape[d] == 0))} "
                f"because the operation does not have an identity{tail}"
            )
    if x.ndim == 0:
        return p_norm(x.reshape(1), ord, (0,), False)
    return p_norm(x, ord, dims, keepdim)


@op("dist(Tensor input, Tensor other, Number p=2)", promote="default", types=no_bools, elementwise=False, out=False, **_graph("p"), kept="result")
def dist(input: Any, other: Any, p: float) -> Any:
    """The p-norm of ``input - other``, broadcast."""
    diff = input - other
    refuse_with(f"norm(): input dtype should be either floating point or complex. Got {scalar_name(diff)} instead.", diff, "bi")
    return p_norm(diff.reshape(-1), p, (0,), False)


@op("pairwise_distance(Tensor x1, Tensor x2, float p=2.0, float eps=1e-6, bool keepdim=False)", where="torch nn.functional", unsaved="x1 x2",
    promote="default", types=no_bools, elementwise=False, out=False, grad_name="NormBackward1", **_graph("p"), kept="result")  # fmt: skip
def pairwise_distance(x1: Any, x2: Any, p: float, eps: float, keepdim: bool) -> Any:
    """The p-norm of ``x1 - x2 + eps`` over the last dim."""
    broadcast_shape(x1.shape, x2.shape)  # raises in torch's words
    diff = default_float(x1 - x2)  # integers wrap around in the difference
    diff = diff + np.asarray(eps).astype(diff.dtype)
    return p_norm(diff, p, (diff.ndim - 1,) if diff.ndim else (), keepdim)


@op("cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-8)", where="torch nn.functional", promote="default",
    elementwise=False, out=False, grad_name="SumBackward1")  # fmt: skip
def cosine_similarity(x1: Any, x2: Any, dim: int, eps: float) -> Any:
    """The dot product over ``dim`` divided by both norms, each at least ``eps``."""
    if not is_float(x1):
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {scalar_name(x1)}")
    if eps < 0:
        raise RuntimeError(f"eps must be non-negative, got: {eps:g}")
    shape = broadcast_shape(x1.shape, x2.shape)
    (d,) = dims_of(dim, len(shape)) or (0,)

    def unit(x: Any) -> Any:
        x = jnp.broadcast_to(accumulate_in(x), shape)
        norm = _norm(2.0, (d,))(x) if shape else jnp.abs(x)
        floor = jax.lax.stop_gradient(jnp.maximum(norm, np.asarray(eps).astype(norm.dtype)) - norm)
        return x / (norm + floor)

    product = unit(x1) * unit(x2)
    return (jnp.sum(product, d) if shape else product).astype(x1.dtype)


@jax.custom_jvp
def _euclid_by_product(a: Any, b: Any) -> Any:
    """(..., p, m) and (..., r, m) give (..., p, r) through one matrix product."""
    aa, bb = jnp.sum(a * a, -1, keepdims=True), jnp.sum(b * b, -1, keepdims=True)
    lead = tuple(range(a.ndim - 2))
    ab = contract(a, b, ((a.ndim - 1,), (b.ndim - 1,)), (lead, lead))
    return jnp.sqrt(jnp.maximum(aa + mT(bb) - 2 * ab, 0))


@_euclid_by_product.defjvp
def _euclid_rule(primals: Any, tangents: Any) -> Any:
    (a, b), (da, db) = primals, tangents
    out = _euclid_by_product(a, b)
    lead = tuple(range(a.ndim - 2))

    def product(x: Any, y: Any) -> Any:
        return contract(x, y, ((x.ndim - 1,), (y.ndim - 1,)), (lead, lead))

    change = jnp.sum(a * da, -1, keepdims=True) + mT(jnp.sum(b * db, -1, keepdims=True)) - product(da, b) - product(a, db)
    return out, _divided(change, out)


@op("cdist(Tensor x1, Tensor x2, float p=2.0, any compute_mode=None)", where="torch", out=False, kept="x1 x2 result")
def cdist(x1: Any, x2: Any, p: float, compute_mode: Any) -> Any:
    """(..., P, M) and (..., R, M) give (..., P, R): the p-norm of every difference. Batch dims broadcast."""
    for name, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
    for name, x in (("X1", x1), ("X2", x2)):
        if not is_float(x):
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {scalar_name(x)}")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if x1.dtype != x2.dtype:
        raise RuntimeError(f"expected scalar type {scalar_name(x1)} but found {scalar_name(x2)}")
    modes = {
        None: "auto", "use_mm_for_euclid_dist_if_necessary": "auto", 0: "auto",
        "use_mm_for_euclid_dist": "always", 1: "always", "donot_use_mm_for_euclid_dist": "never", 2: "never",
    }  # fmt: skip
    if compute_mode not in modes:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    mode = modes[compute_mode]
    batch = broadcast_shape(x1.shape[:-2], x2.shape[:-2])
    a, b = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (x1, x2))
    rows, columns, width = a.shape[-2], b.shape[-2], a.shape[-1]
    if width == 0 or rows == 0 or columns == 0:
        return jnp.zeros((*batch, rows, columns), x1.dtype)
    if p == 2 and (mode == "always" or (mode == "auto" and (rows > 25 or columns > 25))):
        return _euclid_by_product(accumulate_in(a), accumulate_in(b)).astype(x1.dtype)
    refuse("cdist", x1, "h")
    diff = accumulate_in(a)[..., :, None, :] - accumulate_in(b)[..., None, :, :]
    return distances(float(p), past_nan=True)(diff).astype(x1.dtype)


@op("renorm(Tensor input, Number p, int dim, Number maxnorm)", inplace=True)
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Slices along ``dim`` whose p-norm is larger than ``maxnorm`` are scaled down to it."""
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    (d,) = dims_of(dim, input.ndim)
    refuse_with(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {scalar_name(input)}", input, "bi")
    rest = tuple(i for i in range(input.ndim) if i != d)
    wide = accumulate_in(input)
    norm = _norm(float(p), rest)(jax.lax.stop_gradient(wide))
    limit = np.asarray(maxnorm).astype(norm.dtype)
    # What stays as it is has the gradient 1, whatever its norm's would be (nan, where that is nan).
    longer = norm > limit
    norm = _norm(float(p), rest)(jnp.where(longer, wide, jnp.ones((), wide.dtype)))
    scaled = (input * (limit / (norm + np.asarray(1e-7).astype(norm.dtype)))).astype(input.dtype)
    return jnp.where(longer, scaled, input)
