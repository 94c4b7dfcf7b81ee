"""Handles of what nodes saved, hooks where nothing flows, dual tensors' layouts and text, and ``gradcheck`` of functions that change: the same in ``r`` under both libraries, or
the same exception."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_what_torch_takes import executed, outcome

FUNCTION = """
class F(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * 2; ctx.save_for_backward(x, None, y); return y
    @staticmethod
    def backward(ctx, g):
        x, _, y = ctx.saved_tensors
        return g * x + y
a = torch.ones(3, requires_grad=True); y = F.apply(a); s = y.grad_fn._raw_saved_tensors
"""
MUTATION = """
g = torch.autograd.graph; a0 = torch.ones(2, requires_grad=True)
def sizes(f):
    with g.allow_mutation_on_saved_tensors() as ctx:
        return f(ctx, a0.clone())
"""
NOTHING = """
class N(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x * 1
    @staticmethod
    def backward(ctx, g): return None
heard = []; x = torch.ones(2, requires_grad=True)
"""
DUAL = """
from importlib import import_module
fw = import_module(torch.__name__ + '.autograd.forward_ad'); t = torch.arange(4.).reshape(2, 2)
def laid(primal, tangent):
    with fw.dual_level():
        found = fw.unpack_dual(fw.make_dual(primal, tangent)).tangent
        return found is tangent, found.stride(), found.storage_offset(), found.tolist()
"""
CHECK = """
from importlib import import_module
ad = import_module(torch.__name__ + '.autograd'); one = torch.ones(1, dtype=torch.double, requires_grad=True)
x = torch.tensor([0.3, -1.2, 2.0], dtype=torch.double, requires_grad=True)
class W(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a): return a * 2
    @staticmethod
    def backward(ctx, g): return g * 2.1
"""

PROGRAMS = {
    "an operator's": "w = torch.ones(2, requires_grad=True); b = w * 2 * w; h = b.grad_fn._raw_saved_self\nh.register_hooks(lambda t: t + 1, lambda t: t * 10); b.sum().backward(); r = w.grad.tolist()",
    "a function's": FUNCTION + "s[0].register_hooks(lambda t: t * 2, lambda t: t + 1); s[2].register_hooks(lambda t: t, lambda t: t * 3); y.sum().backward(); r = len(s), a.grad.tolist()",
    "of None": FUNCTION + "s[1].register_hooks(lambda t: t, lambda t: t)",
    "twice": FUNCTION + "s[0].register_hooks(lambda t: t, lambda t: t); s[0].register_hooks(lambda t: t, lambda t: t)",
    "one hook": FUNCTION + "s[0].register_hooks(lambda t: t)",
    "freed": FUNCTION + "y.sum().backward(); y.grad_fn._raw_saved_tensors",
    "made": "torch.autograd.SavedTensor()",
    "switched off": "C = torch._C._autograd; r = [C._saved_tensors_hooks_is_enabled()]\nwith torch.autograd.graph.disable_saved_tensors_hooks('no'): r.append(C._saved_tensors_hooks_is_enabled())",
    "cloned once": MUTATION + "def f(ctx, a):\n    b, c = a ** 2, a ** 2; a.sin_(); n = len(ctx.cloned); del b, c; return n, len(ctx.cloned)\nr = sizes(f)",
    "versions": MUTATION + "def f(ctx, a):\n    b = a ** 2; a.sin_(); c = a ** 2; a.sin_(); n = [len(ctx.cloned)]; del b; n.append(len(ctx.cloned)); del c; return n + [len(ctx.cloned)]\nr = sizes(f)",
    "looked at twice": "from importlib import import_module\nck = import_module(torch.__name__ + '.utils.checkpoint'); n = []\n"
    "def f(a): n.append(0); return torch.exp(a * a)\nv = torch.ones(3, requires_grad=True); d = ck.checkpoint(f, v, use_reentrant=False)\n"
    "r = [len(n)]\nfor _ in range(2): d.grad_fn._saved_result; r.append(len(n))\nd.sum().backward(); r.append(len(n)); r.append(v.grad.tolist())",
    "a hook without gradient": NOTHING + "y = x.clone(); y.register_hook(heard.append); x.register_hook(heard.append); N.apply(y).sum().backward(); r = heard, x.grad",
    "a hook that gives one": NOTHING + "y = x.clone(); y.register_hook(lambda g: torch.ones(2) if g is None else g); N.apply(y).sum().backward(); r = x.grad.tolist()",
    **{f"after accumulation: {what}": f"x = torch.ones(2, requires_grad=True); x.register_post_accumulate_grad_hook(lambda p: {what}); x.sum().backward(); r = x.grad.tolist()" for what in ("p", "1", "p.grad * 2", "None")},
    "laid out": DUAL + "r = [laid(torch.zeros(2, 2), v) for v in (t, t.t(), t[:1].expand(2, 2), torch.arange(8.)[4:].reshape(2, 2))], laid(torch.zeros(2, 2).t(), t.t())[:2]",
    "conjugated": DUAL + "z = torch.ones(2, dtype=torch.cdouble)\nr = [laid(a, b)[0] for a in (z, z.conj()) for b in (z + 1, (z + 1).conj())]",
    "text": DUAL + "with fw.dual_level():\n    d = fw.make_dual(t, t + 1); r = str(d), str(d.sum()), str(fw.unpack_dual(d).primal)",
    "out of inference mode": "with torch.inference_mode(): c = torch.ones(2)\ntorch.mul(torch.ones(2), torch.ones(2), out=c)",
    "within inference mode": "with torch.inference_mode():\n    c = torch.ones(2); torch.mul(c, torch.tensor([2., 3.]), out=c); r = c.tolist()",
    "tangent of a tangent": DUAL + "with fw.dual_level(): fw.make_dual(t, fw.make_dual(t, t))",
    "dual of a dual": DUAL + "with fw.dual_level(): fw.make_dual(fw.make_dual(t, t), t)",
    "other shapes": CHECK + "ad.gradcheck(lambda a: torch.cat([a, a]) if torch.all(a >= 1) else a, (one,), fast_mode=True)",
    "other shapes, slow": CHECK + "ad.gradcheck(lambda a: torch.cat([a, a]) if torch.all(a >= 1) else a, (one,))",
    "right": CHECK + "r = ad.gradcheck(lambda a: a.sin() * a, (x,), fast_mode=True, check_forward_ad=True), ad.gradgradcheck(lambda a: a.sin() * a, (x,), fast_mode=True)",
    "of numbers": CHECK + "n = x.detach()[0].clone().requires_grad_(); r = [ad.gradcheck(f, (v,), fast_mode=True, check_forward_ad=True) for f, v in ((torch.sum, x), (torch.sin, n), (lambda t: t.expand(2) * x.detach()[:2], n), (torch.sum, x[:0]))]",
    "wrong": CHECK + "r = ad.gradcheck(W.apply, (x,), fast_mode=True, raise_exception=False)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_do_the_same(name: str) -> None:
    """Values, or the exception and its words."""
    assert outcome(jtorch, executed(PROGRAMS[name])) == outcome(torch, executed(PROGRAMS[name]))


MADE = ["zeros_like", "ones_like", "empty_like", "new_zeros", "new_ones", "new_empty", "new_full", "full_like", "new_empty_strided"]
ARGUMENTS = {"new_full": "((2,), 3.)", "full_like": "(t, 3.)", "new_empty_strided": "((2,), (1,))"}


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_like_a_lane_may_be_written(name: str) -> None:
    """Inside vmap, one level and two."""
    call = f"t.{name}{ARGUMENTS.get(name, '((2,))')}" if name.startswith("new") else f"torch.{name}{ARGUMENTS.get(name, '(t)')}"
    program = f"def f(t):\n    z = {call}; z.copy_(t); return z\nb = torch.arange(12.).reshape(3, 2, 2)\nr = torch.vmap(f)(b[0]).tolist(), torch.vmap(torch.vmap(f))(b).tolist()"
    assert outcome(jtorch, executed(program)) == outcome(torch, executed(program))
