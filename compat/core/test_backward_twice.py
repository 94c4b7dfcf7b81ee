"""A second backward: refused where the graph saved something that is gone, as in torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

EXPRESSIONS = [
    "w.sum()", "w.mean()", "w.sum(0).sum()", "w.mean(1).sum()", "(w + 1).sum()", "(w - w).sum()", "(1 - w).sum()", "(-w).sum()", "(w * 2).sum()", "(w / 2).sum()",
    "(w * w).sum()", "(w / w).sum()", "w.view(6).sum()", "w.reshape(3, 2).sum()", "w.t().sum()", "w.flip(0).sum()", "w[0].sum()", "w[[0, 1]].sum()", "w[:, 1:].sum()", "w.clone().sum()",
    "w.double().sum()", "torch.cat([w, w]).sum()", "torch.stack([w, w]).sum()", "w.expand(2, 2, 3).sum()", "w.exp().sum()", "w.relu().sum()", "w.abs().sum()",
    "w.clamp(0).sum()", "w.pow(2).sum()", "w.sqrt().sum()", "w.softmax(1).sum()", "(w @ w.t()).sum()", "w.max()", "w.amax(1).sum()", "w.cumsum(0).sum()", "w.sort().values.sum()",
    "w.masked_fill(w > 1, 0).sum()", "torch.where(w > 1, w, 0).sum()", "w.index_select(0, torch.tensor([0])).sum()", "w.gather(1, torch.tensor([[0], [1]])).sum()", "w.repeat(2, 1).sum()",
    "torch.nn.functional.pad(w, (1, 1)).sum()", "w.squeeze().sum()", "w.unsqueeze(0).sum()", "w.norm()", "w.prod()", "w.var()", "w.logsumexp(1).sum()", "w.tril().sum()", "w.roll(1).sum()",
    "w.detach().requires_grad_().sum()", "torch.nn.functional.mse_loss(w, torch.zeros(2, 3))", "w.floor().sum()", "w.sign().sum()", "w.add(w, alpha=2).sum()", "w.lerp(w, 0.5).sum()", "w.diagonal().sum()",
]  # fmt: skip

@pytest.mark.parametrize("text", EXPRESSIONS)
def test_second_backward(text: str) -> None:
    def run(lib: Any) -> Any:
        w = lib.arange(1.0, 7.0).reshape(2, 3).requires_grad_()
        loss = eval(text, {"w": w, "torch": lib})  # noqa: S307 - our own text
        loss.backward()
        try:
            loss.backward()
        except RuntimeError as error:
            return "second time" in str(error)
        return None if w.grad is None else w.grad.tolist()

    assert run(jtorch) == run(torch)
