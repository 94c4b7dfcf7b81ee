"""Rows of a table: embedding and embedding_bag, with torch's rules for padding rows and frequency scaling."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._dtypes import cpp_type
from jtorch._registry import op

from . import _guards
from ._lib import accumulate_in, dtype_of, is_float, quotient, size_as
from ._linalg_lib import scalar_name
from .indexing import _MODE, add_at, narrow


@jax.custom_jvp
def _scale_gradient(x: Any, factor: Any) -> Any:
    """``x``, its gradient multiplied by ``factor``."""
    return x


@_scale_gradient.defjvp
def _scale_rule(primals: Any, tangents: Any) -> Any:
    return primals[0], tangents[0] * primals[1]


def _check(x: Any, name: str, what: str = "indices", kinds: tuple[str, ...] = ("Long", "Int")) -> None:
    if scalar_name(x) not in kinds:
        raise RuntimeError(
            f"Expected tensor for argument #1 '{what}' to have one of the following scalar types: {', '.join(kinds)}; "
            f"but got {cpp_type(dtype_of(x))} instead (while checking arguments for {name})"
        )


def _check_bags(weight: Any, indices: Any, offsets: Any, per_sample_weights: Any) -> None:
    name = "embedding_bag"
    _check(indices, name)
    if offsets is not None:
        _check(offsets, name)
    _check(weight, name, "weight", ("Half", "BFloat16", "Float", "Double"))
    if per_sample_weights is not None and per_sample_weights.dtype != weight.dtype:
        a, b = (cpp_type(dtype_of(x)) for x in (weight, per_sample_weights))
        raise RuntimeError(f"Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 'per_sample_weights'; but type {a} does not equal {b} (while checking arguments for {name})")


def _rows(weight: Any, indices: Any) -> Any:
    return weight.at[narrow(indices, weight.shape[0])].get(mode=_MODE, wrap_negative_indices=False)


def _counts(indices: Any, n: int) -> Any:
    """How often each of n rows is read."""
    return add_at(jnp.zeros(n, np.int32), jnp.ones((), np.int32), (indices.reshape(-1),))


@op(
    "embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False)",
    where="torch", out=False, guard=_guards.rows,
)  # fmt: skip
def embedding(weight: Any, indices: Any, padding_idx: int, scale_grad_by_freq: bool, sparse: bool) -> Any:
    """``weight[indices]``. The row ``padding_idx`` gets no gradient; with ``scale_grad_by_freq`` a row's gradient is divided by its uses."""
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check(indices, "embedding")
    if indices.size and not weight.shape[0]:
        raise RuntimeError("index_select(): self indexing axis dim should be positive")
    out = _rows(weight, indices)
    if not is_float(weight) and not jnp.iscomplexobj(weight):
        return out
    if scale_grad_by_freq:
        uses = _counts(indices, weight.shape[0])[narrow(indices, weight.shape[0])]
        out = _scale_gradient(out, 1 / uses[..., None].astype(out.dtype))
    if padding_idx >= 0:
        # The forward is the same on both sides, so XLA drops the select; only the gradient is cut.
        out = jnp.where((indices == padding_idx)[..., None], jax.lax.stop_gradient(out), out)
    return out


def _segments(offsets: Any, n: int, bags: int) -> Any:
    """Which bag each of n indices belongs to."""
    starts = jnp.zeros(n + 1, np.int32).at[narrow(offsets, n + 1)].add(1, mode="drop")
    return jnp.clip(jnp.cumsum(starts[:n]) - 1, 0, max(bags - 1, 0)).astype(np.int32)


