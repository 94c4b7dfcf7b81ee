"""Bessel functions, modified Bessel functions and Airy's Ai.

Cephes' rational and Chebyshev approximations (see ``_cephes``), evaluated in float64 also for float32 inputs.
Formulas: https://dlmf.nist.gov/10 and https://dlmf.nist.gov/9.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops import _cephes as tables
from jtorch._ops._pointwise import constant, refuse, wide, with_slope
from jtorch._registry import op


def horner(x: Any, coefficients: tuple[float, ...]) -> Any:
    """A polynomial, highest power first."""
    out = jnp.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        out = out * x + c
    return out


def ratio(x: Any, above: tuple[float, ...], below: tuple[float, ...]) -> Any:
    return horner(x, above) / horner(x, below)


def chebyshev(x: Any, coefficients: tuple[float, ...]) -> Any:
    """A Chebyshev series on [-2, 2], highest order first, the last coefficient halved (Clenshaw's recurrence)."""
    b0, b1, b2 = jnp.full_like(x, coefficients[0]), jnp.zeros_like(x), jnp.zeros_like(x)
    for c in coefficients[1:]:
        b0, b1, b2 = x * b0 - b1 + c, b0, b1
    return 0.5 * (b0 - b2)


def in_double(name: str, fn: Callable[..., Any]) -> Callable[[Any], Any]:
    """``fn`` in float64 with the result in the input's type; halves and complex numbers are refused."""

    def compute(x: Any) -> Any:
        refuse(f"{name}_cpu", x, "hc")
        return lax.stop_gradient(fn(x.astype(np.float64))).astype(x.dtype)

    return compute


def _hankel(x: Any, order: int) -> tuple[Any, Any, Any]:
    """Amplitudes (p, q) and phase of the asymptotic expansion for x > 5."""
    t = (tables.J0_PP, tables.J0_PQ, tables.J0_QP, tables.J0_QQ) if order == 0 else (
        tables.J1_PP, tables.J1_PQ, tables.J1_QP, tables.J1_QQ)  # fmt: skip
    z = 25.0 / (x * x)
    scale = math.sqrt(2 / math.pi) / jnp.sqrt(x)
    return ratio(z, t[0], t[1]) * scale, 5.0 / x * ratio(z, t[2], t[3]) * scale, x - math.pi * (0.25 if order == 0 else 0.75)


_J0_ROOTS = 5.78318596294678452118, 30.4712623436620863991  # squares of the first zeros
_J1_ROOTS = 14.6819706421238932572, 49.2184563216946036703


def _j0(x: Any) -> Any:
    x = jnp.abs(x)
    z = x * x
    near = (z - _J0_ROOTS[0]) * (z - _J0_ROOTS[1]) * ratio(z, tables.J0_RP, tables.J0_RQ)
    p, q, phase = _hankel(jnp.maximum(x, 5.0), 0)
    far = p * jnp.cos(phase) - q * jnp.sin(phase)
    return jnp.where(x <= 5.0, jnp.where(x < 1e-5, 1 - z / 4, near), far)


def _j1(x: Any) -> Any:
    size = jnp.abs(x)
    z = size * size
    near = ratio(z, tables.J1_RP, tables.J1_RQ) * size * (z - _J1_ROOTS[0]) * (z - _J1_ROOTS[1])
    p, q, phase = _hankel(jnp.maximum(size, 5.0), 1)
    far = p * jnp.cos(phase) - q * jnp.sin(phase)
    out = jnp.where(size <= 5.0, near, far)
    return jnp.where(jnp.signbit(x), -out, out)


def _second_kind(x: Any, near: Any, order: int) -> Any:
    p, q, phase = _hankel(jnp.maximum(x, 5.0), order)
    far = p * jnp.sin(phase) + q * jnp.cos(phase)
    out = jnp.where(x <= 5.0, near, far)
    return jnp.where(x == 0, -math.inf, jnp.where(x < 0, math.nan, out))


def _y0(x: Any) -> Any:
    z = x * x
    near = ratio(z, tables.J0_YP, tables.J0_YQ) + 2 / math.pi * jnp.log(x) * _j0(x)
    return _second_kind(x, near, 0)


def _y1(x: Any) -> Any:
    z = x * x
    near = x * ratio(z, tables.J1_YP, tables.J1_YQ) + 2 / math.pi * (_j1(x) * jnp.log(x) - 1 / x)
    return _second_kind(x, near, 1)


def _i0(x: Any) -> Any:
    return jnp.exp(jnp.abs(x)) * lax.bessel_i0e(x)


def _i1(x: Any) -> Any:
    return jnp.exp(jnp.abs(x)) * lax.bessel_i1e(x)


def _third_kind(x: Any, scaled: bool, near: Any, table: tuple[float, ...]) -> Any:
    far = chebyshev(8.0 / jnp.maximum(x, 2.0) - 2.0, table) / jnp.sqrt(x)
    out = jnp.where(x <= 2.0, near * jnp.exp(x) if scaled else near, far if scaled else far * jnp.exp(-x))
    return jnp.where(x == 0, math.inf, jnp.where(x < 0, math.nan, out))


def _k0(x: Any, scaled: bool = False) -> Any:
    small = jnp.minimum(x, 2.0)
    near = chebyshev(small * small - 2.0, tables.K0_A) - jnp.log(0.5 * small) * _i0(small)
    return _third_kind(x, scaled, near, tables.K0_B)


def _k1(x: Any, scaled: bool = False) -> Any:
    small = jnp.minimum(x, 2.0)
    near = jnp.log(0.5 * small) * _i1(small) + chebyshev(small * small - 2.0, tables.K1_A) / small
    return _third_kind(x, scaled, near, tables.K1_B)


_AI_0, _AI_1 = 0.35502805388781723926, 0.258819403792806798405  # Ai(0) and -Ai'(0)


def _airy(x: Any) -> Any:
    # Left: oscillating expansion.
    root = jnp.sqrt(jnp.maximum(-x, 2.09))
    zeta = 2.0 / 3.0 * jnp.maximum(-x, 2.09) * root
    z = 1 / zeta
    f = 1 + z * z * ratio(z * z, tables.AIRY_AFN, tables.AIRY_AFD)
    g = z * ratio(z * z, tables.AIRY_AGN, tables.AIRY_AGD)
    theta = zeta + math.pi / 4
    left = (jnp.sin(theta) * f - jnp.cos(theta) * g) / (math.sqrt(math.pi) * jnp.sqrt(root))
    # Right: decaying expansion.
    root = jnp.sqrt(jnp.maximum(x, 2.09))
    zeta = 2.0 / 3.0 * jnp.maximum(x, 2.09) * root
    right = ratio(1 / zeta, tables.AIRY_AN, tables.AIRY_AD) * jnp.exp(-zeta) / (2 * math.sqrt(math.pi) * jnp.sqrt(root))
    # Middle: the two power series in x^3, whose terms vanish to double precision within 20.
    cube = jnp.clip(x, -2.09, 2.09) ** 3
    even, odd = jnp.ones_like(x), jnp.ones_like(x)
    sum_even, sum_odd = even, odd
    for k in range(20):
        even = even * cube / ((3 * k + 2) * (3 * k + 3))
        odd = odd * cube / ((3 * k + 3) * (3 * k + 4))
        sum_even, sum_odd = sum_even + even, sum_odd + odd
    middle = _AI_0 * sum_even - _AI_1 * x * sum_odd
    out = jnp.where(x < -2.09, left, jnp.where(x >= 2.09, right, middle))
    return jnp.where(jnp.isinf(x), math.nan, jnp.where(x > 103.892, 0.0, out))


def _spherical_j0(x: Any) -> Any:
    z = x * x
    series = horner(z, tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(6, -1, -1)))
    out = jnp.where(jnp.abs(x) < 0.5, series, jnp.sin(x) / jnp.where(x == 0, 1.0, x))
    return jnp.where(jnp.isinf(x), 0.0, out)


