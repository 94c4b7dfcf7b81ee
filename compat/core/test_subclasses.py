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
class Wrapper(torch.Tensor):
    @staticmethod
    def __new__(cls, e, requires_grad=False): return torch.Tensor._make_wrapper_subclass(cls, e.shape, dtype=e.dtype, requires_grad=requires_grad)
    def __init__(self, e, requires_grad=False): self.e = e
    def __repr__(self): return super().__repr__(tensor_contents=f"e={self.e.tolist()}")
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if "clone" in str(func) or "detach" in str(func): return cls(args[0].e + 0)
        return args[0].e if "alias" in str(func) else NotImplemented
class Slotted(torch.Tensor):
    __slots__ = ["seen"]
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        args[0].seen.append(getattr(func, "__name__", "?"))
        made = torch.overrides.redispatch_function(func, types, args, kwargs)
        if isinstance(made, torch.Tensor) and type(made) is not cls: made = made.as_subclass(cls)
        if isinstance(made, cls) and not hasattr(made, "seen"): made.seen = args[0].seen
        return made
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
    "the class shows what it inherits": """
print([n for n in ("size", "stride", "dtype", "layout", "device", "requires_grad", "shape", "numel", "__len__", "tolist", "T", "grad", "add") for k in (Plain, Logged, Wrapper) if getattr(k, n) is not getattr(torch.Tensor, n)])
print(Logged.numel(q), Plain.size(p), len(q), q.T.shape)
""",
    "texts": """
P = torch.nn.Parameter
class Own2(P): pass
print(Wrapper(torch.ones(2)), Wrapper(torch.ones(2, dtype=torch.half), requires_grad=True), Wrapper(torch.ones(0, 2)), P(Wrapper(torch.ones(1))), P(p), Own2(torch.ones(1)), P(torch.ones(1)))
print(torch.ones(2).__repr__(tensor_contents="a"), p.__repr__(tensor_contents="a"), torch.ones(2, device="meta").__repr__(tensor_contents="a"), torch.ones(2, dtype=torch.int8).__repr__(tensor_contents="a"))
""",
    "deep copies": """
import copy
for t in (Wrapper(torch.ones(2)), torch.nn.Parameter(Wrapper(torch.ones(2))), p, torch.nn.Parameter(p)):
    c = copy.deepcopy(t); print(type(c).__name__, isinstance(c, torch.nn.Parameter), c.requires_grad, c is t)
class Strange(Wrapper):
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None): return args[0].e
try: copy.deepcopy(Strange(torch.ones(2)))
except RuntimeError as error: print(error)
s = torch.ones(2).as_subclass(Plain); s = torch.Tensor._make_subclass(Slotted, s); s.seen = []
c = copy.deepcopy(s); print(type(c).__name__, c.seen is s.seen, hasattr(c, "seen"))
s.requires_grad = True; s.grad = None; print(s.seen[-2:])
""",
    "gradients": """
w = torch.ones(2, 3).as_subclass(Plain).requires_grad_(); (w * 2).sum().backward(); print(type(w.grad).__name__ in ("Tensor", "Plain"), w.grad.tolist())
""",
}


@pytest.mark.parametrize("name", CASES)
def test_prints_what_torch_prints(name: str) -> None:
    program = _HEAD + CASES[name]
    assert printed(jtorch, program) == printed(torch, program)
