"""Subclasses of Tensor: methods are offered to ``__torch_function__``, results keep the class; printed the same under torch and jtorch."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

_HEAD = """
class Plain(torch.Tensor): pass
log = []
class Logged(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        log.append(getattr(func, "__name__", "?"))
        return super().__torch_function__(func, types, args, kwargs or {})
class Own(torch.Tensor):
    def float(self): return "own float"
class Mixin:
    def numel(self): return "mixed in"
class Mixed(Mixin, torch.Tensor): pass
p = torch.arange(6.).view(2, 3).as_subclass(Plain)
q = torch.arange(6.).view(2, 3).as_subclass(Logged)
"""
CASES = {
    "results keep the class": """
for f in (lambda x: x.double(), lambda x: x.float(), lambda x: x.detach(), lambda x: x.cpu(), lambda x: x.contiguous(), lambda x: x.t(), lambda x: x + 1, lambda x: x[0], lambda x: x.long(),
          lambda x: x.clone(), lambda x: x.to(torch.float64), lambda x: x.type_as(torch.zeros(1)), lambda x: torch.cat([x, x]), lambda x: torch.nn.functional.softmax(x, -1), lambda x: x.unbind()[0]):
    print(type(f(p)).__name__, type(f(q)).__name__)
print(p.numel(), p.dim(), p.size(), p.tolist(), len(p), p.is_contiguous(), p.sum().item(), p.numpy().shape, p.shape, p.is_floating_point())
""",
    "what is offered": """
for f in (lambda x: x.double(), lambda x: x.numel(), lambda x: x.size(), lambda x: x.add(1), lambda x: x.detach(), lambda x: len(x), lambda x: x.tolist(), lambda x: x.dim(), lambda x: x.stride()):
    log.clear(); f(q); print(log[0])
""",
    "own methods win": "o = torch.ones(2).as_subclass(Own); print(o.float(), type(o.double()).__name__); m = torch.ones(2).as_subclass(Mixed); print(m.numel(), m.dim())",
    "gradients": """
w = torch.ones(2, 3).as_subclass(Plain).requires_grad_(); (w * 2).sum().backward(); print(type(w.grad).__name__ in ("Tensor", "Plain"), w.grad.tolist())
""",
}


@pytest.mark.parametrize("name", CASES)
def test_prints_what_torch_prints(name: str) -> None:
    program = _HEAD + CASES[name]
    assert printed(jtorch, program) == printed(torch, program)
