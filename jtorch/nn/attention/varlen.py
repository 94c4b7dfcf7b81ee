"""``torch.nn.attention.varlen``: attention over sequences of unlike lengths that lie one after the other. (torch has a kernel of the GPU for it; here it runs anywhere.)"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from jtorch._public import torch

__all__ = ["AuxRequest", "varlen_attn", "varlen_attn_out"]


class AuxRequest(NamedTuple):
    """What else :func:`varlen_attn` is to give."""

    lse: bool = False


def _lengths(cumulative: Any, used: Any = None) -> tuple[Any, Any]:
    """Where each sequence begins, and how long it is."""
    start = cumulative[:-1].to(torch.int64)
    return start, (cumulative[1:].to(torch.int64) - start) if used is None else used.to(torch.int64)


def varlen_attn(
    query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: int, max_k: int, *, return_aux: AuxRequest | None = None, scale: float | None = None,
    window_size: Any = (-1, -1), enable_gqa: bool = False, seqused_k: Any = None, block_table: Any = None, num_splits: int | None = None,
) -> Any:  # fmt: skip
    """Attention of each of N sequences to itself: (T_q, H, D), the sequences' tokens one after the other.

    ``query``: (T_q, H, D); ``key``, ``value``: (T_k, H_kv, D). ``cu_seq_q``, ``cu_seq_k``: (N + 1,), where each sequence begins and the last ends; ``max_q``, ``max_k``: how long the longest is.
    ``window_size``: how far a token looks back and ahead of itself, counted from the sequences' ends; -1 is without bound, ``(-1, 0)`` is causal. ``enable_gqa``: several query heads share one of the
    keys'. ``seqused_k``: (N,), how many of a sequence's keys count. ``block_table``: (N, pages), where keys and values are in pages (pages, tokens, H_kv, D), those of each sequence in order;
    with it ``seqused_k`` is needed. ``num_splits`` changes nothing here. A token without any key gets zeros.
    ``return_aux``: with ``lse`` also the logarithm of each token's sum, (H, T_q) float32. ValueError for a table without ``seqused_k``, heads of unlike number without ``enable_gqa``, a window that is no pair.
    """
    heads, shared = query.shape[-2], key.shape[-2]
    if len(window_size) != 2:
        raise ValueError(f"window_size must have length 2, got {len(window_size)}")
    if heads != shared and not enable_gqa:
        raise ValueError(f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={shared}. Try setting enable_gqa=True for GQA.")
    if heads % shared:
        raise ValueError(f"Expect number of query heads to be a multiple of kv heads for GQA but got Hq={heads} and Hkv={shared}.")
    if block_table is not None and seqused_k is None:
        raise ValueError("seqused_k is required when block_table is given")
    here = {"device": query.device}
    start_q, long_q = _lengths(cu_seq_q)
    i, j = torch.arange(max_q, **here), torch.arange(max_k, **here)
    at_q = (start_q[:, None] + i).clamp(max=query.shape[0] - 1)
    if block_table is not None:
        long_k, page = seqused_k.to(torch.int64), key.shape[1]
        place = block_table.to(torch.int64)[:, (j // page).clamp(max=block_table.shape[1] - 1)] * page + j % page
        key, value = key.flatten(0, 1), value.flatten(0, 1)
    else:
        start_k, long_k = _lengths(cu_seq_k, seqused_k)
        place = start_k[:, None] + j
    there_q, there_k = i < long_q[:, None], j < long_k[:, None]
    place = torch.where(there_k, place, 0)
    seen = there_q[:, :, None] & there_k[:, None, :]
    apart = j - (i[:, None] + (long_k - long_q)[:, None, None])  # of a key from its query, both counted from the end
    left, right = window_size
    if left >= 0:
        seen = seen & (apart >= -left)
    if right >= 0:
        seen = seen & (apart <= right)
    q, k, v = (x.transpose(1, 2) for x in (query[at_q], key[place], value[place]))  # (N, H, tokens, D)
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None], scale=scale, enable_gqa=enable_gqa)
    out = torch.where(seen.any(-1)[:, None, :, None], out, 0)
    tokens = torch.arange(query.shape[0], **here)  # each token's sequence, and its place in it
    of = (torch.searchsorted(cu_seq_q.to(torch.int64), tokens, right=True) - 1).clamp(0, long_q.shape[0] - 1)
    within = (tokens - start_q[of]).clamp(max=max_q - 1)
    found = out.transpose(1, 2)[of, within]
    if return_aux is None or not return_aux.lse:
        return found
    k = k.repeat_interleave(heads // shared, 1)
    scores = (q.float() @ k.float().transpose(-1, -2)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    sums = scores.masked_fill(~seen[:, None], -math.inf).logsumexp(-1)
    return found, sums.transpose(1, 2)[of, within].transpose(0, 1)


def varlen_attn_out(out: Any, query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: int, max_k: int, **options: Any) -> Any:
    """:func:`varlen_attn`, written into ``out``."""
    found = varlen_attn(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, **options)
    if isinstance(found, tuple):
        return out.copy_(found[0]), *found[1:]
    return out.copy_(found)
