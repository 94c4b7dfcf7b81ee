"""Operators that torch publishes under ``torch.ops.aten`` only: derivatives as operators of their own, and a softmax that knows empty rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jtorch._registry import op

from . import _value_guards
from ._lib import accumulate_in, dim_of, dtype_of
from ._pointwise import refuse
from ._reduce import same
from .indexing import narrow
from .nn_attention import safe_softmax


@op("_softmax_backward_data(Tensor grad_output, Tensor output, int dim, dtype input_dtype)", where="aten", out=False, kept="grad_output")
def softmax_backward_data(grad_output: Any, output: Any, dim: int, input_dtype: Any) -> Any:
    """The gradient of softmax from its result: ``y * (g - sum(y * g))``, in the type that softmax's input had."""
    g, y = accumulate_in(grad_output), accumulate_in(output)
    u = g * y
    return (u - y * jnp.sum(u, dim_of(dim, y.ndim), keepdims=True) if y.ndim else u - y * u).astype(input_dtype.np)


@op("_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, dtype input_dtype)", where="aten", out=False)
def log_softmax_backward_data(grad_output: Any, output: Any, dim: int, input_dtype: Any) -> Any:
    """The gradient of log_softmax from its result: ``g - exp(y) * sum(g)``."""
    g, y = accumulate_in(grad_output), accumulate_in(output)
    total = jnp.sum(g, dim_of(dim, y.ndim), keepdims=True) if y.ndim else g
    return (g - jnp.exp(y) * total).astype(input_dtype.np)


@op("_safe_softmax(Tensor input, int dim, dtype? dtype=None)", where="aten", out=False, unsaved="input", kept="result")
def masked_softmax(input: Any, dim: int, dtype: Any) -> Any:
    """Softmax, with zeros where a whole row is -inf."""
    kind = dtype_of(input).np if dtype is None else dtype.np
    x = accumulate_in(input.astype(kind))
    if x.ndim == 0:
        return jnp.ones((), kind)
    at = dim_of(dim, x.ndim)
    return jnp.moveaxis(safe_softmax(jnp.moveaxis(x, at, -1)), -1, at).astype(kind)


@op("_masked_softmax(Tensor input, Tensor mask, int? dim=None, int? mask_type=None)", where="torch aten", out=False, grad_name="MaskedSoftmaxBackward0")
def softmax_of_unmasked(input: Any, mask: Any, dim: int | None, mask_type: int | None) -> Any:
    """Softmax of what ``mask`` does not mark, zeros elsewhere; nan where it marks a whole row. With (N, H, L, L) the mask may be that of all (0: (L, L)) or of keys (1: (N, L))."""
    if mask.dtype != bool:
        raise RuntimeError("Mask should be a boolean tensor")
    if mask.ndim != 2 or input.ndim != 4:
        mask_type = 2
    if mask_type is None:
        raise RuntimeError("Mask Type should be defined")
    if mask_type not in (0, 1, 2):
        raise RuntimeError("Mask Type should be 0 (src_mask) or 1 (src_key_padding_mask), or 2 (default_mask)")
    wanted = {0: input.shape[2:3] * 2, 1: (*input.shape[:1], *input.shape[2:3]), 2: input.shape}[mask_type]
    if mask.shape != wanted:
        raise RuntimeError(f"For mask_type == {mask_type} mask shape should " + ("be (L, L)", "be (B, L)", "match input shape")[mask_type])
    refuse("masked_softmax", input, "bic")
    if mask_type == 1:
        mask = mask[:, None, None]
    at = dim_of(-1 if dim is None else dim, input.ndim)
    x = jnp.where(mask, jnp.full((), -jnp.inf, accumulate_in(input).dtype), accumulate_in(input))
    return (jax.nn.softmax(x, at) if x.ndim else jnp.where(jnp.isneginf(x), jnp.nan, 1).astype(x.dtype)).astype(input.dtype)


@op(
    "max_pool2d_with_indices_backward(Tensor grad_output, Tensor input, int[2] kernel_size, int[2] stride, int[2] padding, int[2] dilation, "
    "bool ceil_mode, Tensor indices)",
    where="aten", out=False,
)  # fmt: skip
def max_pool2d_backward(grad_output: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, indices: Any) -> Any:
    """``grad_output`` added up where ``indices`` say that the maxima stood."""
    *lead, height, width = input.shape
    n = height * width
    at = narrow(indices.reshape(-1, indices.shape[-2] * indices.shape[-1]), n)
    row = jax.lax.broadcasted_iota(at.dtype, at.shape, 0)
    flat = jnp.zeros((at.shape[0], n), grad_output.dtype).at[row, at].add(grad_output.reshape(at.shape), mode="promise_in_bounds")
    return flat.reshape(*lead, height, width)


