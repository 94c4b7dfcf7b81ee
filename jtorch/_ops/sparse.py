"""What sparse tensors compute: JAX's BCOO and BCSR on their indices and values. The indices are in range, which the callers have seen to."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from ._lib import is_float
from ._order import sort_with_index
from .indexing import _MODE, narrow


def _coo(indices: Any, values: Any, size: tuple[int, ...]) -> Any:
    from jax.experimental.sparse import BCOO  # here, because it takes a fifth of a second to import

    return BCOO((values, narrow(indices.T, *size)), shape=size)


def _wide(x: Any) -> Any:
    """Sums of bools are counted, those of halves made in float32."""
    if x.dtype == np.bool_:
        return x.astype(np.int32)
    return x.astype(np.float32) if is_float(x) and x.dtype.itemsize <= 2 else x


def _places(indices: Any, size: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(narrow(i, n) for i, n in zip(indices, size))


@op("coo_to_dense(Tensor indices, Tensor values, int[] size)", where="internal", out=False, grad_name="ToDenseBackward0")
def coo_to_dense(indices: Any, values: Any, size: tuple[int, ...]) -> Any:
    """The dense array; values of one place are added up."""
    if indices.shape[0] == 0:
        return _wide(values).sum(0).astype(values.dtype)
    return _coo(indices, _wide(values), size).todense().astype(values.dtype)


@op("coo_gather(Tensor input, Tensor indices)", where="internal", out=False, grad_name="SparseMaskBackward0")
def coo_gather(input: Any, indices: Any) -> Any:
    """The elements (or dense parts) of an array at the columns of ``indices``."""
    if indices.shape[0] == 0:
        return jnp.broadcast_to(input[None], (indices.shape[1], *input.shape))
    return input.at[_places(indices, input.shape)].get(mode=_MODE, wrap_negative_indices=False)


@op("coo_add(Tensor input, Tensor indices, Tensor values)", where="internal", out=False, grad_name="AddBackward0")
def coo_add(input: Any, indices: Any, values: Any) -> Any:
    """A dense array with the values added at their places."""
    if indices.shape[0] == 0:
        return input + values.sum(0)
    return input.at[_places(indices, input.shape)].add(values.astype(input.dtype), mode="drop", wrap_negative_indices=False)  # nobody has checked these: what lies outside is nowhere


@op("coo_matmul(Tensor indices, Tensor values, Tensor other, int[] size)", where="internal", out=False, grad_name="MmBackward0")
def coo_matmul(indices: Any, values: Any, other: Any, size: tuple[int, ...]) -> Any:
    """A sparse matrix times a dense matrix or vector."""
    return (_coo(indices, _wide(values), size) @ _wide(other)).astype(values.dtype)


@op("csr_matmul(Tensor crow, Tensor col, Tensor values, Tensor other, int[] size)", where="internal", out=False, grad_name="MmBackward0")
def csr_matmul(crow: Any, col: Any, values: Any, other: Any, size: tuple[int, ...]) -> Any:
    """As :func:`coo_matmul`, the rows given by where each begins."""
    from jax.experimental.sparse import BCSR

    made = BCSR((_wide(values), narrow(col, *size), narrow(crow, col.shape[0] + 1)), shape=size)
    return (made @ _wide(other)).astype(values.dtype)


@op("segment_sum(Tensor values, Tensor positions, int n)", where="internal", out=False, grad_name="CoalesceBackward0")
def segment_sum(values: Any, positions: Any, n: int) -> Any:
    """``n`` rows: those of ``values``, added up where ``positions`` says."""
    return jax.ops.segment_sum(_wide(values), narrow(positions, n), n, mode=_MODE).astype(values.dtype)


@op("segment_max(Tensor values, Tensor positions, int n)", where="internal", out=False)
def segment_max(values: Any, positions: Any, n: int) -> Any:
    """The largest of the rows of each position."""
    return jax.ops.segment_max(values, narrow(positions, n), n, mode=_MODE)


@op("coalesce_padded(Tensor indices, Tensor values, int[] size)", where="internal", out=False)
def coalesce_padded(indices: Any, values: Any, size: tuple[int, ...]) -> Any:
    """Each place once, in as many columns as came: those left over are out of range, each another, and writes to them are dropped."""
    n = indices.shape[1]
    keys = jnp.zeros(n, np.int64)
    for row, length in zip(indices, size):
        keys = keys * length + row
    order = sort_with_index(keys, 0)[1]
    keys = keys[order]
    position = jnp.cumsum(jnp.concatenate([jnp.zeros(min(n, 1), np.int64), (keys[1:] != keys[:-1]).astype(np.int64)]))
    summed = segment_sum.fn(values[order], position, n)
    spare = jnp.arange(n) > (position[-1] if n else 0)
    places = jnp.zeros(n, np.int64).at[position].set(keys)
    rows: list[Any] = []
    for length in reversed(size):
        rows.append(places % length)
        places = places // length
    rows[-1] = jnp.where(spare, size[0] + jnp.arange(n), rows[-1])
    return jnp.stack(rows[::-1]), summed
