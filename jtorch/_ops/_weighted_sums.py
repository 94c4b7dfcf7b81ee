"""Weighted sums along dims, each a product with a constant matrix of which most elements are zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._lib import converted
from ._nn import const

__all__ = ["weighted_sums"]

_EXACT = lax.Precision.HIGHEST


Pass = tuple[int, Any, Any]


def weighted_sums(x: Any, passes: Sequence[Pass]) -> Any:
    """``x`` multiplied along each ``axis`` by its ``weights`` (out, size), in this order. nan and infinity come only where something reads them, as they do where windows are gone through: in a product
    they would meet zeros everywhere. So an ``x`` that has any goes by the elements that each result reads: (which, their weights), both (out, n), or without those what the matrix has not zero."""
    if not passes:
        return x
    f = jax.custom_jvp(lambda x: lax.cond(jnp.isfinite(x).all(), lambda x: _products(x, passes), lambda x: _by_elements(x, passes), x))
    f.defjvp(lambda primals, tangents: (f(*primals), _products(tangents[0], passes)))  # so that going back reads nothing of x
    return f(x)


def _products(x: Any, passes: Sequence[Pass]) -> Any:
    for axis, weights, _ in passes:
        if axis == x.ndim - 1:
            x = jnp.matmul(x, weights.T, precision=_EXACT)
        else:
            x = jnp.moveaxis(jnp.tensordot(weights, x, ((1,), (axis,)), precision=_EXACT), 0, axis)
    return x


def _by_elements(x: Any, passes: Sequence[Pass]) -> Any:
    for one in passes:
        axis, _, elements = one
        if elements is None:
            x = _by_signs(x, one)
            continue
        at, weights = elements
        rest = (1,) * (x.ndim - axis - 1)
        total = None
        for k in range(at.shape[1]):
            term = jnp.take(x, at[:, k], axis, mode="clip") * weights[:, k].reshape(-1, *rest)
            total = term if total is None else total + term
        x = total
    return x


def _by_signs(x: Any, one: Pass) -> Any:
    """The product of what is finite, and whether anything else comes into each sum."""
    axis, matrix, _ = one
    kind = x.dtype

    def met(where: Any, which: Any) -> Any:
        return _products(converted(which, kind), [(axis, converted(where, kind), None)]) > 0

    above, below = x == np.inf, x == -np.inf
    up = met(matrix > 0, above) | met(matrix < 0, below)
    down = met(matrix > 0, below) | met(matrix < 0, above)
    lost = met(matrix != 0, jnp.isnan(x)) | (up & down)
    total = _products(jnp.where(jnp.isfinite(x), x, const(0, x)), [one])
    return jnp.where(lost, const(np.nan, total), jnp.where(up, const(np.inf, total), jnp.where(down, const(-np.inf, total), total)))
