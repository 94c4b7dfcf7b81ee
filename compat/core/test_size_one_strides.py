"""Strides of dims of size 1: a view keeps those that it came by, though they say nothing about where the elements lie, and what is made like it has them where torch's has."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

BASES = """
torch.ones(1, 3).t()
torch.ones(3, 1).t()
torch.ones(1, 1, 4).permute(1, 2, 0)
torch.ones(2, 1, 3).transpose(0, 1)
torch.ones(4, 1)[::2]
torch.ones(1, 3).expand(1, 3)
torch.ones(2, 3, 1, 1).permute(0, 2, 3, 1)
torch.ones(1, 3, 1, 1).to(memory_format=torch.channels_last)
torch.ones(0, 1, 2).permute(2, 1, 0)
torch.ones(6, 1).unfold(0, 2, 2)
torch.ones(4).as_strided((1, 4), (7, 1))
torch.empty_strided((1, 2), (5, 1))
torch.ones(1, 2, 1).swapaxes(0, 2).clone()
""".strip().splitlines()
CALLS = """
x.stride(), x.is_contiguous(), x.contiguous() is x
(x + 1).stride(), (x * x).stride(), (x + torch.ones(x.shape)).stride(), (torch.ones(x.shape) + x).stride(), x.neg().stride(), x.pow(2).stride()
x.clone().stride(), x.clone(memory_format=torch.contiguous_format).stride(), x.to(torch.float64).stride(), x.bool().stride(), x.clone().add_(1).stride()
torch.empty_like(x).stride(), torch.zeros_like(x).stride()
x.unsqueeze(0).stride(), x.unsqueeze(-1).stride(), x.squeeze().stride(), x.expand(2, *x.shape).stride(), x.expand(1, 1, *x.shape).stride(), torch.broadcast_to(x, (1, *x.shape)).stride(), x[:1].stride(), x.view_as(x).stride(), x.movedim(0, -1).stride()
x.flip(0).stride(), x.sort(0)[0].stride(), torch.where(x > 0, x, x).stride(), torch.cat([x, x]).stride(), torch.stack([x, x]).stride()
x.reshape(-1).stride(), x.flatten()._is_view(), x.view(-1).stride()
""".strip().splitlines()


def outcome(library: Any, base: str, call: str) -> str:
    x = eval(base, {"torch": library})
    try:
        return repr(eval(call, {"torch": library, "x": x}))
    except RuntimeError as error:
        return str(error)


@pytest.mark.parametrize("base", BASES)
def test_strides(base: str) -> None:
    assert [outcome(jtorch, base, call) for call in CALLS] == [outcome(torch, base, call) for call in CALLS]
