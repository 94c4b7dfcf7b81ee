"""Scaled dot product attention as one operator: the scores, a softmax whose rule keeps its result, the values."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._dtypes import C_NAMES
from jtorch._registry import op

from ._lib import accumulate_in, broadcast_shape, dtype_of, is_float, known_below, matmul_precision, on_cpu, roomy
from ._linalg_lib import ShapedName
from ._nn import back, const, unsupported


@jax.custom_jvp
def safe_softmax(x: Any) -> Any:
    """Softmax over the last dim; a row of -inf gives zeros, as in torch's attention."""
    top = jnp.max(x, -1, keepdims=True, initial=const(-np.inf, x))
    top = jnp.where(top == const(-np.inf, x), const(0, x), top)
    e = jnp.exp(x - top)
    total = jnp.sum(e, -1, keepdims=True)
    return e / jnp.where(total == 0, const(1, x), total)


@safe_softmax.defjvp
def _safe_softmax_jvp(primals: Any, tangents: Any) -> Any:
    # p * (t - sum(p * t)): three quarters of the time of jax.nn.softmax's backward at 8 x 8 x 128 x 128 on CPU.
    y = safe_softmax(primals[0])
    u = y * tangents[0]
    return y, u - y * jnp.sum(u, -1, keepdims=True)


def _bias(mask: Any, is_causal: bool, rows: int, columns: int, like: Any) -> Any:
    """What is added to the scores. An addition fuses better than a select on CPU (1.7 against 2.7 ms forward)."""
    bias = None
    if is_causal:
        # built on the host: XLA folds it, and a triangle of iota costs a quarter of the whole
        if known_below(rows * columns, (1 << 20) + 1):
            bias = np.where(np.tril(np.ones((rows, columns), bool)), 0.0, -np.inf).astype(like.dtype)
        else:
            bias = jnp.where(_seen(0, rows, columns), const(0, like), const(-np.inf, like))
    if mask is not None:
        extra = _of_mask(mask, like)
        bias = extra if bias is None else bias + extra
    return bias


def _seen(first: Any, rows: int, columns: int) -> Any:
    """Whether row ``first + i`` sees column ``j``."""
    return lax.broadcasted_iota(np.int32, (rows, columns), 0) + (np.int32(first) if isinstance(first, int) else first) >= lax.broadcasted_iota(np.int32, (rows, columns), 1)


def _of_mask(mask: Any, like: Any) -> Any:
    return jnp.where(mask, const(0, like), const(-np.inf, like)) if mask.dtype == np.bool_ else back(mask, like)


def attention(query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float, kept: Any = None) -> Any:
    """``kept`` multiplies the weights: a dropout mask with its scale inside."""
    if on_cpu():
        sizes = [*query.shape, *key.shape]
        if all([isinstance(n, int) for n in sizes]):
            rows = _block(query.shape, key.shape)
            if rows < query.shape[-2]:
                return _by_blocks(query, key, value, mask, is_causal, scale, kept, rows)
        elif kept is None and (mask is None or mask.dtype == np.bool_) and query.dtype.itemsize >= 4:
            return _with_room(is_causal)(query * const(scale, query), key, value, *([] if mask is None else [mask]))
    return _at_once(query, key, value, mask, is_causal, scale, kept)


def _at_once(query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float, kept: Any = None) -> Any:
    q, k, v = accumulate_in(query), accumulate_in(key), accumulate_in(value)
    precision = matmul_precision()
    scores = jnp.matmul(q * const(scale, q), jnp.swapaxes(k, -1, -2), precision=precision)
    bias = _bias(mask, is_causal, q.shape[-2], k.shape[-2], scores)
    weights = safe_softmax(scores if bias is None else scores + bias)
    if kept is not None:
        weights = weights * back(kept, weights)
    return back(jnp.matmul(weights, v, precision=precision), query)


# ---- rows of the scores, a block at a time -------------------------------------------------------------------------------------

_SCORES = 1 << 20  # of a block: with their weights and gradients they stay in the caches
_MOST_SCORES = 1 << 23  # of all blocks: beyond, they are computed in turn
_PARTS = 4
_BLOCKS = 16  # more of them are not worth what they cost to compile


