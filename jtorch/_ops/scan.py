"""Running sums and products, softmax and its kin, differences and the trapezoidal rule."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._ops._complex_values import complex_exp, complex_log
from jtorch._ops._lib import accumulate_in, broadcast_shape, cast, dim_of, is_complex, is_float, is_inexact, num, on_cpu, to_float
from jtorch._ops._pointwise import is_bool, refuse, refuse_with
from jtorch._ops._reduce import axes_of, check_dims
from jtorch._ops.extrema import logaddexp_complex
from jtorch._registry import op

Dtype = _dtypes.dtype


def _scanned(fn: Any, x: Any, dim: int, dtype: Dtype | None) -> Any:
    dim = dim_of(dim, x.ndim)
    if dtype is None and not is_inexact(x):
        dtype = _dtypes.int64
    x = cast(x, dtype)
    if x.ndim == 0 or x.shape[dim] == 0:
        return x
    refuse(f"{fn.__name__}_out_cpu", x, "b")
    return fn(accumulate_in(x), dim).astype(x.dtype)


def _recurrence(a: Any, b: Any, dim: int) -> Any:
    """``t[i] = a[i] * t[i - 1] + b[i]`` along a dim, from 0."""

    def step(t: Any, ab: Any) -> Any:
        t = ab[0] * t + ab[1]
        return t, t

    a, b = jnp.moveaxis(a, dim, 0), jnp.moveaxis(b, dim, 0)
    return jnp.moveaxis(lax.scan(step, jnp.zeros_like(b[0]), (a, b))[1], 0, dim)


def _shifted(y: Any, dim: int, first: float) -> Any:
    """What came before each element along a dim."""
    return jnp.concatenate([jnp.full_like(lax.slice_in_dim(y, 0, 1, axis=dim), first), lax.slice_in_dim(y, 0, -1, axis=dim)], dim)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _cumprod_of_any_length(x: Any, dim: int) -> Any:
    return lax.cumprod(x, dim)


@_cumprod_of_any_length.defjvp
def _cumprod_rule(dim: int, primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    y = _cumprod_of_any_length(x, dim)
    # Quotients where nothing is zero, as in torch: what nan and infinity make of them is torch's, too.
    return y, lax.cond(jnp.any(x == 0), lambda: _recurrence(x, _shifted(y, dim, 1) * t, dim), lambda: y * lax.cumsum(t / x, dim))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _cumlogsumexp_of_any_length(x: Any, dim: int) -> Any:
    return lax.cumlogsumexp(x, dim)


@_cumlogsumexp_of_any_length.defjvp
def _cumlogsumexp_rule(dim: int, primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    y = _cumlogsumexp_of_any_length(x, dim)
    before = _shifted(y, dim, -math.inf)
    none = jnp.isneginf(before)  # the ratio of two zeros
    return y, _recurrence(jnp.where(none, 0, jnp.exp(before - y)), jnp.exp(x - y) * t, dim)


_LONG = 4096  # from here on JAX's own derivatives, in a tree of products that is another one for each length


def _short(x: Any, dim: int) -> bool:
    return not isinstance(x.shape[dim], int) or x.shape[dim] < _LONG


def _cumprod(x: Any, dim: int) -> Any:
    return _cumprod_of_any_length(x, dim) if _short(x, dim) else lax.cumprod(x, dim)


_cumprod.__name__ = "cumprod"  # torch's kernel is named after it


_STEPS, _WIDTH = 1 << 14, 64  # how many rows at most, and how wide at least, are added one after the other
_BLOCK = 32  # columns that are added by one product


def _down(x: Any, dim: int) -> Any:
    """Row after row, for a dim that is not the last; floats are added in float64, as torch adds them."""
    shape = x.shape
    rows = x.reshape(math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :]))
    wide = np.float64 if x.dtype == np.float32 else x.dtype

    def add(i: Any, state: Any) -> Any:
        sums, out = state
        sums = sums + lax.dynamic_index_in_dim(rows, i, 1, keepdims=False).astype(wide)
        return sums, lax.dynamic_update_index_in_dim(out, sums.astype(x.dtype), i, 1)

    return lax.fori_loop(0, shape[dim], add, (jnp.zeros((rows.shape[0], rows.shape[2]), wide), jnp.zeros_like(rows)))[1].reshape(shape)


def _along(x: Any) -> Any:
    """Along the last dim: sums inside of blocks as a product with a triangle of ones, and those of the blocks before. Where something is not finite, which products spread to all sides, XLA's own way."""
    n = x.shape[-1]
    blocks = x.reshape(*x.shape[:-1], n // _BLOCK, _BLOCK)
    inside = lax.dot_general(blocks, jnp.triu(jnp.ones((_BLOCK, _BLOCK), x.dtype)), (((x.ndim,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)
    before = lax.cumsum(inside[..., -1], x.ndim - 1)
    before = jnp.concatenate([jnp.zeros_like(before[..., :1]), before[..., :-1]], -1)
    found = (inside + before[..., None]).reshape(x.shape)
    return lax.cond(jnp.all(jnp.isfinite(found[..., -1])), lambda: found, lambda: lax.cumsum(x, x.ndim - 1))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _cumsum(x: Any, dim: int) -> Any:
    if on_cpu(x) and x.size >= 1 << 15:  # XLA's own is a tree over windows: three to fifteen times the time
        if dim == x.ndim - 1:
            if x.dtype == np.float32 and x.shape[dim] % _BLOCK == 0 and x.shape[dim] > 4 * _BLOCK:
                return _along(x)
        elif x.shape[dim] <= _STEPS and math.prod(x.shape[dim + 1 :]) >= _WIDTH:
            return _down(x, dim)
    return lax.cumsum(x, dim)


@_cumsum.defjvp
def _cumsum_rule(dim: int, primals: Any, tangents: Any) -> Any:
    return _cumsum(*primals, dim), lax.cumsum(tangents[0], dim)


_cumsum.__name__ = "cumsum"  # torch's kernel is named after it


@op("cumsum(Tensor input, int dim, *, dtype? dtype=None)", inplace=True, out_type=True)
def cumsum(input: Any, dim: int, dtype: Dtype | None) -> Any:
    """Running sums along a dim; integers in int64."""
    return _scanned(_cumsum, input, dim, dtype)


@op("cumprod(Tensor input, int dim, *, dtype? dtype=None)", inplace=True, out_type=True, residuals="save", kept="input result")
def cumprod(input: Any, dim: int, dtype: Dtype | None) -> Any:
    """Running products along a dim; integers in int64."""
    return _scanned(_cumprod, input, dim, dtype)


@op("logcumsumexp(Tensor input, int dim)", out="expected scalar_type {0} but found {1}", residuals="save", kept="input result")
def logcumsumexp(input: Any, dim: int) -> Any:
    """Running ``log(sum(exp(input)))`` along a dim."""
    dim = dim_of(dim, input.ndim)
    refuse("logcumsumexp_out_cpu", input, "bi")
    if input.ndim == 0 or input.size == 0:
        return input
    if is_complex(input):
        begun = logaddexp_complex(input, np.array(-math.inf, input.dtype))  # as torch begins: what is nowhere has no angle
        return lax.associative_scan(lambda before, after: logaddexp_complex(after, before), begun, axis=dim)
    x = accumulate_in(input)
    return (_cumlogsumexp_of_any_length(x, dim) if _short(x, dim) else lax.cumlogsumexp(x, dim)).astype(input.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _softmax(x: Any, dim: int) -> Any:
    e = jnp.exp(x - jnp.max(x, dim, keepdims=True, initial=-math.inf))
    return e / jnp.sum(e, dim, keepdims=True)


@_softmax.defjvp
def _softmax_rule(dim: int, primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    y = _softmax(x, dim)
    return y, y * (t - jnp.sum(y * t, dim, keepdims=True))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _log_softmax(x: Any, dim: int) -> Any:
    shifted = x - jnp.max(x, dim, keepdims=True, initial=-math.inf)
    return shifted - jnp.log(jnp.sum(jnp.exp(shifted), dim, keepdims=True))


@_log_softmax.defjvp
def _log_softmax_rule(dim: int, primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    y = _log_softmax(x, dim)
    return y, t - jnp.sum(jnp.exp(y) * t, dim, keepdims=True)


def _normalized(fn: Any, kernel: str, x: Any, dim: int, dtype: Dtype | None) -> Any:
    x = cast(x, dtype)
    dim = dim_of(dim, x.ndim)
    if x.size == 0 and not is_float(x):
        return x  # before any kernel is asked for
    refuse(f"{kernel}_lastdim_kernel_impl" if dim >= x.ndim - 1 else f"{kernel}_kernel_impl", x, "bic")
    if x.ndim == 0:
        return fn(accumulate_in(x.reshape(1)), 0).reshape(()).astype(x.dtype)
    return fn(accumulate_in(x), dim).astype(x.dtype)


@op("softmax(Tensor input, int dim, dtype? dtype=None)", out="exact", aliases="special.softmax")
def softmax(input: Any, dim: int, dtype: Dtype | None) -> Any:
    """Exponentials along a dim, divided by their sum. Floating point only."""
    return _normalized(_softmax, "softmax", input, dim, dtype)


@op("log_softmax(Tensor input, int dim, dtype? dtype=None)", out="exact", aliases="special.log_softmax")
def log_softmax(input: Any, dim: int, dtype: Dtype | None) -> Any:
    """The logarithm of softmax, computed without underflow."""
    return _normalized(_log_softmax, "log_softmax", input, dim, dtype)


@op("_softmax(Tensor input, int dim, bool half_to_float)", where="torch", grad_name="SoftmaxBackward0")
def plain_softmax(input: Any, dim: int, half_to_float: bool) -> Any:
    """softmax as its own backward formulas name it; ``half_to_float`` is for accelerators."""
    return _normalized(_softmax, "softmax", input, dim, _dtypes.float32 if half_to_float else None)


@op("_log_softmax(Tensor input, int dim, bool half_to_float)", where="torch", grad_name="LogSoftmaxBackward0")
def plain_log_softmax(input: Any, dim: int, half_to_float: bool) -> Any:
    """log_softmax as its own backward formulas name it."""
    return _normalized(_log_softmax, "log_softmax", input, dim, _dtypes.float32 if half_to_float else None)


@op("_softmax_backward_data(Tensor grad_output, Tensor output, int dim, dtype input_dtype)", where="torch",
    grad_name="SoftmaxBackwardDataBackward0", kept="grad_output")  # fmt: skip
def softmax_backward_data(grad_output: Any, output: Any, dim: int, input_dtype: Dtype) -> Any:
    """softmax's gradient from its output."""
    dim = dim_of(dim, output.ndim)
    refuse("softmax_backward_lastdim_kernel_impl", grad_output, "bic")
    g, y = accumulate_in(grad_output), accumulate_in(output)
    total = jnp.sum(g * y, dim, keepdims=True) if y.ndim else g * y
    return cast(y * (g - total), input_dtype)


@op("_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, dtype input_dtype)", where="torch",
    grad_name="LogSoftmaxBackwardDataBackward0")  # fmt: skip
def log_softmax_backward_data(grad_output: Any, output: Any, dim: int, input_dtype: Dtype) -> Any:
    """log_softmax's gradient from its output."""
    dim = dim_of(dim, output.ndim)
    g, y = accumulate_in(grad_output), accumulate_in(output)
    total = jnp.sum(g, dim, keepdims=True) if y.ndim else g
    return cast(g - jnp.exp(y) * total, input_dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _logsumexp(x: Any, axes: tuple[int, ...]) -> Any:
    top = jnp.max(x.real if is_complex(x) else x, axes, keepdims=True, initial=-math.inf)
    top = jnp.where(jnp.isinf(top), jnp.zeros_like(top), top)
    return complex_log(jnp.sum(complex_exp(x - top), axes, keepdims=True)) + top


@_logsumexp.defjvp
def _logsumexp_rule(axes: tuple[int, ...], primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    y = _logsumexp(x, axes)
    return y, jnp.sum(jnp.exp(x - y) * t, axes, keepdims=True)


@op("logsumexp(Tensor input, int[1] dim, bool keepdim=False)", aliases="special.logsumexp")
def logsumexp(input: Any, dim: Any, keepdim: bool) -> Any:
    """``log(sum(exp(input)))`` over dims, without overflow."""
    check_dims(dim, input)
    axes = axes_of(dim, input)
    x = to_float(input)
    out = _logsumexp(accumulate_in(x), axes).astype(x.dtype)
    return out if keepdim else jnp.squeeze(out, axes)


@op("diff(Tensor input, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None)", promote="default", elementwise=False,
    grad_name="SubBackward0")  # fmt: skip
def diff(input: Any, n: int, dim: int, prepend: Any, append: Any) -> Any:
    """The n-th forward difference along a dim; exclusive or for bools."""
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = dim_of(dim, input.ndim)
    for more in (prepend, append):
        if more is None:
            continue
        if more.ndim != input.ndim:
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
        for i, (a, b) in enumerate(zip(more.shape, input.shape, strict=True)):
            if i != dim and a != b:
                raise RuntimeError(
                    f"diff expects the shape of tensor to prepend or append to match that of input except along the differencing "
                    f"dimension; input.size({i}) = {b}, but got tensor.size({i}) = {a}"
                )
    if n == 0:  # the input alone, whatever is to be put around it
        return input
    x = jnp.concatenate([p for p in (prepend, input, append) if p is not None], dim)
    for _ in range(min(n, x.shape[dim])):
        high, low = lax.slice_in_dim(x, 1, None, axis=dim), lax.slice_in_dim(x, 0, max(x.shape[dim] - 1, 0), axis=dim)
        x = high ^ low if is_bool(x) else high - low
    return x


def _pairs(name: str, y: Any, dim: int, checked: str = "`y`") -> tuple[Any, int]:
    """Sums of neighbours along ``dim``."""
    if y.ndim == 0:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions" if dim == -1 else
                         f"Dimension specified as {dim} but tensor has no dimensions")  # fmt: skip
    dim = dim_of(dim, y.ndim)
    refuse_with(f"{name}: received a bool input for {checked}, but bool is not supported", y, "b")
    return lax.slice_in_dim(y, min(1, y.shape[dim]), None, axis=dim) + lax.slice_in_dim(y, 0, max(y.shape[dim] - 1, 0), axis=dim), dim


def _steps(name: str, y: Any, x: Any, dim: int) -> Any:
    """Widths along ``dim``, shaped to multiply with the pairs of ``y``."""
    refuse_with(f"{name}: received a bool input for `x` or `y`, but bool is not supported", x, "b")
    if y.ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    dim = dim_of(dim, y.ndim)
    if x.ndim == 1:
        if x.shape[0] != y.shape[dim]:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        return jnp.expand_dims(jnp.diff(x), tuple(range(1, y.ndim - dim)))
    aligned = x if x.ndim >= y.ndim else x.reshape((1,) * (y.ndim - x.ndim) + x.shape)
    return jnp.diff(aligned, axis=dim)  # of y's dims, counted from the front, also where x has more


def _by_steps(pairs: Any, steps: Any) -> Any:
    broadcast_shape(pairs.shape, steps.shape)  # raises in torch's words: one sample point makes no step
    return pairs * steps


def _no_bools(name: str) -> Callable[[Any, Any], None]:
    def check(y: Any, x: Any) -> None:
        if "bool" in (y.name, x.name):
            raise RuntimeError(f"{name}: received a bool input for `x` or `y`, but bool is not supported")

    return check


def _halved(x: Any) -> Any:
    return to_float(x) / 2


@op("trapezoid(Tensor y, Tensor x, *, int dim=-1)", promote="default", types=_no_bools("trapezoid"), elementwise=False, where="torch", out=False, aliases="trapz", unsaved="y x",
    grad_name="DivBackward1")  # fmt: skip
def trapezoid(y: Any, x: Any, dim: int) -> Any:
    """The integral along a dim by the trapezoidal rule over sample points ``x``."""
    if y.ndim and y.shape[dim_of(dim, y.ndim)] == 0:  # no sample: 0, whatever x is
        return jnp.zeros([n for i, n in enumerate(y.shape) if i != dim_of(dim, y.ndim)], to_float(y).dtype)
    steps = _steps("trapezoid", y, x, dim)
    pairs, dim = _pairs("trapezoid", y, dim, "`x` or `y`")
    return _halved(jnp.sum(_by_steps(pairs, steps), dim, dtype=_sum_type(y)))


@op("trapezoid(Tensor y, *, Scalar dx=1, int dim=-1)", elementwise=False, where="torch", out=False, aliases="trapz",
    grad_name="MulBackward1")  # fmt: skip
def trapezoid_even(y: Any, dx: Any, dim: int) -> Any:
    """The integral along a dim with sample points ``dx`` apart."""
    pairs, dim = _pairs("trapezoid", y, dim)
    total = jnp.sum(pairs, dim, dtype=_sum_type(y))
    return _scale(total, dx)


def _sum_type(y: Any) -> Any:
    return y.dtype if is_inexact(y) else np.int64


def _scale(total: Any, dx: Any) -> Any:
    total = to_float(total)
    return total * (num(dx, total) / 2)


@op("cumulative_trapezoid(Tensor y, Tensor x, *, int dim=-1)", promote="default", types=_no_bools("cumulative_trapezoid"), elementwise=False, where="torch", out=False, unsaved="y x",
    grad_name="DivBackward1")  # fmt: skip
def cumulative_trapezoid(y: Any, x: Any, dim: int) -> Any:
    """Running integrals along a dim over sample points ``x``."""
    steps = _steps("cumulative_trapezoid", y, x, dim)
    pairs, dim = _pairs("cumulative_trapezoid", y, dim, "`x` or `y`")
    return _halved(jnp.cumsum(_by_steps(pairs, steps), dim, dtype=_sum_type(y)))


@op("cumulative_trapezoid(Tensor y, *, Scalar dx=1, int dim=-1)", elementwise=False, where="torch", out=False,
    grad_name="CumsumBackward0")  # fmt: skip
def cumulative_trapezoid_even(y: Any, dx: Any, dim: int) -> Any:
    """Running integrals along a dim with sample points ``dx`` apart."""
    pairs, dim = _pairs("cumulative_trapezoid", y, dim)
    return jnp.cumsum(_scale(pairs, dx), dim)