@op("airy_ai(Tensor x)", promote="int_to_float", where="special", grad_name="none")
def airy_ai(x: Any) -> Any:
    """Airy's Ai."""
    return in_double("airy_ai", _airy)(x)


@op("bessel_j0(Tensor input)", promote="int_to_float", where="special", grad_name="none")
def bessel_j0(input: Any) -> Any:
    """J of order 0."""
    return in_double("bessel_j0", _j0)(input)


@op("bessel_j1(Tensor input)", promote="int_to_float", where="special", grad_name="none")
def bessel_j1(input: Any) -> Any:
    """J of order 1."""
    return in_double("bessel_j1", _j1)(input)


@op("bessel_y0(Tensor input)", promote="int_to_float", where="special", grad_name="none")
def bessel_y0(input: Any) -> Any:
    """Y of order 0: -inf at 0, nan below."""
    return in_double("bessel_y0", _y0)(input)


@op("bessel_y1(Tensor input)", promote="int_to_float", where="special", grad_name="none")
def bessel_y1(input: Any) -> Any:
    """Y of order 1: -inf at 0, nan below."""
    return in_double("bessel_y1", _y1)(input)


@op("modified_bessel_i0(Tensor input)", promote="int_to_float", where="special", grad_name="none")
def modified_bessel_i0(input: Any) -> Any:
    """I of order 0."""
    return in_double("modified_bessel_i0", _i0)(input)


