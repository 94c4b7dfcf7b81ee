"""What surrounds a backward pass: callbacks at its end, passes within passes, what nodes saved, the second run of a checkpoint, tensors of inference mode, and
batches of none. Each program leaves the same in ``r`` under both libraries, or raises the same."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_what_torch_takes import executed, outcome

CALLS = """
log = []
class Q(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x * 1
    @staticmethod
    def backward(ctx, g):
        def second(): log.append('second')
        def first():
            log.append(('first', leaf.grad.tolist())); queue(second)
        queue(first); log.append('backward'); return g
queue = torch.autograd.Variable._execution_engine.queue_callback
leaf = torch.ones(2, requires_grad=True)
"""

WITHIN = """
class R(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, n): ctx.n = n; return x * 1
    @staticmethod
    def backward(ctx, g):
        if ctx.n:
            with torch.enable_grad(): R.apply(torch.ones(1, requires_grad=True), ctx.n - 1).sum().backward()
        return g, None
"""

CHECKPOINT = """
from importlib import import_module
ck = import_module(torch.__name__ + '.utils.checkpoint')
torch.manual_seed(0); n = []; v = torch.randn(4, 2, requires_grad=True)
bn, lin = torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2)
def run(f, **kw):
    ck.checkpoint(f, v, use_reentrant=False, **kw).mul(v.detach() ** 2).sum().backward()
    return [round(g, 4) + 0.0 for g in v.grad.flatten().tolist()]
"""

DEFAULTS = """
class A(torch.autograd.Function):
    @staticmethod
    def forward(x, y=2, z=5): return x * y * z
    @staticmethod
    def setup_context(ctx, inputs, output): ctx.inputs = inputs[1:]; ctx.shape = output.shape
    @staticmethod
    def backward(ctx, g): return g * ctx.inputs[0] * ctx.inputs[1], None, None
