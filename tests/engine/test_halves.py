"""Half types: sums that backward makes are taken in float32 and rounded once; every result is rounded where it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jtorch as torch


def _numbers(*shape: int) -> Any:
    return torch.tensor(np.random.RandomState(0).randn(*shape).astype(np.float32)).bfloat16()


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, b: x + b,
        lambda x, b: x * 0 + b * 1,
        lambda x, b: torch.where(x > 9, x, b),
        lambda x, b: b.expand(300, 7),
        lambda x, b: torch.nn.functional.linear(x, torch.eye(7).bfloat16(), b),
    ],
)
def test_the_gradient_of_a_broadcast(fn: Any) -> None:
    b = torch.zeros(7, dtype=torch.bfloat16, requires_grad=True)
    g = _numbers(300, 7)
    fn(_numbers(300, 7), b).backward(g)
    assert torch.equal(b.grad, g.float().sum(0).bfloat16())


def test_second_derivatives_go_through() -> None:
    x, b = _numbers(300, 7).requires_grad_(), _numbers(7).requires_grad_()
    (first,) = torch.autograd.grad((x * b * b).sum(), b, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), b)
    assert second.dtype == torch.bfloat16 and torch.allclose(second.float(), 2 * x.detach().float().sum(0), rtol=2e-2, atol=0.1)


@pytest.mark.parametrize("fn", [lambda x: x + x, lambda x: x * 0.7, lambda x: torch.exp(x), lambda x: (x + 0.1) + 0.3])
def test_results_are_rounded_where_they_are_made(fn: Any) -> None:
    x = _numbers(1000)
    x.sum().item()
    wide = fn(x).float()
    assert torch.equal(wide, wide.bfloat16().float())
    for number in (0.3, 0.7, 0.9):  # a number that changes becomes an input
        wide = (x + number).float()
        wide.sum().item()
    assert torch.equal(wide, wide.bfloat16().float())
