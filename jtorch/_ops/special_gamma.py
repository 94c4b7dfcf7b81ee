"""The gamma family: lgamma, digamma, polygamma, zeta, incomplete gamma, multivariate log-gamma, and x log y.

Formulas: https://dlmf.nist.gov/5, https://dlmf.nist.gov/8 and https://dlmf.nist.gov/25.11.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._dtypes import bool_, dtype
from jtorch._ops._pointwise import constant, refuse, wide, with_slope
from jtorch._registry import op


def _double(fn: Any) -> Any:
    """Values in float64 for smaller types: XLA's float32 versions lose digits."""
    return lambda *args: fn(*(a.astype(np.float64) for a in args)).astype(args[0].dtype)


def _digamma_raw(x: Any) -> Any:
    # -copysign(inf, x) at 0, nan at negative integers, +inf at inf.
    out = lax.digamma(jnp.where(x == 0, jnp.ones_like(x), x))
    out = jnp.where(x == 0, jnp.copysign(jnp.full_like(x, math.inf), -x), out)
    return jnp.where((x < 0) & (x == jnp.floor(x)), jnp.full_like(x, math.nan), out)


# (2k)! / B_2k, the denominators of the Euler-Maclaurin remainder (https://dlmf.nist.gov/25.11.E28).
_BERNOULLI = (
    (1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798), (-174611, 330), (854513, 138),
    (-236364091, 2730),
)  # fmt: skip
_REMAINDER = tuple(math.factorial(2 * k) * b / a for k, (a, b) in enumerate(_BERNOULLI, 1))


def _zeta_raw(x: Any, q: Any) -> Any:
    """The sum of (q + k) ** -x: at least ten terms and all up to q + k = 9, then Euler and Maclaurin's remainder."""
    x, q = jnp.broadcast_arrays(x, q)

    def going(state: Any) -> Any:
        i, at, _ = state
        return (i < 9) | jnp.any(at <= 9)

    def add(state: Any) -> Any:
        i, at, total = state
        more = (i < 9) | (at <= 9)
        at = jnp.where(more, at + 1, at)
        return i + 1, at, jnp.where(more, total + at**-x, total)

    # A pole or an undefined power would keep the loop running: such places are answered below.
    undefined = (q <= 0) & ((q == jnp.floor(q)) | (x != jnp.floor(x)))
    start = jnp.where(undefined | ~(q > -1e7), jnp.ones_like(q), q)
    _, at, total = lax.while_loop(going, add, (jnp.asarray(np.int32(0)), start, start**-x))
    power = at**-x
    total = total + power * at / (x - 1) - 0.5 * power
    factor = x
    for k, denominator in enumerate(_REMAINDER):
        power = power / at
        total = total + factor * power / denominator
        factor = factor * (x + 2 * k + 1) * (x + 2 * k + 2)
        power = power / at
    pole = (q <= 0) & (q == jnp.floor(q))
    total = jnp.where(undefined, jnp.where(pole, math.inf, math.nan), total)
    total = jnp.where(x == 1, math.inf, jnp.where(x < 1, math.nan, total))
    return jnp.where(jnp.isnan(x) | jnp.isnan(q), math.nan, total)


def _no_slope(name: str) -> Any:
    """As in torch, incomplete gamma and zeta functions have no derivative in their first argument."""

    def refuse(*_: Any) -> Any:
        raise NotImplementedError(f"the derivative for '{name}' is not implemented.")

    return refuse


_zeta: Any = with_slope(_double(_zeta_raw), _no_slope("zeta"), lambda _, x, q: -x * _zeta(x + 1, q))


def _trigamma(x: Any) -> Any:
    """Reflected below 1/2, raised by six, then the asymptotic series; in the input's own precision, as torch does it."""
    left = x < 0.5
    y = jnp.where(left, 1 - x, x)
    total = jnp.zeros_like(x)
    for _ in range(6):
        total = total + 1 / (y * y)
        y = y + 1
    z = 1 / (y * y)
    total = total + (1 + 1 / (2 * y) + z * (1 / 6 - z * (1 / 30 - z * (1 / 42)))) / y
    sine = jnp.sin(constant(math.pi, x) * jnp.where(left, x, jnp.full_like(x, 0.5)))
    return jnp.where(left, constant(math.pi**2, x) / (sine * sine) - total, total)


def _polygamma_values(n: int, x: Any) -> Any:
    """The n-th derivative of digamma."""
    if n == 0:
        return _digamma(x)
    if n == 1:
        return _trigamma_smooth(x)
    sign = 1.0 if n % 2 else -1.0
    return constant(sign * math.gamma(n + 1.0), x) * _zeta(jnp.full_like(x, n + 1), x)


