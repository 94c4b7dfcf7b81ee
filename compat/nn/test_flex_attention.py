"""``flex_attention`` beside torch's, with masks, biases and groups of heads (torch has no gradient of it on the CPU)."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.attention.flex_attention as theirs

import jtorch
import jtorch.nn.attention.flex_attention as ours


def causal(b: Any, h: Any, q: Any, kv: Any) -> Any:
    return q >= kv


def window(b: Any, h: Any, q: Any, kv: Any) -> Any:
    return (q - kv).abs() <= 2


def distance(score: Any, b: Any, h: Any, q: Any, kv: Any) -> Any:
    return score + (q - kv) * 0.1 * (h + 1)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"mask": lambda m: causal},
    "both": {"mask": lambda m: m.and_masks(causal, window), "score": distance},
    "either": {"mask": lambda m: m.or_masks(causal, window)},
    "grouped": {"score": distance, "gqa": True},
    "nothing": {"mask": lambda m: lambda b, h, q, kv: (q > 3) & (kv >= 0)},
}


def run(torch_: Any, flex: Any, arrays: list[Any], mask: Any = None, score: Any = None, gqa: bool = False) -> list[Any]:
    q, k, v = (torch_.tensor(a) for a in arrays)
    block = flex.create_block_mask(mask(flex), None, None, 20, 20, device="cpu", BLOCK_SIZE=8) if mask else None
    out, lse = flex.flex_attention(q, k, v, score, block, enable_gqa=gqa, return_lse=True)
    seen = [out, lse]
    if block is not None:
        seen += [block.kv_num_blocks, block.full_kv_num_blocks, block.to_dense()]
    return [t.detach().numpy() for t in seen]


@pytest.mark.parametrize("name", CASES)
def test_agrees(name: str) -> None:
    case = CASES[name]
    torch.manual_seed(0)
    heads = 1 if case.get("gqa") else 2
    arrays = [torch.randn(2, n, 20, 4).numpy() for n in (2, heads, heads)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = run(torch, theirs, arrays, **case)
    for a, b in zip(expected, run(jtorch, ours, arrays, **case), strict=True):
        torch.testing.assert_close(torch.tensor(b), torch.tensor(a), rtol=1e-4, atol=1e-5)
