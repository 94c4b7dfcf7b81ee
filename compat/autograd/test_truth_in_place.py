"""Comparisons and logic written into a tensor with a history: the first leave zeros as its gradient, the others leave the history as it was. Both libraries print the same."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

PROGRAM = """
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, e)
def seen(t): return t.requires_grad, t.is_leaf, type(t.grad_fn).__name__, t._version
x = torch.tensor([-1., .5, 2., 4.], requires_grad=True); z = torch.tensor([.5, .5, 3., 1.], requires_grad=True)
y = x * 3; run(lambda: seen(write(y))); run(lambda: (y.sum().backward(), x.grad, z.grad)[1:])
x.grad = z.grad = None; y = x * 3; v = y[:3]; run(lambda: (seen(write(v[:])), seen(y), y.detach())); run(lambda: ((y * y).sum().backward(), x.grad, z.grad)[1:])
run(lambda: (write(x).shape, x.detach(), x._version)); run(lambda: write(x[1:]).shape)
with torch.no_grad(): run(lambda: write(x)); run(lambda: write(x[:2]))
"""
WRITES = ["t.gt_(0)", "t.eq_(z[:len(t)])", "t.le_(torch.ones(()))", "t.logical_and_(torch.ones(()))", "t.logical_not_()", "t.logical_xor_(z[:len(t)])", "t.heaviside_(torch.ones(()))", "t.floor_divide_(2)"]


@pytest.mark.parametrize("text", WRITES)
def test_prints_what_torch_prints(text: str) -> None:
    program = f"write = lambda t: {text}\n" + PROGRAM
    assert printed(jtorch, program) == printed(torch, program)
