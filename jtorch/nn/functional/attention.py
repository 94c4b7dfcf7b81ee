"""Attention: the fused operator, and multi-head attention with projections as torch composes it."""

from __future__ import annotations

import math
from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._errors import warn
from jtorch._public import C_nn, F, torch

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

Tensor = Any


@compose("nn.functional", in_python=False)  # so that classes of attention masks, such as the causal biases, are asked first
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.mT * scale + mask) @ value``; a bool mask is True where attention is allowed."""
    if not dropout_p > 0:
        return C_nn._scaled_dot_product_attention(query, key, value, attn_mask, None, is_causal, scale=scale, enable_gqa=enable_gqa)
    batch = torch.broadcast_shapes(tuple(query.shape[:-2]), tuple(key.shape[:-2]) if not enable_gqa else ())
    with torch.no_grad():  # drawn as torch draws for the weights, and scaled alike
        kept = torch.dropout(torch.ones(*batch, query.size(-2), key.size(-2), dtype=query.dtype, device=query.device), dropout_p, True)
    return C_nn._scaled_dot_product_attention(query, key, value, attn_mask, kept, is_causal, scale=scale, enable_gqa=enable_gqa)


def _canonical_mask(
    mask: Tensor | None, mask_name: str, other_type: Any, other_name: str, target_type: Any, check_other: bool = True
) -> Tensor | None:
    """A bool mask as zeros and -inf of the target type; float masks pass."""
    if mask is None:
        return None
    if mask.dtype is not torch.bool and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype != other_type:
        warn(f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead.")
    if mask.dtype is torch.bool:
        return torch.zeros_like(mask, dtype=target_type).masked_fill_(mask, float("-inf"))
    return mask


def _none_or_dtype(input: Tensor | None) -> Any:
    """The type of a mask, None without one. RuntimeError for anything else."""
    if input is not None and not isinstance(input, Tensor):
        raise RuntimeError("input to _none_or_dtype() must be None or torch.Tensor")
    return None if input is None else input.dtype


def _mha_shape_check(
    query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None, attn_mask: Tensor | None, num_heads: int
) -> bool:
    """Whether the inputs have a batch dim; AssertionError for shapes that do not go together."""
    if query.dim() not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor")
    batched = query.dim() == 3
    word, dims = ("batched (3-D)", 3) if batched else ("unbatched (2-D)", 2)
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"For {word} `query`, expected `key` and `value` to be {dims}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != dims - 1:
        raise AssertionError(
            f"For {word} `query`, expected `key_padding_mask` to be `None` or {dims - 1}-D but found {key_padding_mask.dim()}-D "
            f"tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {word} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.dim()}-D tensor instead"
            )
        if not batched and attn_mask.dim() == 3:
            expected = (num_heads, query.shape[0], key.shape[0])
            if tuple(attn_mask.shape) != expected:
                raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}")
    return batched


def _in_projection_packed(q: Tensor, k: Tensor, v: Tensor, w: Tensor, b: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Three projections from one weight; as few products as the inputs' identity allows."""
    e = q.size(-1)
    if k is v:
        if q is k:
            p = F.linear(q, w, b)
            p = p.unflatten(-1, (3, e)).unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous()
            return p[0], p[1], p[2]
        wq, wkv = w.split([e, e * 2])
        bq, bkv = (None, None) if b is None else b.split([e, e * 2])
        kv = F.linear(k, wkv, bkv).unflatten(-1, (2, e)).unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous()
        return F.linear(q, wq, bq), kv[0], kv[1]
    ws = w.chunk(3)
    bs = (None, None, None) if b is None else b.chunk(3)
    return F.linear(q, ws[0], bs[0]), F.linear(k, ws[1], bs[1]), F.linear(v, ws[2], bs[2])


def _check_projection(name: str, w: Tensor, e: int, source: int) -> None:
    if tuple(w.shape) != (e, source):
        raise AssertionError(f"expecting {name} weights shape of {(e, source)}, but got {w.shape}")