@op(
    "embedding_bag(Tensor weight, Tensor indices, Tensor? offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, "
    "Tensor? per_sample_weights=None, bool include_last_offset=False, int? padding_idx=None)",
    where="internal",
    out=False,
    guard=_guards.bag_rows,
)
def embedding_bag(
    weight: Any, indices: Any, offsets: Any, scale_grad_by_freq: bool, mode: int, sparse: bool, per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Any:  # fmt: skip
    """Rows summed (mode 0), averaged (1) or their maximum (2) over bags of indices that start at ``offsets``. Empty bags give zeros.

    Without ``offsets`` the bags are the rows of 2-d indices: plain reductions, where ragged bags are scattered together.
    """
    _check_bags(weight, indices, offsets, per_sample_weights)
    if weight.ndim != 2:
        raise RuntimeError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    if offsets is None:
        return _even_bags(weight, indices, scale_grad_by_freq, mode, per_sample_weights, padding_idx)
    bags = offsets.shape[0] - 1 if include_last_offset else offsets.shape[0]
    n, width = indices.shape[0], weight.shape[1]
    if n == 0 or bags == 0:
        return jnp.zeros((bags, width), weight.dtype)
    bag = _segments(offsets[:bags], n, bags)
    rows = _bag_rows(weight, indices, scale_grad_by_freq and mode != 2, per_sample_weights)
    skip = jnp.zeros(n, bool) if padding_idx is None else indices == padding_idx
    if mode == 2:
        return _max_of_bags(rows, bag, skip, bags)
    rows = accumulate_in(rows)
    kept = jnp.where(skip[:, None], jnp.zeros((), rows.dtype), rows) if padding_idx is not None else rows
    out = jax.ops.segment_sum(kept, bag, bags, indices_are_sorted=True, mode=_MODE)
    if mode == 1:
        count = jax.ops.segment_sum((~skip).astype(np.int32), bag, bags, indices_are_sorted=True, mode=_MODE)
        return _averaged(out, jnp.maximum(count, 1)[:, None], weight)
    return out.astype(weight.dtype)


def _averaged(sums: Any, count: Any, weight: Any) -> Any:
    """Sums over a count; those of half types are rounded before they are divided."""
    sums = accumulate_in(sums.astype(weight.dtype))
    return quotient(sums, count.astype(sums.dtype)).astype(weight.dtype)


def _bag_rows(weight: Any, indices: Any, by_freq: bool, per_sample_weights: Any) -> Any:
    rows = _rows(weight, indices)
    if by_freq:
        uses = _counts(indices, weight.shape[0])[narrow(indices, weight.shape[0])]
        rows = _scale_gradient(rows, 1 / uses[..., None].astype(rows.dtype))
    return rows if per_sample_weights is None else rows * per_sample_weights[..., None]


def _even_bags(weight: Any, indices: Any, scale_grad_by_freq: bool, mode: int, per_sample_weights: Any, padding_idx: int | None) -> Any:
    bags, n = indices.shape
    if indices.size == 0:
        return jnp.zeros((bags, weight.shape[1]), weight.dtype)
    rows = _bag_rows(weight, indices, scale_grad_by_freq and mode != 2, per_sample_weights)
    skip = None if padding_idx is None else (indices == padding_idx)[..., None]
    if mode == 2:
        seen = jax.lax.stop_gradient(rows if skip is None else jnp.where(skip, jnp.array(-np.inf, rows.dtype), rows))
        # The first row that holds the maximum gets the gradient.
        picked = jnp.take_along_axis(rows, jax.lax.argmax(seen, 1, np.int32)[:, None], 1, mode=_MODE)[:, 0]
        return picked if skip is None else jnp.where(skip.all(1), jnp.zeros((), rows.dtype), picked)
    rows = accumulate_in(rows)
    out = jnp.sum(rows if skip is None else jnp.where(skip, jnp.zeros((), rows.dtype), rows), 1)
    if mode == 1:
        return _averaged(out, size_as(n, rows.dtype) if skip is None else jnp.maximum(jnp.sum(~skip, 1), 1), weight)
    return out.astype(weight.dtype)


def _max_of_bags(rows: Any, bag: Any, skip: Any, bags: int) -> Any:
    """The gradient goes to the first row that holds the maximum, as torch's does."""
    n = rows.shape[0]
    low = jnp.array(-np.inf, rows.dtype)
    seen = jax.lax.stop_gradient(jnp.where(skip[:, None], low, rows))
    best = jnp.full((bags, rows.shape[1]), low).at[bag].max(seen, mode=_MODE)
    at = jax.lax.broadcasted_iota(np.int32, rows.shape, 0)
    first = jnp.where((seen == best[bag]) & ~skip[:, None], at, n)
    where = jnp.full((bags, rows.shape[1]), n, np.int32).at[bag].min(first, mode=_MODE)
    picked = jnp.take_along_axis(rows, jnp.minimum(where, n - 1), 0, mode=_MODE)
    return jnp.where(where < n, picked, jnp.zeros((), rows.dtype))


@op("one_hot(Tensor input, int num_classes)", where="internal", out=False, guard=_guards.classes)
def one_hot(input: Any, num_classes: int) -> Any:
    """int64 zeros with a one at each class in a new last dim."""
    classes = jax.lax.broadcasted_iota(input.dtype, (*input.shape, num_classes), input.ndim)
    return (input[..., None] == classes).astype(np.int64)