@op("modified_bessel_i1(Tensor input)", promote="int_to_float", where="special", grad_name="none")
def modified_bessel_i1(input: Any) -> Any:
    """I of order 1."""
    return in_double("modified_bessel_i1", _i1)(input)


@op("modified_bessel_k0(Tensor input)", promote="int_to_float", where="special", grad_name="none")
def modified_bessel_k0(input: Any) -> Any:
    """K of order 0: inf at 0, nan below."""
    return in_double("modified_bessel_k0", _k0)(input)


@op("modified_bessel_k1(Tensor input)", promote="int_to_float", where="special", grad_name="none")
def modified_bessel_k1(input: Any) -> Any:
    """K of order 1: inf at 0, nan below."""
    return in_double("modified_bessel_k1", _k1)(input)


@op("scaled_modified_bessel_k0(Tensor x)", promote="int_to_float", where="special", grad_name="none")
def scaled_modified_bessel_k0(x: Any) -> Any:
    """K of order 0 times exp(x)."""
    return in_double("scaled_modified_bessel_k0", lambda a: _k0(a, True))(x)


@op("scaled_modified_bessel_k1(Tensor x)", promote="int_to_float", where="special", grad_name="none")
def scaled_modified_bessel_k1(x: Any) -> Any:
    """K of order 1 times exp(x)."""
    return in_double("scaled_modified_bessel_k1", lambda a: _k1(a, True))(x)


@op("spherical_bessel_j0(Tensor x)", promote="int_to_float", where="special", grad_name="none")
def spherical_bessel_j0(x: Any) -> Any:
    """``sin(x) / x``."""
    return in_double("spherical_bessel_j0", _spherical_j0)(x)


# The four with gradients.


def _double(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Values of a float32 function taken in float64 (exp of large arguments loses digits otherwise)."""
    return lambda x: fn(x.astype(np.float64)).astype(x.dtype)


def _over_x(ans: Any, x: Any) -> tuple[Any, Any]:
    """Where x is too small to divide by, and ans / x elsewhere."""
    tiny = ~(jnp.abs(x) > constant(jnp.finfo(x.dtype).eps, x))  # of nan torch says the same
    return tiny, ans / jnp.where(tiny, jnp.ones_like(x), x)


def _i1_slope(ans: Any, x: Any) -> Any:
    tiny, quotient = _over_x(ans, x)
    return jnp.where(tiny, constant(0.5, x), _i0_values(x) - quotient)


def _i1e_slope(ans: Any, x: Any) -> Any:
    tiny, quotient = _over_x(ans, x)
    return jnp.where(tiny, constant(0.5, x), _i0e_values(x) - ans * jnp.sign(x) - quotient)


_i1_values: Any = with_slope(_double(_i1), _i1_slope)
_i0_values: Any = with_slope(_double(_i0), lambda _, x: _i1_values(x))
_i1e_values: Any = with_slope(_double(lambda x: lax.bessel_i1e(x)), _i1e_slope)
_i0e_values: Any = with_slope(_double(lambda x: lax.bessel_i0e(x)), lambda ans, x: _i1e_values(x) - jnp.sign(x) * ans)


@op("i0(Tensor input)", promote="int_to_float", inplace=True, aliases="special.i0", residuals="save", kept="input")
def i0(input: Any) -> Any:
    """The modified Bessel function I of order 0."""
    refuse("i0_vml_cpu", input, "c")
    return wide(_i0_values)(input)


@op("i0e(Tensor input)", promote="int_to_float", where="special", grad_name="SpecialI0EBackward0", residuals="save", kept="input result")
def i0e(input: Any) -> Any:
    """``exp(-|x|) i0(x)``."""
    refuse("i0e_cpu", input, "c")
    return wide(_i0e_values)(input)


@op("i1(Tensor input)", promote="int_to_float", where="special", grad_name="SpecialI1Backward0", residuals="save", kept="input result")
def i1(input: Any) -> Any:
    """The modified Bessel function I of order 1."""
    refuse("i1_cpu", input, "c")
    return wide(_i1_values)(input)


@op("i1e(Tensor input)", promote="int_to_float", where="special", grad_name="SpecialI1EBackward0", residuals="save", kept="input result")
def i1e(input: Any) -> Any:
    """``exp(-|x|) i1(x)``."""
    refuse("i1e_cpu", input, "c")
    return wide(_i1e_values)(input)
