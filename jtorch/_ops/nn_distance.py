"""Distances of all pairs of rows."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from ._lib import accumulate_in
from ._nn import back, const, floats_only


@op("pdist(Tensor input, float p=2.0)", where="torch nn.functional", out=False, grad_name="PdistBackward0")
def pdist(input, p):
    """The p-norm distances of all pairs of rows of (N, M), as a vector of N * (N - 1) / 2; the gradient is 0 at distance 0."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    floats_only("pdist", input)
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    i, j = np.triu_indices(input.shape[0], 1)
    x = accumulate_in(input)
    d = x[i] - x[j]
    size = jnp.where(d < 0, -d, jnp.where(d > 0, d, const(0, d)))
    if input.shape[1] == 0:
        out = jnp.zeros(len(i), x.dtype)
    elif p == 0:
        out = jnp.sum((size != 0).astype(x.dtype), 1)
    elif p == 1:
        out = jnp.sum(size, 1)
    elif p == np.inf:
        out = jnp.max(size, 1)
    else:
        # no root of zero: its slope is infinite
        total = jnp.sum(jnp.where(size > 0, jnp.where(size > 0, size, const(1, size)) ** const(p, size), const(0, size)), 1)
        some = total > 0
        out = jnp.where(some, jnp.where(some, total, const(1, total)) ** const(1 / p, total), const(0, total))
    return back(out, input)
