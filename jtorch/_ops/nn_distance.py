"""Distances of all pairs of rows."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from ._lib import accumulate_in, is_float
from ._nn import back, const
from ._pointwise import refuse
from ._reduce import pairs_above


@op("pdist(Tensor input, float p=2.0)", where="torch nn.functional", out=False, grad_name="PdistBackward0", kept="input result")
def pdist(input, p):
    """The p-norm distances of all pairs of rows of (N, M), as a vector of N * (N - 1) / 2; the gradient is 0 at distance 0."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    refuse("pdist", input, "h")
    if not is_float(input):
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    i, j = pairs_above(input.shape[0], 1)
    x = accumulate_in(input)
    if input.shape[1] == 0:
        return back(jnp.zeros(i.shape, x.dtype), input)
    return back(distances(float(p))(x[i] - x[j]), input)


@cache
def distances(p: float, past_nan: bool = False) -> Any:
    """``f(d)``: the p-norm over the last dim, with the slopes of torch's kernel, at zero and at nan too (XLA's own sign of nan and its roots are what it uses).
    ``past_nan``: the largest difference is that of what is not nan, 0 where there is none."""

    def value(d: Any) -> Any:
        size = jnp.abs(d)
        if p == 0:
            return jnp.sum(jnp.minimum(jnp.ceil(size), const(1, d)), -1)
        if p == 1:
            return jnp.sum(size, -1)
        if p == np.inf:
            return jnp.max(jnp.where(jnp.isnan(size), const(0, d), size) if past_nan else size, -1)
        return jnp.sqrt(jnp.sum(size * size, -1)) if p == 2 else jnp.sum(size ** const(p, d), -1) ** const(1 / p, d)

    @jax.custom_jvp
    def distance(d: Any) -> Any:
        return value(d)

    @distance.defjvp
    def _rule(primals: Any, tangents: Any) -> Any:
        (d,), (t,) = primals, tangents
        out = distance(d)
        size, far, zero = jnp.abs(d), out[..., None], const(0, d)
        if p == 0:
            return out, jnp.zeros_like(out)
        if p == 1:
            slope = jnp.sign(d)
        elif p == np.inf:
            slope = jnp.sign(d) * (const(1, d) - jnp.minimum(jnp.ceil(jnp.abs(size - far)), const(1, d)))
        elif p < 2:
            slope = jnp.where((far == 0) | ((d == 0) & (p < 1)), zero, jnp.sign(d) * size ** const(p - 1, d) / far ** const(p - 1, d))
        elif p == 2:
            slope = jnp.where(far == 0, zero, d / far)
        else:
            slope = jnp.where(far == 0, zero, d * size ** const(p - 2, d) / far ** const(p - 1, d))
        return out, jnp.sum(slope * t, -1)

    return distance
