"""Orthogonal polynomials p_n(x) by their three-term recurrences (https://dlmf.nist.gov/18.9).

The degree is a tensor too, cut to an integer; a negative degree gives 0. No gradients, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops._pointwise import refuse
from jtorch._registry import op

Step = Callable[[Any, Any, Any, Any], Any]


def _recurrence(x: Any, n: Any, first: Any, step: Step, closed: Any = None, closed_where: Any = None) -> Any:
    """p_n(x) from p_0 = 1, p_1 = first and ``p_{k+1} = step(x, k, p_k, p_{k-1})``, except ``closed`` where that is known."""
    shape = jnp.broadcast_shapes(x.shape, n.shape)
    x, n = jnp.broadcast_to(x, shape), jnp.broadcast_to(n, shape)
    first = jnp.broadcast_to(first, shape)
    one, zero = jnp.ones(shape, x.dtype), jnp.zeros(shape, x.dtype)
    left = n if closed_where is None else jnp.where(closed_where, np.int64(0), n)

    def going(state: Any) -> Any:
        k, current, _ = state
        return jnp.any((k < left) & ~jnp.isnan(current))

    def advance(state: Any) -> Any:
        k, current, previous = state
        following = step(x, k.astype(x.dtype), current, previous)
        more = (k < left) & ~jnp.isnan(current)
        return k + 1, jnp.where(more, following, current), jnp.where(more, current, previous)

    out = lax.while_loop(going, advance, (jnp.asarray(np.int64(1)), jnp.where(n <= 0, one, first), one))[1]
    if closed is not None:
        out = jnp.where(closed_where, closed, out)
    return jnp.where(n < 0, zero, out)


def _degree(name: str, x: Any, n: Any) -> tuple[Any, Any]:
    refuse(f"{name}_cpu", x, "hc")
    shape = jnp.broadcast_shapes(x.shape, n.shape)
    return lax.stop_gradient(jnp.broadcast_to(x, shape)), jnp.broadcast_to(n, shape).astype(np.int64)


def _chebyshev(kind: str, x: Any, n: Any, shifted: bool) -> Any:
    """The four kinds, which share a recurrence; on and, for higher degrees, inside [-1, 1] their trigonometric forms."""
    y = 2 * x - 1 if shifted else x
    degree = n.astype(x.dtype)
    even = n % 2 == 0
    theta = jnp.arccos(jnp.clip(y, -1, 1))
    size = {"t": 1 + 0 * degree, "u": degree + 1, "v": 2 * degree + 1, "w": 2 * degree + 1}[kind]
    plus, minus = jnp.abs(size), jnp.where(even, size, -size)
    if kind == "v":
        plus = jnp.ones_like(size)
    if kind == "w":
        minus = jnp.where(even, jnp.ones_like(size), -jnp.ones_like(size))
    inside = {
        "t": lambda: jnp.cos(degree * theta),
        "u": lambda: jnp.sin((degree + 1) * theta) / jnp.sin(theta),
        "v": lambda: jnp.cos((degree + 0.5) * theta) / jnp.cos(theta / 2),
        "w": lambda: jnp.sin((degree + 0.5) * theta) / jnp.sin(theta / 2),
    }[kind]()
    at_one, at_minus_one = (x == 1, x == 0) if shifted else (x == 1, x == -1)
    threshold = 6 if kind == "t" or shifted and kind == "u" else 8
    if shifted and kind in "vw":
        threshold = 6 if kind == "v" else 4
    trigonometric = (n > threshold) & (jnp.abs(y) < 1)
    closed = jnp.where(at_one, plus, jnp.where(at_minus_one, minus, inside))
    first = {"t": y, "u": 2 * y, "v": 2 * y - 1, "w": 2 * y + 1}[kind]
    return _recurrence(x, n, first, lambda _, k, q, p: 2 * y * q - p, closed, at_one | at_minus_one | trigonometric)


def _signatures(name: str) -> tuple[str, str]:
    return f"{name}(Tensor x, Tensor|Scalar n)", f"{name}(Scalar x, Tensor n)"


_OPTIONS: dict[str, Any] = {"promote": "int_to_float", "promoted": ("x", "n"), "where": "special", "grad_name": "none"}


@op(*_signatures("chebyshev_polynomial_t"), **_OPTIONS)
def chebyshev_polynomial_t(x: Any, n: Any) -> Any:
    """Chebyshev's T_n(x)."""
    return _chebyshev("t", *_degree("chebyshev_polynomial_t", x, n), False)