def _next_order(n: int) -> Any:
    return lambda _, x: _polygamma_values(n + 1, x)


_trigamma_smooth: Any = with_slope(_trigamma, _next_order(1))
_digamma: Any = with_slope(_double(_digamma_raw), _next_order(0))
_lgamma: Any = with_slope(_double(lambda x: lax.lgamma(x)), lambda _, x: _digamma(x))


@op("lgamma(Tensor input)", promote="int_to_float", inplace=True, aliases="special.gammaln", residuals="save", kept="input")
def lgamma(input: Any) -> Any:
    """``log |gamma(input)|``."""
    refuse("lgamma_vml_cpu", input, "c")
    return wide(_lgamma)(input)


@op("digamma(Tensor input)", promote="int_to_float", inplace=True, aliases="special.digamma special.psi", residuals="save", kept="input")
def digamma(input: Any) -> Any:
    """The derivative of lgamma."""
    refuse("digamma", input, "c")
    return wide(_digamma)(input)


def _polygamma(n: int, x: Any) -> Any:
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    refuse("digamma" if n == 0 else "trigamma" if n == 1 else "polygamma", x, "c")
    return wide(lambda a: _polygamma_values(n, a))(x)


@op("polygamma(int n, Tensor input)", promote="int_to_float", where="torch special", residuals="save", kept="input")
def polygamma(n: int, input: Any) -> Any:
    """The n-th derivative of digamma, n >= 0."""
    return _polygamma(n, input)


@op("polygamma(Tensor input, int n)", promote="int_to_float", where="Tensor", inplace=True, out=False, residuals="save", kept="input")
def polygamma_method(input: Any, n: int) -> Any:
    """The n-th derivative of digamma, n >= 0."""
    return _polygamma(n, input)


def _no_bool(kind: dtype) -> None:
    if kind is bool_:
        raise RuntimeError("The input tensor may not be a boolean tensor.")


@op("mvlgamma(Tensor input, int p)", promote="int_to_float", types=_no_bool, inplace=True, aliases="special.multigammaln", residuals="save", kept="input")
def mvlgamma(input: Any, p: int) -> Any:
    """The multivariate log-gamma function in p dimensions."""
    refuse("arange_cpu", input, "c")
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")

    def compute(x: Any) -> Any:
        out = jnp.full_like(x, p * (p - 1) / 4 * math.log(math.pi))
        for j in range(p):
            out = out + _lgamma(x - constant(j / 2, x))
        return out

    return wide(compute)(input)


def _incomplete_slope(sign: float) -> Any:
    return lambda _, a, x: constant(sign, x) * jnp.exp((a - 1) * jnp.log(x) - x - _lgamma(a))


def _edge(a: Any, x: Any, inner: Any, upper: bool) -> Any:
    """The corners that torch defines: x = 0, infinities, a = 0; nan for negative arguments."""
    one, zero = (0.0, 1.0) if upper else (1.0, 0.0)
    bad = (x < 0) | (a < 0) | ((a == 0) & (x == 0)) | (jnp.isinf(a) & jnp.isinf(x))
    safe_a = jnp.where((a <= 0) | jnp.isinf(a), jnp.ones_like(a), a)
    safe_x = jnp.where((x <= 0) | jnp.isinf(x), jnp.ones_like(x), x)
    out = inner(safe_a, safe_x)
    out = jnp.where((a == 0) | jnp.isinf(x), one, out)
    out = jnp.where((x == 0) & (a != 0) | jnp.isinf(a) & ~jnp.isinf(x), zero, out)
    return jnp.where(bad, math.nan, out)


def _incomplete(upper: bool) -> Any:
    inner = lax.igammac if upper else lax.igamma

    def values(a: Any, x: Any) -> Any:
        a, x = jnp.broadcast_arrays(a, x)
        return _edge(a, x, inner, upper)

    return with_slope(_double(values), _no_slope("igammac: input" if upper else "igamma: input"), _incomplete_slope(-1.0 if upper else 1.0))


_gammainc, _gammaincc = _incomplete(False), _incomplete(True)


@op("igamma(Tensor input, Tensor other)", promote="default", inplace=True, aliases="special.gammainc")
def igamma(input: Any, other: Any) -> Any:
    """The regularised lower incomplete gamma function P(input, other)."""
    refuse("igamma_cpu", input, "bic")
    return wide(_gammainc)(input, other)