def _in_projection(
    q: Tensor, k: Tensor, v: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, b_q: Tensor | None = None, b_k: Tensor | None = None, b_v: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Three projections with weights of their own."""
    for name, w, x in zip("qkv", (w_q, w_k, w_v), (q, k, v), strict=True):
        if w is None:
            raise AssertionError(f"use_separate_proj_weight is True but {name}_proj_weight is None")
        _check_projection(name, w, q.size(-1), x.size(-1))
    return F.linear(q, w_q, b_q), F.linear(k, w_k, b_k), F.linear(v, w_v, b_v)


def _heads(x: Tensor, fixed: Tensor | None, name: str, batch: int, num_heads: int, head_dim: int) -> Tensor:
    """(S, N, E) as (N * heads, S, head_dim), or the fixed keys or values given instead."""
    if fixed is None:
        return x.view(x.shape[0], batch * num_heads, head_dim).transpose(0, 1)
    if fixed.size(0) != batch * num_heads:
        raise AssertionError(f"expecting {name}.size(0) of {batch * num_heads}, but got {fixed.size(0)}")
    if fixed.size(2) != head_dim:
        raise AssertionError(f"expecting {name}.size(2) of {head_dim}, but got {fixed.size(2)}")
    return fixed


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """``(output, weights)`` of multi-head attention over (L, N, E) queries and (S, N, E) keys and values, or unbatched (L, E).

    Weights are averaged over heads, or (N, heads, L, S), or None without ``need_weights`` (then the fused operator runs).
    """
    batched = _mha_shape_check(query, key, value, key_padding_mask, attn_mask, num_heads)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if not batched:
        query, same_k, same_v = query.unsqueeze(1), key is query, value is key
        key = query if same_k else key.unsqueeze(1)
        value = key if same_v else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    target_len, bsz, embed_dim = query.shape
    source_len = key.shape[0]
    key_padding_mask = _canonical_mask(
        key_padding_mask, "key_padding_mask", None if attn_mask is None else attn_mask.dtype, "attn_mask", query.dtype
    )
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None  # the operator's own triangle is enough
    else:
        attn_mask = _canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False)
        is_causal = is_causal and key_padding_mask is None and not need_weights
    if embed_dim != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}")
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}")
        biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
        q, k, v = _in_projection(query, key, value, q_proj_weight, k_proj_weight, v_proj_weight, *biases)
    else:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _in_projection_packed(query, key, value, in_proj_weight, in_proj_bias)
    if attn_mask is not None:
        if attn_mask.dim() == 2:
            if tuple(attn_mask.shape) != (target_len, source_len):
                raise RuntimeError(f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be {(target_len, source_len)}.")
            attn_mask = attn_mask.unsqueeze(0)
        elif attn_mask.dim() == 3:
            expected = (bsz * num_heads, target_len, source_len)
            if tuple(attn_mask.shape) != expected:
                raise RuntimeError(f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be {expected}.")
        else:
            raise RuntimeError(f"attn_mask's dimension {attn_mask.dim()} is not supported")
    grown = 0
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key." if static_k is not None else "bias cannot be added to static value.")
        k, v = torch.cat([k, bias_k.repeat(1, bsz, 1)]), torch.cat([v, bias_v.repeat(1, bsz, 1)])
        grown += 1
    elif bias_k is not None or bias_v is not None:
        raise AssertionError("bias_k and bias_v must be given together")
    q = q.view(target_len, bsz * num_heads, head_dim).transpose(0, 1)
    k = _heads(k, static_k, "static_k", bsz, num_heads, head_dim)
    v = _heads(v, static_v, "static_v", bsz, num_heads, head_dim)
    if add_zero_attn:
        zeros = torch.zeros(bsz * num_heads, 1, head_dim, dtype=k.dtype, device=k.device)
        k, v = torch.cat([k, zeros], dim=1), torch.cat([v, zeros], dim=1)
        grown += 1
    if grown:
        attn_mask = None if attn_mask is None else F.pad(attn_mask, (0, grown))
        key_padding_mask = None if key_padding_mask is None else F.pad(key_padding_mask, (0, grown))
    source_len = k.size(1)
    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (bsz, source_len):
            raise AssertionError(f"expecting key_padding_mask shape of {(bsz, source_len)}, but got {key_padding_mask.shape}")
        spread = key_padding_mask.view(bsz, 1, 1, source_len).expand(-1, num_heads, -1, -1).reshape(bsz * num_heads, 1, source_len)
        attn_mask = spread if attn_mask is None else attn_mask + spread
    dropout_p = dropout_p if training else 0.0
    if need_weights:
        return _with_weights(
            q,
            k,
            v,
            attn_mask,
            dropout_p,
            out_proj_weight,
            out_proj_bias,
            (target_len, bsz, num_heads, embed_dim),
            average_attn_weights,
            batched,
        )
    if attn_mask is not None:
        attn_mask = attn_mask.unsqueeze(0) if attn_mask.size(0) == 1 else attn_mask.view(bsz, num_heads, attn_mask.size(-2), source_len)
    q, k, v = (x.view(bsz, num_heads, x.size(1), head_dim) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal)
    out = out.permute(2, 0, 1, 3).contiguous().view(bsz * target_len, embed_dim)
    out = F.linear(out, out_proj_weight, out_proj_bias).view(target_len, bsz, out_proj_weight.size(0))
    return (out if batched else out.squeeze(1)), None


def _with_weights(q, k, v, mask, dropout_p, out_weight, out_bias, shape, average, batched):
    """The composed form, which has the weights to return."""
    target_len, bsz, num_heads, embed_dim = shape
    q = q * math.sqrt(1.0 / float(q.size(-1)))
    scores = torch.bmm(q, k.transpose(-2, -1)) if mask is None else torch.baddbmm(mask, q, k.transpose(-2, -1))
    weights = F.softmax(scores, dim=-1)
    if dropout_p > 0.0:
        weights = F.dropout(weights, p=dropout_p)
    out = torch.bmm(weights, v).transpose(0, 1).contiguous().view(target_len * bsz, embed_dim)
    out = F.linear(out, out_weight, out_bias).view(target_len, bsz, out_weight.size(0))
    weights = weights.view(bsz, num_heads, target_len, k.size(1))
    if average:
        weights = weights.mean(dim=1)
    return (out, weights) if batched else (out.squeeze(1), weights.squeeze(0))