def _ids(lengths: Any, n: int) -> Any:
    """Which segment each of n positions belongs to; positions past the last segment get its number plus one."""
    ends = jnp.cumsum(lengths)
    return jnp.searchsorted(ends, jnp.arange(n, dtype=ends.dtype), side="right")


def _spread(x: Any, like: Any) -> Any:
    return x.reshape(x.shape + (1,) * (like.ndim - x.ndim))


def _reduced(data: Any, ids: Any, count: Any, segments: int, reduce: str, initial: float | None) -> Any:
    """One row of segments: (N, ...) to (segments, ...)."""

    def total(x: Any) -> Any:
        return jax.ops.segment_sum(x, ids, segments)

    if reduce in ("sum", "mean"):
        out = total(data)
        if initial is not None:
            out = out + jnp.asarray(initial, out.dtype)
        if reduce == "sum":
            return out
        n = _spread(count, out)
        # An empty segment is what one started with, or nothing at all.
        return jnp.where(n == 0, jnp.asarray(jnp.nan if initial is None else initial, out.dtype), out / jnp.maximum(n, 1).astype(out.dtype))
    if reduce == "prod":
        return _products(segments)(data, ids, jnp.asarray(1 if initial is None else initial, data.dtype))
    return _extremes(segments, reduce)(data, ids, jnp.asarray((-jnp.inf if reduce == "max" else jnp.inf) if initial is None else initial, data.dtype))


def _products(segments: int) -> Any:
    @jax.custom_jvp
    def product(x: Any, ids: Any, start: Any) -> Any:
        return jax.ops.segment_prod(x, ids, segments) * start

    @product.defjvp
    def _rule(primals: Any, tangents: Any) -> Any:
        # The product of the others: by division, but for zero and nan, of which another one leaves zero or nan.
        x, ids, start = primals
        out, one = product(x, ids, start), jnp.ones((), x.dtype)
        zero, missing = x == 0, x != x
        zeros, missings = (jax.ops.segment_sum(mask.astype(jnp.int32), ids, segments)[ids] - mask for mask in (zero, missing))
        safe = jnp.where(zero | missing, one, x)
        alone = jnp.where(missings > 0, jnp.full((), jnp.nan, x.dtype), jnp.where(zeros > 0, jnp.zeros((), x.dtype), one))
        others = (jax.ops.segment_prod(safe, ids, segments) * start)[ids] * alone
        rest = jnp.where(zero | missing, others, out[ids] / safe)
        return out, jax.ops.segment_sum(rest * tangents[0], ids, segments)

    return product


def _extremes(segments: int, reduce: str) -> Any:
    segment, either = (jax.ops.segment_max, jnp.maximum) if reduce == "max" else (jax.ops.segment_min, jnp.minimum)

    @jax.custom_jvp
    def extreme(x: Any, ids: Any, start: Any) -> Any:
        return either(segment(x, ids, segments), start)

    @extreme.defjvp
    def _rule(primals: Any, tangents: Any) -> Any:
        # Elements that equal the result share its gradient.
        x, ids, start = primals
        out = extreme(x, ids, start)
        hit = same(x, out[ids]).astype(x.dtype)
        shared = jax.ops.segment_sum(hit * tangents[0], ids, segments)
        return out, shared / jnp.maximum(jax.ops.segment_sum(hit, ids, segments), 1)

    return extreme


@op("segment_reduce(Tensor data, str reduce, *, Tensor lengths, int axis=0, Number? initial=None, bool negative=True, bool fill=True)", where="internal", out=False,
    guard=_value_guards.runs)  # fmt: skip
def segment_reduce(data: Any, reduce: str, lengths: Any, axis: int, initial: Any, negative: bool, fill: bool) -> Any:
    """
    Runs of ``lengths[..., i]`` elements along ``axis`` reduced to one: "sum", "mean", "max", "min" or "prod".

    ``negative``, ``fill``: whether negative lengths, and those that do not add up to the size, are refused.
    """
    x = accumulate_in(data)
    start = None if initial is None else float(initial)

    def one(row: Any, count: Any) -> Any:
        return _reduced(row, _ids(count, row.shape[0]), count, count.shape[0], reduce, start)

    run = one
    for _ in range(axis):
        run = jax.vmap(run)
    return run(x, lengths).astype(data.dtype)