def _block(query: tuple[int, ...], key: tuple[int, ...]) -> int:
    """How many rows are taken at a time. On two cpu cores 4 x 4 x 512 x 512 scores took 84 ms forward and backward at once, and 34 in four blocks; torch's fused kernel takes 27."""
    rows = query[-2]
    blocks = min(-(-math.prod(query[:-1]) * key[-2] // _SCORES), _BLOCKS)
    return rows if blocks < 2 else max((-(-rows // blocks) + 15) // 16 * 16, 16)


def _by_blocks(query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float, kept: Any, block: int, valid: Any = None) -> Any:
    """``valid``: how many of the columns count; None: all."""
    rows, columns, precision = query.shape[-2], key.shape[-2], matmul_precision()
    k, v = jnp.swapaxes(accumulate_in(key), -1, -2), accumulate_in(value)

    def rows_from(first: Any, query: Any, k: Any, v: Any, *extra: Any) -> Any:
        width = k.shape[-1]
        q = accumulate_in(query)
        scores = jnp.matmul(q * const(scale, q), k, precision=precision)
        if mask is not None:
            scores = scores + _of_mask(extra[0], scores)
        if is_causal:
            scores = jnp.where(_seen(first, query.shape[-2], width), scores, const(-np.inf, scores))
        if valid is not None:
            scores = jnp.where(lax.broadcasted_iota(np.int32, (1, width), 1) < valid, scores, const(-np.inf, scores))
        weights = safe_softmax(scores)
        if kept is not None:
            weights = weights * back(extra[-1], weights)
        return back(jnp.matmul(weights, v, precision=precision), query)

    outs, done = [], 0
    if math.prod(query.shape[:-1]) * columns > _MOST_SCORES:
        block = _turn(math.prod(query.shape[:-2]) * columns, is_causal)
        done = rows // block * block
        outs = _in_turn(rows_from, query, k, v, [x for x in (mask, kept) if x is not None], is_causal, block) if done else []
    for first in range(done, rows, block):
        behind = min(first + block, rows)
        width = min(behind, columns) if is_causal else columns  # further ones are not seen
        extra = [_part(x, first, behind, width) for x in (mask, kept) if x is not None]
        outs.append(rows_from(first, query[..., first:behind, :], k[..., :width], v[..., :width, :], *extra))
    return jnp.concatenate(outs, -2)


def _turn(row: int, is_causal: bool) -> int:
    """How many rows, of so many scores each, a turn of the loop takes. 16 heads of 1024 x 1024, forward and with the gradients: 128 rows 51 119, causal 35 79 ms; 256 rows 31 114, causal 49 101; torch 33 106, causal 20 81."""
    return max(1 << max(((1 << (21 if is_causal else 22)) // row).bit_length() - 1, 0), 16)


def _in_turn(rows_from: Any, query: Any, k: Any, v: Any, more: list[Any], is_causal: bool, block: int) -> list[Any]:
    """The blocks, as far as they are whole, in a loop: side by side, XLA has the scores of all of them at once. Backward computes the weights again, which costs less than new memory for them does."""
    columns, blocks = k.shape[-1], query.shape[-2] // block
    parts = min(_PARTS, blocks) if is_causal else 1  # each with the columns that its last row sees
    outs = []
    for part in range(parts):
        low, high = blocks * part // parts, blocks * (part + 1) // parts
        width = min(high * block, columns) if is_causal else columns
        extra = [_part(x, low * block, high * block, width) for x in more]
        whole = [x.shape[-2] == 1 for x in extra]

        def one(carry: Any, given: Any, width: int = width, extra: list[Any] = extra, whole: list[bool] = whole) -> Any:
            first, q, *slices = given
            mine = iter(slices)
            return carry, rows_from(first, q, k[..., :width], v[..., :width, :], *[x if w else next(mine) for x, w in zip(extra, whole, strict=True)])

        def turns(x: Any, n: int = high - low) -> Any:
            return jnp.moveaxis(x.reshape(*x.shape[:-2], n, block, x.shape[-1]), -3, 0)

        firsts = np.arange(low, high, dtype=np.int32) * np.int32(block)
        given = (firsts, turns(query[..., low * block : high * block, :]), *[turns(x) for x, w in zip(extra, whole, strict=True) if not w])
        out = jnp.moveaxis(lax.scan(jax.checkpoint(one), None, given)[1], 0, -3)  # type: ignore[arg-type]
        outs.append(out.reshape(*out.shape[:-3], -1, out.shape[-1]))
    return outs


def _part(mask: Any, first: int, behind: int, width: int) -> Any:
    """Of what broadcasts to the scores, what belongs to these rows and the first columns."""
    if mask is None:
        return None
    if mask.shape[-2] != 1:
        mask = mask[..., first:behind, :]
    return mask if mask.shape[-1] == 1 else mask[..., :width]


@functools.cache
def _with_room(is_causal: bool) -> Any:
    """Of a query that is scaled already. For sizes that are symbols: in blocks where it is evaluated with room, since how many there are is known there."""

    def at_once(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
        return _at_once(query, key, value, mask, is_causal, 1.0)

    def gradients(query: Any, key: Any, value: Any, *more: Any) -> Any:
        *mask, g = more
        return jax.vjp(lambda q, k, v: at_once(q, k, v, *mask), query, key, value)[1](g)

    def blocks_of(sizes: Any, given: Any, mask: Any = None) -> Any:
        block = _block(given[0].shape, given[1].shape)
        if block >= given[0].shape[-2] or not all([isinstance(s[-1], int) for s in sizes[:3]]):
            return None
        columns = sizes[1][-2]
        return lambda q, k, v: _by_blocks(q, k, v, mask, is_causal, 1.0, None, block, None if isinstance(columns, int) else columns.astype(np.int32))

    def out_of_room(sizes: Any, *given: Any) -> Any:
        f = blocks_of(sizes, given[:3], *given[3:])
        return None if f is None else [f(*map(_zeroed, given[:3], sizes))]

    def gradients_out_of_room(sizes: Any, *given: Any) -> Any:
        f = blocks_of(sizes, given[:3], *given[3:-1])
        return None if f is None else list(jax.vjp(f, *map(_zeroed, given[:3], sizes))[1](_zeroed(given[-1], sizes[0])))

    forward = roomy(f"attention {is_causal}", at_once, out_of_room)
    backward = roomy(f"attention's gradients {is_causal}", gradients, gradients_out_of_room)
    f = jax.custom_vjp(forward)
    f.defvjp(lambda *given: (forward(*given), given), lambda given, g: (*backward(*given, g), *[None] * (len(given) - 3)))
    return f


def _zeroed(x: Any, sizes: Any) -> Any:
    """With zeros in the rows that do not count: a product with zero weights must not meet a NaN."""
    rows = sizes[-2]
    return x if isinstance(rows, int) else jnp.where(lax.broadcasted_iota(np.int32, (x.shape[-2], 1), 0) < rows.astype(np.int32), x, const(0, x))


def _goes_fused(query: Any, key: Any, value: Any, attn_mask: Any, dropped: bool, enable_gqa: bool) -> bool:
    """Whether torch's kernel of the cpu that does all at once takes these; what it does not take goes by products and additions, which refuse otherwise."""
    if not all(isinstance(n, int) for x in (query, key, value, attn_mask) if x is not None for n in x.shape):
        return True  # sizes that are symbols were numbers before, and passed
    if dropped or not query.ndim == key.ndim == value.ndim == 4:
        return False
    if len({x.shape[0] for x in (query, key, value)}) > 1 or (not enable_gqa and len({x.shape[1] for x in (query, key, value)}) > 1):
        return False
    if attn_mask is not None:
        if attn_mask.ndim == 1:
            raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got -2)")
        if attn_mask.ndim == 0:
            raise IndexError("Dimension specified as -2 but tensor has no dimensions")
        whole = (*query.shape[:2], query.shape[2], key.shape[2])[4 - attn_mask.ndim :]
        if attn_mask.ndim not in (2, 4) or any(n not in (1, all_of) for n, all_of in zip(attn_mask.shape, whole, strict=True)):
            return False
    return query.shape[-1] == key.shape[-1] == value.shape[-1] and query.shape[-2] != 0 and key.shape[-2] != 0  # type: ignore[no-any-return]


def _check(query: Any, key: Any, value: Any, attn_mask: Any, is_causal: bool, enable_gqa: bool, dropped: bool = False) -> None:
    if not (query.dtype == key.dtype == value.dtype):
        q, k, v = map(_word, (query, key, value))
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {q} key.dtype: {k} and value.dtype: {v} instead."
        )
    if query.ndim < 2 or key.ndim < 2 or value.ndim < 2:
        raise RuntimeError(
            f"Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: {query.ndim} key.dim: "
            f"{key.ndim} and value.dim: {value.ndim} instead."
        )
    batch = query.shape[:-2]
    for other in () if enable_gqa else (key, value):
        batch = broadcast_shape(batch, other.shape[:-2])
    rows, inner, columns = query.shape[-2], query.shape[-1], key.shape[-2]
    for mine, theirs, product in ((inner, key.shape[-1], (rows, inner, key.shape[-1], columns)), (columns, value.shape[-2], (rows, columns, *value.shape[-2:]))):
        if mine != theirs and isinstance(mine, int) and isinstance(theirs, int):
            if not batch:
                raise RuntimeError("mat1 and mat2 shapes cannot be multiplied ({}x{} and {}x{})".format(*product))
            n = math.prod(batch)
            raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: {[n, mine]} but got: {[n, theirs]}.")
    if attn_mask is not None:
        if attn_mask.dtype != np.bool_ and attn_mask.dtype != query.dtype and attn_mask.dtype != np.float32:
            raise RuntimeError(
                f"Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: {_word(attn_mask)} "
                f"and  query.dtype: {_word(query)} instead."
            )
        if not _goes_fused(query, key, value, attn_mask, dropped, enable_gqa):
            if is_causal:
                raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
            scores = (*batch, query.shape[-2], key.shape[-2])
            wide = broadcast_shape(scores, attn_mask.shape)
            if tuple(wide) != tuple(scores):
                raise RuntimeError(f"output with shape {list(scores)} doesn't match the broadcast shape {list(wide)}")
    if not is_float(query):
        unsupported("softmax_lastdim_kernel_impl", query)


def _word(x: Any) -> str:
    name = dtype_of(x).name
    return C_NAMES.get(name, name)


def _on_gpu() -> bool:
    return jax.default_backend() == "gpu"


def _grad_name(shapes: Any) -> str:
    """torch's fused kernel takes (N, heads, L, E); other shapes end in the product of its composite."""
    return {4: "ScaledDotProductFlashAttentionForCpuBackward0", 2: "MmBackward0"}.get(len(shapes[0]), "UnsafeViewBackward0")


def _fused_call(structure: dict[str, Any], inputs: Any) -> bool:
    query, key, value = (x.struct for x in inputs[:3])
    return _goes_fused(query, key, value, None if "attn_mask" in structure else inputs[3].struct, "kept" not in structure, structure["enable_gqa"])


def _unsaved(structure: dict[str, Any], inputs: Any) -> str:
    """torch's composite keeps what it has scaled, not the queries and keys themselves."""
    return "" if _fused_call(structure, inputs) else "query key"


def _kept(structure: dict[str, Any], inputs: Any, outs: Any) -> str:
    return "query key value result" if _fused_call(structure, inputs) else "value"


@op(
    "_scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, Tensor? kept=None, bool "
    "is_causal=False, *, "
    "float? scale=None, bool enable_gqa=False)",
    where="_nn", grad_name=ShapedName("ScaledDotProductFlashAttentionForCpuBackward0", _grad_name), unsaved=_unsaved, kept=_kept,
)  # fmt: skip
def _scaled_dot_product_attention(query, key, value, attn_mask, kept, is_causal, scale, enable_gqa):
    """``softmax(query @ key.mT * scale + mask) @ value`` over (..., L, E), (..., S, E), (..., S, Ev)."""
    _check(query, key, value, attn_mask, is_causal, enable_gqa, kept is not None)
    if enable_gqa and key.ndim >= 3 and query.ndim >= 3:
        heads = query.shape[-3]
        if heads % key.shape[-3] or heads % value.shape[-3]:
            raise RuntimeError("Number of heads in key and value must divide the number of heads in query")
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    if _on_gpu() and kept is None and query.ndim == 4 and query.dtype.itemsize <= 2 and (attn_mask is None or attn_mask.ndim == 4):
        return _gpu(query, key, value, attn_mask, is_causal, scale)
    if enable_gqa and key.ndim >= 3 and key.shape[-3] != query.shape[-3]:
        key = jnp.repeat(key, query.shape[-3] // key.shape[-3], -3)
    if enable_gqa and value.ndim >= 3 and value.shape[-3] != query.shape[-3]:
        value = jnp.repeat(value, query.shape[-3] // value.shape[-3], -3)
    return attention(query, key, value, attn_mask, is_causal, scale, kept)


def _gpu(query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    """JAX's own attention, which picks cuDNN's fused kernel for half types; heads are its third dim."""
    bias, allowed = None, None
    if mask is not None:
        if mask.dtype == np.bool_:
            allowed = mask
        else:
            bias = back(mask, query)
    q, k, v = (jnp.swapaxes(x, 1, 2) for x in (query, key, value))
    out = jax.nn.dot_product_attention(q, k, v, bias=bias, mask=allowed, is_causal=is_causal, scale=scale)
    return jnp.swapaxes(out, 1, 2)
