"""Attention over sequences of unlike lengths, end to end: what real torch's attention gives for each sequence by itself (its own kernel needs a GPU)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as real

import jtorch
from jtorch.nn.attention.varlen import AuxRequest, varlen_attn, varlen_attn_out

LONG_Q, LONG_K = [3, 1, 5], [4, 6, 5]


def _alone(q: Any, k: Any, v: Any, window: tuple[int, int]) -> tuple[Any, Any]:
    """(T, H, D) of one sequence: attention by hand, in float64, the window counted from the sequences' ends."""
    groups = q.shape[1] // k.shape[1]
    q, k, v = (x.double().transpose(0, 1) for x in (q, k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)))
    apart = real.arange(k.shape[1])[None] - (real.arange(q.shape[1])[:, None] + k.shape[1] - q.shape[1])
    seen = (apart >= -window[0] if window[0] >= 0 else apart == apart) & (apart <= window[1] if window[1] >= 0 else apart == apart)
    scores = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).masked_fill(~seen, -real.inf)
    return (scores.softmax(-1).nan_to_num(0.0) @ v).transpose(0, 1), scores.logsumexp(-1)


@pytest.mark.parametrize("window", [(-1, -1), (-1, 0), (2, 0), (1, 1)])
@pytest.mark.parametrize("form", ["plain", "fewer heads", "used", "pages"])
def test_each_sequence_by_itself(form: str, window: tuple[int, int]) -> None:
    r = np.random.RandomState(0)
    heads = 2 if form == "fewer heads" else 4
    q, g = (r.randn(sum(LONG_Q), 4, 8).astype("f") for _ in range(2))
    ks, vs = ([r.randn(n, heads, 8).astype("f") for n in LONG_K] for _ in range(2))
    used = [2, 6, 4] if form in ("used", "pages") else LONG_K
    cu_q, cu_k = (jtorch.tensor([0, *np.cumsum(n)], dtype=jtorch.int32) for n in (LONG_Q, LONG_K))
    options: dict[str, Any] = {"window_size": window, "enable_gqa": heads == 2, "return_aux": AuxRequest(lse=True)}
    k, v = np.concatenate(ks), np.concatenate(vs)
    if used is not LONG_K:
        options["seqused_k"] = jtorch.tensor(used, dtype=jtorch.int32)
    if form == "pages":  # of two tokens each, those of a sequence anywhere
        order = [[5, 0, 7], [2, 3, 1], [6, 4, 8]]
        k, v = np.zeros((9, 2, heads, 8), "f"), np.zeros((9, 2, heads, 8), "f")
        for pages, *parts in zip(order, ks, vs, strict=True):
            for pool, x in zip((k, v), parts, strict=True):
                for t, token in enumerate(x):
                    pool[pages[t // 2], t % 2] = token
        options["block_table"] = jtorch.tensor(order, dtype=jtorch.int32)
    leaf = jtorch.tensor(q, requires_grad=True)
    out, lse = varlen_attn(leaf, jtorch.tensor(k), jtorch.tensor(v), cu_q, cu_k, 5, 6, **options)
    out.backward(jtorch.tensor(g))
    theirs = real.tensor(q, requires_grad=True)
    found = [_alone(a, real.tensor(b[:n]), real.tensor(c[:n]), window) for a, b, c, n in zip(theirs.split(LONG_Q), ks, vs, used, strict=True)]
    wanted = real.cat([o for o, _ in found])
    wanted.backward(real.tensor(g).double())
    np.testing.assert_allclose(out.detach().numpy(), wanted.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lse.detach().numpy(), real.cat([s for _, s in found], 1).detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(leaf.grad.numpy(), theirs.grad.numpy(), rtol=1e-4, atol=1e-5)
    into = jtorch.empty(q.shape)
    assert varlen_attn_out(into, leaf.detach(), jtorch.tensor(k), jtorch.tensor(v), cu_q, cu_k, 5, 6, **options)[0] is into
    assert jtorch.equal(into, out.detach())


def test_heads_that_do_not_go_together() -> None:
    q, k, cu = jtorch.ones(2, 4, 8), jtorch.ones(2, 2, 8), jtorch.tensor([0, 2])
    with pytest.raises(ValueError, match="enable_gqa"):
        varlen_attn(q, k, k, cu, cu, 2, 2)
    with pytest.raises(ValueError, match="seqused_k is required"):
        varlen_attn(q, q[None], q[None], cu, None, 2, 2, block_table=jtorch.zeros(1, 1, dtype=jtorch.int32))
