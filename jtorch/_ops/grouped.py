"""Products of groups of rows, columns or inner parts of matrices, each by a matrix of its own (mixtures of experts)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from ._lib import matmul_precision


def _sizes(offs: Any) -> Any:
    """How long each group is, from where it ends."""
    return jnp.diff(offs.astype(np.int32), prepend=np.int32(0))


@op("grouped_mm(Tensor mat_a, Tensor mat_b, Tensor? offs=None, dtype? out_dtype=None)", where="internal", out=False, grad_name="GroupedMmBackward0")
def grouped_mm(mat_a: Any, mat_b: Any, offs: Any, out_dtype: Any) -> Any:
    """Batches of matrices; or, where an operand is one matrix, its groups of rows (a), columns (b) or inner dim (both), which end at ``offs``."""
    a, b, kind = mat_a, mat_b, mat_a.dtype if out_dtype is None else out_dtype.np
    for x, name in ((a, "mat_a"), (b, "mat_b")):
        if x.ndim not in (2, 3):
            raise RuntimeError(f"{name} has to be 2 or 3d")
    if (offs is None) != (a.ndim == b.ndim == 3):
        raise RuntimeError("Have to provide offsets if there is a 2d matrix, or no offset if both matrices are 3d")
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError("contraction dimension of mat_a and mat_b must match")
    if offs is None:
        if a.shape[0] != b.shape[0]:
            raise RuntimeError("batched dimension has to match")
        out = lax.dot_general(a, b, (((2,), (1,)), ((0,), (0,))), precision=matmul_precision())
    elif b.ndim == 3 and a.ndim == 2:
        out = lax.ragged_dot(a, b, _sizes(offs), precision=matmul_precision())
    elif a.ndim == 3:
        out = lax.ragged_dot(b.T, jnp.swapaxes(a, 1, 2), _sizes(offs), precision=matmul_precision()).T
    else:
        group = jnp.searchsorted(offs.astype(np.int32), jnp.arange(a.shape[1], dtype=np.int32), side="right")
        zero = jnp.zeros((), a.dtype)
        out = jax.vmap(lambda g: lax.dot(jnp.where(group == g, a, zero), b, precision=matmul_precision()))(jnp.arange(offs.shape[0]))
    return out.astype(kind)
