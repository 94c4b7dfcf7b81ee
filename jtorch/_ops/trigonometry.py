"""Trigonometric and hyperbolic functions with their inverses, sigmoid, degrees."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops._complex_values import mirrored
from jtorch._ops._lib import is_complex, on_cpu
from jtorch._ops._pointwise import constant, refuse, refuse_with, wide, with_slope
from jtorch._registry import op

_MANY = 1 << 15  # elements from which on a quick way pays


def _turned(x: Any, quarters: int) -> Any:
    """The sine of float32 numbers below 2^31 that were turned by some quarters: 0 for sine, 1 for cosine. In float64, so that no digit of the remainder is lost and the result is rounded once."""
    wide = x.astype(np.float64)
    k = jnp.round(wide * (2 / math.pi))
    r = ((wide - k * 1.570796012878418) - k * 3.139164164167596e-07) - k * 6.223372171896613e-14  # pi / 2 in pieces, of which k times the first two is exact
    z = r * r
    odd = r + r * z * (-1.6666654611e-1 + z * (8.3321608736e-3 - z * 1.9515295891e-4))
    even = 1 - 0.5 * z + z * z * (4.166664568298827e-2 + z * (z * 2.443315711809948e-5 - 1.388731625493765e-3))
    k = k.astype(np.int32) + quarters
    found = jnp.where(k & 1 == 1, even, odd)
    return jnp.where(k & 2 == 2, -found, found).astype(np.float32)


def _by_quarters(plain: Any, quarters: int) -> Any:
    """``plain`` (sine or cosine); of many float32 numbers on the cpu, where XLA calls the C library for each, by arithmetic that it makes vectors of (a twelfth of the time)."""

    def wave(x: Any) -> Any:
        if x.dtype != np.float32 or not on_cpu(x) or x.size < _MANY:
            return plain(x)
        return lax.cond(jnp.max(jnp.abs(x)) < 2.0**30, lambda x: _turned(x, quarters), plain, x)  # false for nan

    return wave


_sine = with_slope(_by_quarters(jnp.sin, 0), lambda ans, x: _cosine(x))
_cosine = with_slope(_by_quarters(jnp.cos, 1), lambda ans, x: -_sine(x))


@op("sin(Tensor input)", promote="int_to_float", inplace=True)
def sin(input: Any) -> Any:
    """Sine."""
    return _sine(input)


@op("cos(Tensor input)", promote="int_to_float", inplace=True)
def cos(input: Any) -> Any:
    """Cosine."""
    return _cosine(input)


_tan = with_slope(jnp.tan, lambda ans, x: 1 + ans * ans)


@op("tan(Tensor input)", promote="int_to_float", inplace=True)
def tan(input: Any) -> Any:
    """Tangent."""
    return wide(_tan)(input)


def _rsqrt(x: Any) -> Any:
    return 1 / mirrored(jnp.sqrt)(x) if is_complex(x) else lax.rsqrt(x)


# On a cut the slope's side is that of torch's formulas.
_asin = with_slope(mirrored(jnp.arcsin, odd=True), lambda _, x: _rsqrt(-x * x + 1))
_acos = with_slope(mirrored(jnp.arccos), lambda _, x: -_rsqrt(-x * x + 1))
_asinh = with_slope(mirrored(jnp.arcsinh, odd=True), lambda _, x: _rsqrt(x * x + 1))


@op("asin(Tensor input)", promote="int_to_float", inplace=True, aliases="arcsin")
def asin(input: Any) -> Any:
    """Inverse sine; nan outside [-1, 1]."""
    return wide(_asin)(input)


@op("acos(Tensor input)", promote="int_to_float", inplace=True, aliases="arccos")
def acos(input: Any) -> Any:
    """Inverse cosine; nan outside [-1, 1]."""
    return wide(_acos)(input)


@op("atan(Tensor input)", promote="int_to_float", inplace=True, aliases="arctan")
def atan(input: Any) -> Any:
    """Inverse tangent."""
    return wide(jnp.arctan)(input)


@op("sinh(Tensor input)", promote="int_to_float", inplace=True)
def sinh(input: Any) -> Any:
    """Hyperbolic sine."""
    return wide(jnp.sinh)(input)


@op("cosh(Tensor input)", promote="int_to_float", inplace=True)
def cosh(input: Any) -> Any:
    """Hyperbolic cosine."""
    return wide(jnp.cosh)(input)


_tanh = with_slope(jnp.tanh, lambda ans, x: 1 - ans * ans)


@op("tanh(Tensor input)", promote="int_to_float", inplace=True)
def tanh(input: Any) -> Any:
    """Hyperbolic tangent."""
    return wide(_tanh)(input)


@op("asinh(Tensor input)", promote="int_to_float", inplace=True, aliases="arcsinh")
def asinh(input: Any) -> Any:
    """Inverse hyperbolic sine."""
    return wide(_asinh)(input)


@op("acosh(Tensor input)", promote="int_to_float", inplace=True, aliases="arccosh")
def acosh(input: Any) -> Any:
    """Inverse hyperbolic cosine; nan below 1."""
    return wide(_acosh)(input)


_acosh = with_slope(mirrored(jnp.arccosh), lambda _, x: 1 / (jnp.sqrt(x - 1) * jnp.sqrt(x + 1)) if is_complex(x) else lax.rsqrt(x * x - 1))


@op("atanh(Tensor input)", promote="int_to_float", inplace=True, aliases="arctanh")
def atanh(input: Any) -> Any:
    """Inverse hyperbolic tangent; nan outside [-1, 1]."""
    return wide(_atanh)(input)


_atanh = with_slope(jnp.arctanh, lambda _, x: 1 / (1 - x * x))


def _sinc_values(x: Any) -> Any:
    scaled = x * constant(math.pi, x)
    zero = x == 0
    return jnp.where(zero, jnp.ones_like(x), jnp.sin(scaled) / jnp.where(zero, jnp.ones_like(x), scaled))


def _sinc_slope(_: Any, x: Any) -> Any:
    # (cos(pi x) pi x - sin(pi x)) / (pi x^2), and 0 at 0.
    scaled = x * constant(math.pi, x)
    zero = scaled * scaled == 0
    below = jnp.where(zero, jnp.ones_like(x), scaled * x)
    return jnp.where(zero, jnp.zeros_like(x), (jnp.cos(scaled) * scaled - jnp.sin(scaled)) / below)


_sinc = with_slope(_sinc_values, _sinc_slope)


@op("sinc(Tensor input)", promote="int_to_float", inplace=True, aliases="special.sinc")
def sinc(input: Any) -> Any:
    """``sin(pi x) / (pi x)``, 1 at 0."""
    return wide(_sinc)(input)


@op("deg2rad(Tensor input)", promote="int_to_float", inplace=True, grad_name="Deg2RadBackward0")
def deg2rad(input: Any) -> Any:
    """Degrees to radians."""
    refuse_with("deg2rad is not supported for complex tensors.", input, "c")
    return wide(lambda x: x * constant(math.pi / 180.0, x))(input)


@op("rad2deg(Tensor input)", promote="int_to_float", inplace=True, grad_name="Rad2DegBackward0")
def rad2deg(input: Any) -> Any:
    """Radians to degrees."""
    refuse_with("rad2deg is not supported for complex tensors.", input, "c")
    return wide(lambda x: x * constant(180.0 / math.pi, x))(input)


_sigmoid = with_slope(lambda x: 1 / (1 + jnp.exp(-x)) if is_complex(x) else lax.logistic(x), lambda ans, x: ans * (1 - ans))


@op("sigmoid(Tensor input)", promote="int_to_float", inplace=True, aliases="special.expit")
def sigmoid(input: Any) -> Any:
    """``1 / (1 + exp(-input))``."""
    return wide(_sigmoid)(input)


_logit_slope = wide(lambda x: jnp.where((x < 0) | (x > 1), jnp.full_like(x, math.nan), 1 / (x * (1 - x))))
_logit = with_slope(lambda x: jnp.log(x / (1 - x)), lambda _, x: _logit_slope(x))  # half types are rounded at every step


@op("logit(Tensor input, float? eps=None)", promote="int_to_float", inplace=True, aliases="special.logit")
def logit(input: Any, eps: float | None) -> Any:
    """``log(x / (1 - x))``, with x first clamped to [eps, 1 - eps] if eps is given."""
    refuse("logit_cpu", input, "c")
    if eps is None:
        return _logit(input)
    low, high = constant(eps, input), constant(1 - eps, input)
    # Outside [eps, 1 - eps] the result is constant, on the border it has logit's slope.
    inside = (input >= low) & (input <= high)
    return _logit(jnp.where(inside, input, lax.stop_gradient(jnp.clip(input, low, high))))


def _atan2_scale(x: Any, y: Any) -> Any:
    square = x * x + y * y
    return jnp.where(square == 0, jnp.zeros_like(square), 1 / jnp.where(square == 0, jnp.ones_like(square), square))


# At the origin the derivative is 0 in torch.
_atan2 = with_slope(jnp.arctan2, lambda _, y, x: x * _atan2_scale(x, y), lambda _, y, x: -y * _atan2_scale(x, y))


@op("atan2(Tensor input, Tensor other)", promote="int_to_float", inplace=True, aliases="arctan2")
def atan2(input: Any, other: Any) -> Any:
    """The angle of the point (other, input) in (-pi, pi]."""
    refuse("atan2_cpu", input, "c")
    return wide(_atan2)(input, other)


_hypot = with_slope(jnp.hypot, lambda ans, x, y: x / ans, lambda ans, x, y: y / ans)


@op("hypot(Tensor input, Tensor other)", promote="default", inplace=True)
def hypot(input: Any, other: Any) -> Any:
    """``sqrt(input ** 2 + other ** 2)`` without overflow."""
    refuse("hypot_cpu", input, "bic")
    return wide(_hypot)(input, other)