@op(*_signatures("chebyshev_polynomial_u"), **_OPTIONS)
def chebyshev_polynomial_u(x: Any, n: Any) -> Any:
    """Chebyshev's U_n(x)."""
    return _chebyshev("u", *_degree("chebyshev_polynomial_u", x, n), False)


@op(*_signatures("chebyshev_polynomial_v"), **_OPTIONS)
def chebyshev_polynomial_v(x: Any, n: Any) -> Any:
    """Chebyshev's V_n(x)."""
    return _chebyshev("v", *_degree("chebyshev_polynomial_v", x, n), False)


@op(*_signatures("chebyshev_polynomial_w"), **_OPTIONS)
def chebyshev_polynomial_w(x: Any, n: Any) -> Any:
    """Chebyshev's W_n(x)."""
    return _chebyshev("w", *_degree("chebyshev_polynomial_w", x, n), False)


@op(*_signatures("shifted_chebyshev_polynomial_t"), **_OPTIONS)
def shifted_chebyshev_polynomial_t(x: Any, n: Any) -> Any:
    """T_n(2x - 1)."""
    return _chebyshev("t", *_degree("shifted_chebyshev_polynomial_t", x, n), True)


@op(*_signatures("shifted_chebyshev_polynomial_u"), **_OPTIONS)
def shifted_chebyshev_polynomial_u(x: Any, n: Any) -> Any:
    """U_n(2x - 1)."""
    return _chebyshev("u", *_degree("shifted_chebyshev_polynomial_u", x, n), True)


@op(*_signatures("shifted_chebyshev_polynomial_v"), **_OPTIONS)
def shifted_chebyshev_polynomial_v(x: Any, n: Any) -> Any:
    """V_n(2x - 1)."""
    return _chebyshev("v", *_degree("shifted_chebyshev_polynomial_v", x, n), True)


@op(*_signatures("shifted_chebyshev_polynomial_w"), **_OPTIONS)
def shifted_chebyshev_polynomial_w(x: Any, n: Any) -> Any:
    """W_n(2x - 1)."""
    return _chebyshev("w", *_degree("shifted_chebyshev_polynomial_w", x, n), True)


def _hermite(x: Any, n: Any, factor: int) -> Any:
    # Beyond these degrees the values overflow whatever x is, and torch answers nan.
    limit = 512 if x.dtype == np.float64 else 128
    n = jnp.minimum(n, limit + 1)
    out = _recurrence(x, n, factor * x, lambda a, k, q, p: factor * (a * q - k * p))
    return jnp.where(n > limit, np.asarray(np.nan, x.dtype), out)


@op(*_signatures("hermite_polynomial_h"), **_OPTIONS)
def hermite_polynomial_h(x: Any, n: Any) -> Any:
    """The physicists' H_n(x)."""
    return _hermite(*_degree("hermite_polynomial_h", x, n), 2)


@op(*_signatures("hermite_polynomial_he"), **_OPTIONS)
def hermite_polynomial_he(x: Any, n: Any) -> Any:
    """The probabilists' He_n(x)."""
    return _hermite(*_degree("hermite_polynomial_he", x, n), 1)


@op(*_signatures("laguerre_polynomial_l"), **_OPTIONS)
def laguerre_polynomial_l(x: Any, n: Any) -> Any:
    """Laguerre's L_n(x)."""
    x, n = _degree("laguerre_polynomial_l", x, n)
    return _recurrence(x, n, 1 - x, lambda a, k, q, p: ((2 * k + 1 - a) * q - k * p) / (k + 1), jnp.ones_like(x), x == 0)


@op(*_signatures("legendre_polynomial_p"), **_OPTIONS)
def legendre_polynomial_p(x: Any, n: Any) -> Any:
    """Legendre's P_n(x)."""
    x, n = _degree("legendre_polynomial_p", x, n)
    ends = jnp.where((x > 0) | (n % 2 == 0), jnp.ones_like(x), -jnp.ones_like(x))
    return _recurrence(x, n, x, lambda a, k, q, p: ((2 * k + 1) * a * q - k * p) / (k + 1), ends, jnp.abs(x) == 1)
