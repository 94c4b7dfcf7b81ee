"""Dual tensors as tensors: one memory with the primal, no grad required, and what they refuse; graphs that hooks and checkpoints hold."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

PROGRAMS = {
    "one memory": """
fw = torch.autograd.forward_ad
foo, bar = torch.arange(3.), torch.ones(3)
with fw.dual_level():
    d = fw.make_dual(foo, bar)
    y = d * d
    foo.add_(1)
    print(d.data_ptr() == foo.data_ptr(), d._version == foo._version, d.requires_grad, d.is_leaf, (d * 2).grad_fn, fw.unpack_dual(y).tangent)
    w = torch.ones(3, requires_grad=True)
    print((d * w).requires_grad, (d * w).is_leaf, (d * 2).requires_grad)
with torch.inference_mode(), fw.dual_level():
    d = fw.make_dual(foo := torch.ones(2), torch.ones(2))
    d += 1
    print(foo, d._is_view())
""",
    "out": """
fw = torch.autograd.forward_ad
foo = torch.ones(2)
with fw.dual_level():
    d = fw.make_dual(torch.ones(2), torch.ones(2))
    for inputs, out in (((foo, foo), d), ((d, foo), foo)):
        try: torch.add(*inputs, out=out)
        except Exception as e: print(type(e).__name__, e)
""",
    "a part of its memory": """
fw = torch.autograd.forward_ad
with fw.dual_level():
    print(fw.make_dual(torch.arange(5.)[:4].detach(), torch.ones(4)).as_strided((5,), (1,), 0))
""",
    "hooks of a view that is written": """
base = torch.tensor([1.0], requires_grad=True).clone()
view, other = base[:], base[:]
view.register_hook(lambda g: print("never"))
view.mul_(2)
other.grad_fn
other.register_hook(lambda g: print("once", g))
(view + other).sum().backward()
""",
    "a saved result": """
a = torch.ones(2, requires_grad=True)
b = torch.exp(a)
saved = b.grad_fn._saved_result
with torch.no_grad(): b += 1
print(torch.equal(b, saved), b._version == saved._version)
""",
    "a checkpoint's graph": """
import weakref
from torch.utils.checkpoint import checkpoint
out = checkpoint(lambda x: x.sin().exp(), torch.ones((), requires_grad=True), use_reentrant=False)
class Mark: pass
out.grad_fn.metadata["mark"] = mark = Mark()
ref = weakref.ref(mark)
del out, mark
print(ref() is None)
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert printed(jtorch, PROGRAMS[name]) == printed(torch, PROGRAMS[name])
