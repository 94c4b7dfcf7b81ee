"""The error function's family, the normal distribution, and entropy."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special as jsp

from jtorch._ops import _cephes as tables
from jtorch._ops._lib import apart
from jtorch._ops._pointwise import constant, refuse, wide, with_slope
from jtorch._ops.special_bessel import ratio
from jtorch._registry import op

_ROOT_2, _ROOT_PI = math.sqrt(2.0), math.sqrt(math.pi)


@op("erf(Tensor input)", promote="int_to_float", inplace=True, aliases="special.erf")
def erf(input: Any) -> Any:
    """The error function."""
    refuse("erf_vml_cpu", input, "c")
    return wide(lax.erf)(input)


@op("erfc(Tensor input)", promote="int_to_float", inplace=True, aliases="special.erfc")
def erfc(input: Any) -> Any:
    """``1 - erf(input)`` without cancellation."""
    refuse("erfc_vml_cpu", input, "c")
    return wide(lax.erfc)(input)


@op("erfinv(Tensor input)", promote="int_to_float", inplace=True, aliases="special.erfinv")
def erfinv(input: Any) -> Any:
    """The inverse of erf on (-1, 1), infinite at the ends."""
    refuse("erfinv_vml_cpu", input, "c")
    return apart(wide(lax.erf_inv)(input))


def _erfcx_raw(x: Any) -> Any:
    size = jnp.abs(x)
    small = jnp.minimum(size, 1.0)
    inner = jnp.exp(small * small) * (1 - lax.erf(small))
    middle = ratio(jnp.clip(size, 1.0, 8.0), tables.ERFC_P, tables.ERFC_Q)
    big = jnp.maximum(size, 8.0)
    # Beyond 50 the asymptotic series' first terms are exact to double precision, and do not overflow.
    square = jnp.where(size > 50, size, 50.0) ** 2
    tail = (1 - 0.5 / square * (1 - 1.5 / square * (1 - 2.5 / square * (1 - 3.5 / square)))) / (_ROOT_PI * jnp.where(size > 50, size, 50.0))
    outer = jnp.where(size > 50, tail, ratio(jnp.minimum(big, 50.0), tables.ERFC_R, tables.ERFC_S))
    positive = jnp.where(size < 1, inner, jnp.where(size < 8, middle, outer))
    return jnp.where(x < 0, 2 * jnp.exp(x * x) - positive, positive)


def _in_double(fn: Any) -> Any:
    return lambda x: fn(x.astype(np.float64)).astype(x.dtype)


_erfcx: Any = with_slope(_in_double(_erfcx_raw), lambda ans, x: 2 * x * ans - constant(2 / _ROOT_PI, x))


@op("erfcx(Tensor input)", promote="int_to_float", where="special", grad_name="SpecialErfcxBackward0")
def erfcx(input: Any) -> Any:
    """``exp(x ** 2) erfc(x)``."""
    refuse("erfcx_cpu", input, "hc")
    return _erfcx(input)


@op("ndtr(Tensor input)", promote="int_to_float", where="special", grad_name="MulBackward1", unsaved="input")
def ndtr(input: Any) -> Any:
    """The normal distribution function."""
    refuse("erf_vml_cpu", input, "c")
    return wide(lambda x: constant(0.5, x) * (1 + lax.erf(x * constant(1 / _ROOT_2, x))))(input)


_ndtri = with_slope(
    _in_double(jsp.ndtri), lambda ans, x: constant(math.sqrt(2 * math.pi), x) * jnp.exp(ans * ans * constant(0.5, x))
)


@op("ndtri(Tensor input)", promote="int_to_float", where="special", grad_name="SpecialNdtriBackward0")
def ndtri(input: Any) -> Any:
    """The inverse of the normal distribution function; nan outside [0, 1]."""
    refuse("ndtri_cpu", input, "hc")
    return _ndtri(input)


def _log_ndtr_raw(x: Any) -> Any:
    t = x / _ROOT_2
    low = x < -1
    left = jnp.log(_erfcx_raw(jnp.where(low, -t, 1.0)) / 2) - t * t
    return jnp.where(low, left, jnp.log1p(-lax.erfc(jnp.where(low, 0.0, t)) / 2))


_log_ndtr = with_slope(
    _in_double(_log_ndtr_raw), lambda _, x: constant(math.sqrt(2 / math.pi), x) / _erfcx(x * constant(-1 / _ROOT_2, x))
)


@op("log_ndtr(Tensor input)", promote="int_to_float", where="special", grad_name="SpecialLogNdtrBackward0", kept="input result")
def log_ndtr(input: Any) -> Any:
    """The logarithm of the normal distribution function, accurate far to the left."""
    refuse("log_ndtr_cpu", input, "hc")
    return _log_ndtr(input)


def _entr_values(x: Any) -> Any:
    safe = jnp.where(x > 0, x, jnp.ones_like(x))
    out = jnp.where(x > 0, -x * jnp.log(safe), jnp.where(x == 0, jnp.zeros_like(x), jnp.full_like(x, -math.inf)))
    return jnp.where(jnp.isnan(x), x, out)


_entr = with_slope(_entr_values, lambda _, x: -jnp.log(x) - 1)


@op("entr(Tensor input)", promote="int_to_float", where="special", grad_name="SpecialEntrBackward0")
def entr(input: Any) -> Any:
    """``-x log x``: 0 at 0, -inf below."""
    refuse("entr_cpu", input, "c")
    return wide(_entr)(input)