x = torch.ones(2, requires_grad=True)
"""

SAVED = "x = torch.tensor([1., 2.], requires_grad=True); m = torch.ones(2, 2, requires_grad=True)\n"
INFERENCE = "with torch.inference_mode():\n    a = torch.ones(2); i = torch.tensor([1.]); b = a + 1; lin = torch.nn.Linear(2, 2)\n"

PROGRAMS = {
    "callbacks": CALLS + "Q.apply(leaf * 2).sum().backward(); r = log",
    "callbacks of grad": CALLS + "leaf.grad = torch.zeros(2); torch.autograd.grad(Q.apply(leaf * 2).sum(), leaf); r = log",
    "a callback outside": CALLS + "queue(print)",
    "a pass within": WITHIN + "v = torch.ones(1, requires_grad=True); R.apply(v, 2).sum().backward(); r = v.grad.tolist()",
    "passes within passes": WITHIN + "v = torch.ones(1, requires_grad=True); R.apply(v, 150).sum().backward(); r = v.grad.tolist()",
    "stops early": CHECKPOINT + "def f(x): y = x.sin().exp(); n.append(1); return y\nr = run(f), n",
    "stops early, not at the last": CHECKPOINT + "def f(x): y = x.sin(); n.append(1); y = y.exp(); n.append(2); y = y + 1; n.append(3); return y\nr = run(f), n",
    "stops early, linear last": CHECKPOINT + "r = run(lambda x: lin(bn(x))), bn.num_batches_tracked.item()",
    "stops early, norm last": CHECKPOINT + "r = run(lambda x: bn(lin(x))), bn.num_batches_tracked.item()",
    "does not stop": CHECKPOINT + "def f(x): y = x.sin().exp(); n.append(1); return y\nr = run(f, early_stop=False), n",
    "does not stop, set": CHECKPOINT + "def f(x): y = x.sin().exp(); n.append(1); return y\nwith ck.set_checkpoint_early_stop(False): r = run(f), n",
    "hooks run once": CHECKPOINT + "s = torch.nn.Sequential(lin, torch.nn.ReLU()); s.register_forward_hook(lambda *a: n.append(1)); r = run(s), n",
    "a checkpoint within": CHECKPOINT + "def f(x): return ck.checkpoint(lambda y: (n.append(1), y.sin().exp())[1], x.cos(), use_reentrant=False).sin()\nr = run(f)",
    "another second run": CHECKPOINT + "def f(x): n.append(1); return x.sin().exp() if len(n) == 1 else x.sin()\nrun(f)",
    "re-entrant under grad": CHECKPOINT + "torch.autograd.grad(ck.checkpoint(torch.sin, v, use_reentrant=True).sum(), v)",
    "re-entrant with inputs": CHECKPOINT + "ck.checkpoint(torch.sin, v, use_reentrant=True).sum().backward(inputs=[v])",
    "re-entrant within itself": CHECKPOINT + "ck.checkpoint(lambda a: ck.checkpoint(torch.sin, a * 2, use_reentrant=True).exp(), v * 0, use_reentrant=True).sum().backward(); r = v.grad.tolist()",
    "defaults with setup_context": DEFAULTS + "A.apply(x).sum().backward(); r = x.grad.tolist()",
    "one default given": DEFAULTS + "A.apply(x, 3).sum().backward(); r = x.grad.tolist()",
    "given by name": DEFAULTS + "A.apply(x, z=3).sum().backward(); r = x.grad.tolist()",
    "saved factors": SAVED + "g = (x * torch.tensor([3., 4.])).grad_fn; r = g._saved_self, g._saved_other",
    "saved result": SAVED + "r = x.relu().grad_fn._saved_result, x.exp().grad_fn._saved_result",
    "saved sizes": SAVED + "r = x.sum(0).grad_fn._saved_self_sym_sizes, x.view(2, 1).grad_fn._saved_self_sym_sizes, x.sum(0).grad_fn._saved_dim",
    "saved matrix": SAVED + "g = (m @ torch.ones(2, 2)).grad_fn; r = g._saved_mat2",
    "saved indices": SAVED + "r = x.max(0)[0].grad_fn._saved_indices",
    "saved and freed": SAVED + "y = x * x; z = y.sum(); z.backward(); y.grad_fn._saved_self",
    "the kind that keeps it": SAVED + "r = type((x * x).grad_fn._raw_saved_self).__name__",
    "a node is a function": "x = torch.ones(3, requires_grad=True); y = x * 2; r = [y.grad_fn(torch.arange(3.)), y.grad_fn(torch.ones(3))]",
    "of two outputs": "x = torch.rand(2, 3, requires_grad=True); r = [x.max(1)[0].grad_fn(torch.ones(2)).shape, torch.frexp(x)[0].grad_fn(torch.ones(2, 3)).shape]; x.max(1)[0].grad_fn(torch.ones(2), None)",
    "a leaf's": "x = torch.ones(3, requires_grad=True); r = [(x * 2).grad_fn.next_functions[0][0](torch.ones(3)), x.grad]",
    "of too many": "x = torch.ones(3, requires_grad=True); (x * 2).grad_fn(torch.ones(3), None)",
    "of no tensor": "x = torch.ones(3, requires_grad=True); (x * 2).grad_fn(1.0)",
    "a linear's graph": "w = torch.nn.Linear(2, 3); f = lambda n: (n.name(), [f(e) if e is not None else None for e, _ in n.next_functions]); k = w(torch.ones(2)).grad_fn; "
    "r = [f(w(x.requires_grad_(g)).grad_fn) for x in (torch.ones(2, 2), torch.ones(4, 2, 2)) for g in (False, True)], f(k), k.next_functions[0] == k.next_functions[0]",
    "a dict of inputs": "x = torch.ones(2, requires_grad=True); y = torch.ones(2, requires_grad=True); r = torch.autograd.grad((x * y * 2).sum(), {'x': x, 3: y})",
    "another mapping of inputs": "import collections; x = torch.ones(2, requires_grad=True); torch.autograd.grad(x.sum(), collections.OrderedDict(x=x))",
    "no dict of inputs": "torch.autograd.grad(torch.ones(2, requires_grad=True).sum(), {})",
    "hooks given as a table": "from collections import OrderedDict; n = []; y = torch.ones(2, requires_grad=True); y._backward_hooks = OrderedDict(t=lambda g: n.append(1)); (y * 2).sum().backward()\n"
    "a = torch.ones(2); a._backward_hooks = OrderedDict(); a._backward_hooks['t'] = 3; y._backward_hooks = None; (y * 2).sum().backward(); r = n, list(a._backward_hooks), y._backward_hooks",
    "a dense gradient upon a sparse one": "p = torch.ones(2, requires_grad=True); s = torch.sparse_coo_tensor(torch.tensor([[1, 1]]), torch.tensor([1., 1.]), check_invariants=False); p.grad = s\n"
    "p.backward(torch.tensor([1.5, 1.5])); r = p.grad is s, p.grad, s.is_sparse, s.to_dense()",
    "what was saved, under its old name": "import warnings\nclass S(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x): ctx.save_for_backward(x); return x * 1\n    @staticmethod\n    def backward(ctx, g): return g * ctx.saved_variables[0]\n"
    "x = torch.full((2,), 3., requires_grad=True)\nwith warnings.catch_warnings(record=True) as w:\n    warnings.simplefilter('always'); S.apply(x).sum().backward()\nr = x.grad, [(i.category.__name__, str(i.message)) for i in w]",
    "nothing of that name": SAVED + "(x * x).grad_fn._saved_nothing",
    "made in inference mode": INFERENCE + "r = [t.is_inference() for t in (a, i, b, a + 1, a.view(2, 1), a.clone(), a.detach(), lin.weight)]",
    "views inside": "b = torch.ones(2)\nwith torch.inference_mode(): r = [t.is_inference() for t in (b.view(2), b * 2, b.detach(), torch.zeros_like(b), torch.arange(2), torch.full((1,), 2.))]",
    "views of one that requires grad": "with torch.inference_mode():\n    c = torch.ones(1, 2, requires_grad=True); v = c.view(-1); u = c.unbind(0)[0]; u.mul_(3)\n"
    "r = [(t.is_inference(), t.requires_grad, t._is_view(), t.is_leaf) for t in (v, u, c[0], c.t(), c.chunk(2, 1)[0])], c.detach(), v",
    "a view written outside": INFERENCE + "a.view(2, 1).add_(1)",
    "written outside": INFERENCE + "a.add_(1)",
    "version": INFERENCE + "a._version",
    "made a leaf outside": INFERENCE + "a.requires_grad_()",
}
EMPTY = {
    "attention": "a = torch.nn.MultiheadAttention(8, 2, batch_first=True); r = [o.shape for o in a(e, e, e)]; a(e, e, e)[0].sum().backward(); r.append(a.in_proj_weight.grad.abs().sum().item())",
    "attention without weights": "a = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval(); r = a(e, e, e, need_weights=False)[0].shape",
    "a mask of keys": "a = torch.nn.MultiheadAttention(8, 2, batch_first=True); o = torch.ones(2, 3, 8); m = torch.zeros(2, 3, dtype=torch.bool); r = [a(q, q, q, key_padding_mask=k, need_weights=False)[0].shape for q, k in ((o, m),)]",
    "encoder layer": "l = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True); r = l(e).shape, l.eval()(e).shape",
    "decoder layer": "r = torch.nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)(e, e).shape",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert outcome(jtorch, executed(PROGRAMS[name])) == outcome(torch, executed(PROGRAMS[name]))


@pytest.mark.parametrize("name", EMPTY)
def test_a_batch_of_none(name: str) -> None:
    text = "e = torch.ones(0, 3, 8)\n" + EMPTY[name]
    assert outcome(jtorch, executed(text)) == outcome(torch, executed(text))