@op("igammac(Tensor input, Tensor other)", promote="default", inplace=True, aliases="special.gammaincc")
def igammac(input: Any, other: Any) -> Any:
    """The regularised upper incomplete gamma function Q(input, other)."""
    refuse("igammac_cpu", input, "bic")
    return wide(_gammaincc)(input, other)


def _check_zeta(x: Any) -> None:
    refuse("zeta_cpu", x, "hc")


@op("zeta(Tensor input, Tensor other)", promote="int_to_float", where="special", grad_name="SpecialZetaBackward0")
def zeta(input: Any, other: Any) -> Any:
    """Hurwitz' zeta function: the sum of ``(k + other) ** -input``."""
    _check_zeta(input)
    return _zeta(input, other)


@op("zeta(Scalar self, Tensor other)", promote="int_to_float", promoted=("self", "other"), where="special",
    grad_name="SpecialZetaBackward1")  # fmt: skip
def zeta_of_number(self: Any, other: Any) -> Any:
    """Hurwitz' zeta function of a number."""
    _check_zeta(self)
    return _zeta(self, other)


@op("zeta(Tensor input, Scalar other)", promote="int_to_float", promoted=("input", "other"), where="special",
    grad_name="SpecialZetaBackward2")  # fmt: skip
def zeta_at_number(input: Any, other: Any) -> Any:
    """Hurwitz' zeta function with a number as shift."""
    _check_zeta(input)
    return _zeta(input, other)


def _times_log(log: Any, border: float) -> Any:
    """``x log(y)`` that is 0 wherever x is 0, unless y is nan."""

    def values(x: Any, y: Any) -> Any:
        x, y = jnp.broadcast_arrays(x, y)
        zero = (x == 0) & ~jnp.isnan(y)
        return jnp.where(zero, jnp.zeros_like(x), x * log(jnp.where(zero, jnp.ones_like(y), y)))

    def by_x(_: Any, x: Any, y: Any) -> Any:
        still = (x == 0) & (y <= border)
        return jnp.where(still, jnp.zeros_like(y), log(jnp.where(still, jnp.ones_like(y), y)))

    return with_slope(values, by_x, lambda _, x, y: x / (y - constant(border, y)))


_xlogy, _xlog1py = _times_log(jnp.log, 0.0), _times_log(jnp.log1p, -1.0)
_LOGY: dict[str, Any] = {"promote": "int_to_float"}
_LOG1PY: dict[str, Any] = {"promote": "int_to_float", "where": "special"}


def _xlogy_of(x: Any, y: Any) -> Any:
    refuse("xlogy_cpu", x, "c")
    return _xlogy(x, y)  # half types are rounded at every step


def _xlog1py_of(x: Any, y: Any) -> Any:
    refuse("xlog1py_cpu", x, "c")
    return _xlog1py(x, y)


@op("xlogy(Tensor input, Tensor other)", inplace=True, aliases="special.xlogy", **_LOGY)
def xlogy(input: Any, other: Any) -> Any:
    """``input * log(other)``, 0 where the input is 0."""
    return _xlogy_of(input, other)


@op("xlogy(Scalar self, Tensor other)", promoted=("self", "other"), where="torch special", grad_name="XlogyBackward1", **_LOGY)
def xlogy_of_number(self: Any, other: Any) -> Any:
    """A number times log(other)."""
    return _xlogy_of(self, other)


@op("xlogy(Tensor input, Scalar other)", promoted=("input", "other"), inplace=True, aliases="special.xlogy",
    grad_name="XlogyBackward2", **_LOGY)  # fmt: skip
def xlogy_by_number(input: Any, other: Any) -> Any:
    """The input times the logarithm of a number."""
    return _xlogy_of(input, other)


@op("xlog1py(Tensor input, Tensor other)", grad_name="SpecialXlog1PyBackward0", **_LOG1PY)
def xlog1py(input: Any, other: Any) -> Any:
    """``input * log1p(other)``, 0 where the input is 0."""
    return _xlog1py_of(input, other)


@op("xlog1py(Scalar self, Tensor other)", promoted=("self", "other"), grad_name="SpecialXlog1PyBackward1", **_LOG1PY)
def xlog1py_of_number(self: Any, other: Any) -> Any:
    """A number times log1p(other)."""
    return _xlog1py_of(self, other)


@op("xlog1py(Tensor input, Scalar other)", promoted=("input", "other"), grad_name="SpecialXlog1PyBackward2", **_LOG1PY)
def xlog1py_by_number(input: Any, other: Any) -> Any:
    """The input times log1p of a number."""
    return _xlog1py_of(input, other)
