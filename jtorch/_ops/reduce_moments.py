"""Variance and deviation, covariance, norms and distances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._ops._lib import PLAIN, accumulate_in, dtype_of, is_complex, is_inexact, quotient, size_as
from jtorch._ops._pointwise import conj, constant, refuse_with
from jtorch._ops._reduce import axes_of, check_dims, count_of
from jtorch._ops.extrema import clamp_between
from jtorch._registry import Says, op

# The square root whose slope at 0 is 0: a deviation of equal numbers has gradient 0 in torch.
_root = jax.custom_jvp(jnp.sqrt)


@_root.defjvp
def _root_rule(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    y = _root(x)
    zero = y == 0
    return y, jnp.where(zero, jnp.zeros_like(t), t / (2 * jnp.where(zero, jnp.ones_like(y), y)))


def _square(x: Any) -> Any:
    return x.real * x.real + x.imag * x.imag if is_complex(x) else x * x


def _moments(said: str, x: Any, dim: Any, correction: Any, keepdim: bool) -> tuple[Any, Any]:
    """Variance and mean, both in the accumulation type, for N - correction degrees of freedom. ``said`` is what an error calls the function."""
    if not is_inexact(x):
        raise RuntimeError(f"{said} only support floating point and complex dtypes")
    check_dims(dim, x)
    axes = axes_of(dim, x)
    high = accumulate_in(x)
    n = count_of(x, axes)

    def mean_of(x: Any) -> Any:
        return quotient(jnp.sum(x, axes, keepdims=True), constant(n, x))

    freedom = n - (1 if correction is None else correction)

    @jax.custom_jvp
    def var(x: Any) -> Any:
        spread = jnp.sum(_square(x - mean_of(x)), axes, keepdims=keepdim)
        return quotient(spread, constant(freedom if freedom > 0 else 0.0, spread))

    @var.defjvp
    def slope(primals: Any, tangents: Any) -> Any:
        # 2 / freedom * (x - mean), whatever the sign of freedom: so it is in torch, though the variance is infinite where it is none.
        (x,), (t,) = primals, tangents
        ans = var(x)
        part = (conj(x - mean_of(x)) * t).real if is_complex(x) else (x - mean_of(x)) * t
        factor = constant((2 / freedom if freedom != 0 else math.inf), ans) if isinstance(freedom, PLAIN) else 2 / constant(freedom, ans)
        return ans, jnp.sum(part, axes, keepdims=keepdim) * factor

    mean = mean_of(high)
    return var(high), mean if keepdim else jnp.squeeze(mean, axes)


def _real_type(x: Any) -> Any:
    return x.real.dtype if is_complex(x) else x.dtype


def _var(x: Any, dim: Any, correction: Any, keepdim: bool) -> Any:
    return _moments("std and var", x, dim, correction, keepdim)[0].astype(_real_type(x))


def _std(x: Any, dim: Any, correction: Any, keepdim: bool) -> Any:
    return _root(_moments("std and var", x, dim, correction, keepdim)[0]).astype(_real_type(x))


def _var_mean(x: Any, dim: Any, correction: Any, keepdim: bool) -> Any:
    var, mean = _moments("var_mean", x, dim, correction, keepdim)
    return var.astype(_real_type(x)), mean.astype(x.dtype)


def _std_mean(x: Any, dim: Any, correction: Any, keepdim: bool) -> Any:
    var, mean = _moments("std_mean", x, dim, correction, keepdim)
    return _root(var).astype(_real_type(x)), mean.astype(x.dtype)


def _says(name: str) -> Any:
    """The guard that warns where there are no degrees of freedom."""

    def guard(input: Any, dim: Any = None, unbiased: bool = True, correction: Any = None, keepdim: bool = False) -> Sequence[Says]:
        freedom = count_of(input, axes_of(dim, input)) - (int(unbiased) if correction is None else correction)
        return _unfree(name, "reduction factor (input numel divided by output numel)") if isinstance(freedom, PLAIN) and freedom <= 0 else ()

    return guard


def _unfree(name: str, most: str) -> Sequence[Says]:
    return (Says(f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the {most}."),)


def _says_of_cov(input: Any, correction: int, fweights: Any, aweights: Any) -> Sequence[Says]:
    n = (1 if input.ndim == 0 else input.shape[-1]) if fweights is None and aweights is None else None
    return _unfree("cov", "number of observations") if isinstance(n, int) and n <= correction else ()


_WHOLE, _DIMS = "(Tensor input, bool unbiased=True)", "(Tensor input, int[1]? dim, bool unbiased=True, bool keepdim=False)"
_CORRECTED = "(Tensor input, int[1]? dim=None, *, Number? correction=None, bool keepdim=False)"


@op("var" + _DIMS, "var" + _CORRECTED, "var" + _WHOLE, guard=_says("var"))
def var(input: Any, dim: Any = None, unbiased: bool = True, correction: Any = None, keepdim: bool = False) -> Any:
    """The variance over dims, with N - correction (1 by default) degrees of freedom."""
    return _var(input, dim, correction if correction is not None else int(unbiased), keepdim)


@op("std" + _DIMS, "std" + _CORRECTED, "std" + _WHOLE, guard=_says("std"))
def std(input: Any, dim: Any = None, unbiased: bool = True, correction: Any = None, keepdim: bool = False) -> Any:
    """The standard deviation over dims."""
    return _std(input, dim, correction if correction is not None else int(unbiased), keepdim)


@op("var_mean" + _DIMS, "var_mean" + _CORRECTED, "var_mean" + _WHOLE, where="torch", out=False, alone=True, guard=_says("var_mean"))
def var_mean(input: Any, dim: Any = None, unbiased: bool = True, correction: Any = None, keepdim: bool = False) -> Any:
    """Variance and mean over dims."""
    return _var_mean(input, dim, correction if correction is not None else int(unbiased), keepdim)


@op("std_mean" + _DIMS, "std_mean" + _CORRECTED, "std_mean" + _WHOLE, where="torch", out=False, alone=True, guard=_says("std_mean"))
def std_mean(input: Any, dim: Any = None, unbiased: bool = True, correction: Any = None, keepdim: bool = False) -> Any:
    """Standard deviation and mean over dims."""
    return _std_mean(input, dim, correction if correction is not None else int(unbiased), keepdim)


def _covariance(x: Any, correction: int, fweights: Any, aweights: Any) -> Any:
    if x.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got an input with {x.ndim} dimensions")
    refuse_with("cov(): bool dtype is not supported for input", x, "b")
    rows = x.reshape(1, -1) if x.ndim < 2 else x
    n = rows.shape[1]
    if n == 0 or x.size == 0:
        kind = x.dtype if is_inexact(x) else jnp.float32
        size = rows.shape[0] if x.ndim == 2 else 1
        return jnp.full((size, size) if x.ndim == 2 and size != 1 else (), math.nan, kind)
    _check_weights(n, fweights, aweights)
    weights = None
    if fweights is not None:
        weights = fweights
    if aweights is not None:
        weights = aweights if weights is None else weights.astype(aweights.dtype) * aweights
    high = accumulate_in(rows if is_inexact(rows) else rows.astype(np.float32))
    if aweights is not None and aweights.dtype == np.float64:
        high = high.astype(np.complex128 if is_complex(high) else np.float64)
    real = _real_type(high)
    if weights is None:
        total: Any = size_as(n, real)
        mean = jnp.sum(high, 1, keepdims=True) / constant(n, high)
    else:
        w = weights.astype(real)
        total = jnp.sum(accumulate_in(weights)).astype(real)
        mean = jnp.sum(high * w, 1, keepdims=True) / total
    if aweights is not None and correction != 0:  # of the weights alone, in their own type: torch rounds to it before what is weighted may be of a wider one
        own = accumulate_in(weights)
        of_all = jnp.sum(own)
        freedom = (of_all - constant(correction, of_all) * jnp.sum(own * accumulate_in(aweights)) / of_all).astype(real)
    else:
        freedom = total - np.asarray(correction, real)
    freedom = jnp.maximum(freedom, 0)
    centred = high - mean
    scaled = centred if weights is None else centred * w
    out = jnp.matmul(centred, jnp.conj(scaled).T, precision=lax.Precision.HIGHEST) / freedom
    kind = dtype_of(x) if aweights is None else _dtypes.promote_types(dtype_of(x), dtype_of(aweights))
    out = out.astype(kind.np if kind.category >= 2 else np.float32)
    return out.reshape(()) if out.size == 1 else out


def _check_weights(n: int, fweights: Any, aweights: Any) -> None:
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        if w.ndim > 1:
            raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got {name} with {w.ndim} dimensions")
        kind = dtype_of(w)
        if name == "fweights" and kind.category != 1:
            raise RuntimeError(f"cov(): expected fweights to have integral dtype but got fweights with {kind.legacy} dtype")
        if name == "aweights" and kind.category != 2:
            raise RuntimeError(f"cov(): expected aweights to have floating point dtype but got aweights with {kind.legacy} dtype")
        if w.size != n:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the input but got {w.size} != {n}"
            )


@op("cov(Tensor input, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None)", where="internal", unsaved="input",
    grad_name="SqueezeBackward0", guard=_says_of_cov)  # fmt: skip
def cov(input: Any, correction: int, fweights: Any, aweights: Any) -> Any:
    """The covariance of the rows (variables) over the columns (observations), optionally weighted; ``_api`` checks the weights' signs."""
    return _covariance(input, correction, fweights, aweights)


@op("corrcoef(Tensor input)", out=False, unsaved="input", grad_name="ClampBackward1", guard=lambda input: _says_of_cov(input, 1, None, None))
def corrcoef(input: Any) -> Any:
    """Pearson's correlation of the rows, clipped to [-1, 1]."""
    if input.ndim > 2:
        raise RuntimeError(f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions")
    c = _covariance(input, 1, None, None)
    if c.ndim == 0:
        return c / c
    deviation = jnp.sqrt(jnp.diagonal(c).real if is_complex(c) else jnp.diagonal(c))
    c = c / deviation[:, None] / deviation[None, :]
    if is_complex(c):
        return lax.complex(jnp.clip(c.real, -1, 1), jnp.clip(c.imag, -1, 1))
    return clamp_between(c, jnp.asarray(-1, c.dtype), jnp.asarray(1, c.dtype))
