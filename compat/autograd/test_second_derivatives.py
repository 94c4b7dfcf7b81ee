"""Which inputs a gradient's own gradient leads to: None where torch's formula does not read an input, zeros where it does; and what needs no grad at all."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

import jtorch

OPERATORS = """
x*y
x+y
x/y
x**y
torch.atan2(x,y)
torch.lerp(x,y,z)
torch.addcmul(x,y,z)
torch.addcdiv(x,y,z)
torch.maximum(x,y)
torch.xlogy(x,y)
torch.where(x>0.5,y,z)
torch.addmm(x,y,z)
torch.outer(x[0],y[0])
F.linear(x,y,z[0])
F.mse_loss(x,y)
F.margin_ranking_loss(x,y,z)
F.hinge_embedding_loss(x,y)
F.conv1d(x[None],torch.stack([y,y]),z[0])
F.layer_norm(x,(2,),y[0],z[0])
torch.fmod(x,y)
torch.clamp(x,y,z)
torch.heaviside(x,y)
x.abs()
F.l1_loss(x,y)
F.relu(x-0.5)
F.leaky_relu(x)
F.hardtanh(x)
F.prelu(x-0.5,y[0])
F.hardsigmoid(x)
F.softshrink(x)
F.threshold(x,0.5,0)
F.max_pool2d(x[None],2)
F.max_pool1d(x,2)
F.avg_pool2d(x[None],2)
F.adaptive_avg_pool1d(x,2)
F.adaptive_avg_pool1d(x,1)
torch.linalg.vector_norm(x,1)
x.norm(float('inf'),1)
x.norm(2)
x[:0].softmax(1)
x[:0].log_softmax(1)
F.pad(x[None],(1,1),'reflect')
F.nll_loss(x,torch.tensor([0,1]))
F.multi_margin_loss(x,torch.tensor([0,1]))
x.relu_() if not x.is_leaf else (x*1).relu_()
""".strip().splitlines()


def pattern(library: Any, text: str) -> list[str]:
    """For each input's gradient which inputs it leads to: ``.`` None, ``0`` zeros, ``x`` others."""
    x, y, z = (library.tensor(rows).requires_grad_() for rows in ([[0.3, 0.7], [0.9, 0.2]], [[1.3, 0.4], [0.6, 1.2]], [[0.5, 0.8], [0.1, 1.9]]))
    found: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            out = eval(text, {"torch": library, "F": library.nn.functional, "x": x, "y": y, "z": z})
            grads = library.autograd.grad((out * 1.5).sum(), (x, y, z), create_graph=True, allow_unused=True)
        except RuntimeError as error:
            return [str(error)]
    for g in grads:
        if g is None or not g.requires_grad:
            found.append("none" if g is None else "requires none")
            continue
        try:
            again = library.autograd.grad(g.sum(), (x, y, z), allow_unused=True, retain_graph=True)
        except RuntimeError as error:
            found.append(str(error))
            continue
        found.append("".join("." if h is None else "x" if h.any() else "0" for h in again))
    return found


@pytest.mark.parametrize("text", OPERATORS)
def test_what_a_gradient_leads_to(text: str) -> None:
    assert pattern(jtorch, text) == pattern(torch, text)
