"""Results that have no derivative, tensors of inference mode that would be saved, pieces in memory of their own, Functions with a ``jvp``: printed the same under torch and jtorch."""

from __future__ import annotations

import pytest
import torch
import torch.autograd.forward_ad

import jtorch
from compat.core.test_snippets import printed

_HEAD = """
F, Function, gradcheck, fwAD = torch.nn.functional, torch.autograd.Function, torch.autograd.gradcheck, torch.autograd.forward_ad
def attempt(f):
    try: print(str(f()))
    except Exception as e: print(type(e).__name__, str(e).partition("\\nThe value")[0])
"""
CASES = {
    "nodes": """
def nodes(f):
    r = f(torch.tensor([3., 1., 1., 2.], requires_grad=True))
    return [(a.requires_grad, a.grad_fn.name() if a.grad_fn is not None else None) for a in (r if isinstance(r, tuple) else (r,))]
for f in (lambda t: t.unique(), lambda t: t.unique(return_inverse=True, return_counts=True), lambda t: torch.unique(t, dim=0), lambda t: torch.unique_consecutive(t), lambda t: t.mode(), lambda t: t.histc(3), lambda t: t // 2,
          lambda t: torch.bincount(torch.tensor([0, 1, 1, 2]), t), lambda t: torch.heaviside(t, t), lambda t: tuple(torch.histogram(t, 3)), lambda t: torch.geqrf(torch.diag(t)), lambda t: tuple(torch.linalg.ldl_factor(torch.diag(t)))):
    print(nodes(f))
one = lambda: torch.ones(2, requires_grad=True)
for f in (lambda: one().unique().sum().backward(), lambda: torch.unique(one(), dim=0).sum().backward(), lambda: one().histc(3).sum().backward(), lambda: torch.bincount(torch.tensor([0, 1]), one()).sum().backward(),
          lambda: torch.heaviside(one(), torch.ones(2)).sum().backward(), lambda: torch.geqrf(torch.eye(2, requires_grad=True))[0].sum().backward()): attempt(f)
""",
    "inference tensors": """
with torch.inference_mode(): t = torch.ones(3); s = torch.ones(3, 3)
w = torch.ones(3, requires_grad=True)
class Fn(Function):
    @staticmethod
    def forward(ctx, a, b): ctx.save_for_backward(a, b); return a * b
    @staticmethod
    def backward(ctx, g): a, b = ctx.saved_tensors; return g * b, None
for f in (lambda: w * t, lambda: t * w, lambda: (w + t).requires_grad, lambda: F.linear(s, torch.ones(3, 3, requires_grad=True)), lambda: Fn.apply(w, t), lambda: w.clone().mul_(t), lambda: torch.addcmul(w, t, t), lambda: w.clone().mul_(2) * t.clone(),
          lambda: torch.where(t > 0, w, t).requires_grad, lambda: t * 2, lambda: t.exp(), lambda: torch.zeros(3).copy_(t)): attempt(f)
""",
    "pieces of their own": """
x = torch.arange(6.).requires_grad_()
for f in (lambda: (x * 1).unsafe_split(4), lambda: (x * 1).unsafe_chunk(4), lambda: torch.unsafe_split_with_sizes(x * 1, [2, 4]), lambda: (x * 1).unsafe_split(2, 0)):
    print([(t.shape, t.grad_fn.name(), t._is_view()) for t in f()])
y = x * 1; a, b = y.unsafe_split(3); a.mul_(2); (a + b).sum().backward(); print(a, b, y._version, x.grad)
attempt(lambda: x.unsafe_chunk(0)); attempt(lambda: x.unsafe_split([1, 5])); attempt(lambda: x.unsafe_split_with_sizes([1, 2])); attempt(lambda: (x * 1).split(3)[0].mul_(2))
""",
    "jvp of Functions": """
class Sq(Function):
    @staticmethod
    def forward(ctx, x): ctx.save_for_backward(x); ctx.save_for_forward(x); return x * x
    @staticmethod
    def backward(ctx, g): x, = ctx.saved_tensors; return g * 2 * x
    @staticmethod
    def jvp(ctx, t): x, = ctx.saved_tensors; return t * 2 * x
class Wrong(Sq):
    @staticmethod
    def jvp(ctx, t): x, = ctx.saved_tensors; return t * 3 * x
class No(Function):
    @staticmethod
    def forward(ctx, x): return x * 2
    @staticmethod
    def backward(ctx, g): return g * 2
class Two(Function):
    @staticmethod
    def forward(ctx, x, y): ctx.save_for_forward(x, y); return x * y, x + y
    @staticmethod
    def jvp(ctx, s, t): x, y = ctx.saved_tensors; return s * y + x * t, s + t
class Apart(Function):
    @staticmethod
    def forward(x): return x ** 3
    @staticmethod
    def setup_context(ctx, inputs, output): ctx.save_for_forward(inputs[0])
    @staticmethod
    def jvp(ctx, t): x, = ctx.saved_tensors; return 3 * x * x * t
def forward(fn):
    with fwAD.dual_level():
        return fwAD.unpack_dual(fn(fwAD.make_dual(torch.tensor([2., 3.]), torch.tensor([1., 10.]))))
def two():
    with fwAD.dual_level():
        return [fwAD.unpack_dual(o) for o in Two.apply(fwAD.make_dual(torch.tensor([2., 3.]), torch.tensor([1., 10.])), fwAD.make_dual(torch.ones(2), torch.ones(2)))]
d = torch.tensor([.3, .6], dtype=torch.double, requires_grad=True)
for f in (lambda: gradcheck(Sq.apply, d, check_forward_ad=True), lambda: gradcheck(Wrong.apply, d, check_forward_ad=True, raise_exception=False), lambda: gradcheck(No.apply, d, check_forward_ad=True), lambda: forward(Sq.apply),
          lambda: forward(Wrong.apply), lambda: forward(lambda x: Sq.apply(x.sin()).exp()), lambda: forward(No.apply), two, lambda: forward(Apart.apply), lambda: torch.func.jvp(Apart.apply, (torch.tensor(2.),), (torch.tensor(1.),))): attempt(f)
""",
    "nan in factors": """
nan = float("nan")
for f in (lambda: torch.linalg.cholesky(torch.tensor([[4., nan], [1., 3.]])), lambda: torch.linalg.cholesky(torch.tensor([[4., 1.], [nan, 3.]])), lambda: torch.linalg.cholesky(torch.tensor([[4., 1.], [nan, 3.]]), upper=True),
          lambda: torch.linalg.cholesky(torch.tensor([[[4., 1.], [1, 3.]], [[nan, 1.], [1, 3.]]]))): attempt(f)
x = torch.tensor([[4., 1.], [nan, 3.]], requires_grad=True); torch.linalg.cholesky(x, upper=True).sum().backward(); print(x.grad)
def number(f):
    try: print(f())
    except RuntimeError as e: print(type(e).__name__, str(e)[str(e).index("torch.linalg.lstsq"):].partition("\\nThe value")[0])
e, bad = torch.eye(3), torch.eye(3) * torch.tensor([1., nan, 1.])
for driver in ("gels", "gelsy", "gelsd", "gelss"):
    number(lambda: torch.linalg.lstsq(torch.stack([e, bad]), torch.ones(2, 3, 1), driver=driver).solution); number(lambda: torch.linalg.lstsq(e, torch.full((3, 1), nan), driver=driver).solution)
""",
    "special functions": """
x, z = torch.tensor([.5, .7], requires_grad=True), torch.tensor([.2, 2.], requires_grad=True)
for n in ("airy_ai", "bessel_j0", "modified_bessel_k1", "spherical_bessel_j0"): print(n, getattr(torch.special, n)(x).requires_grad)
print(torch.special.hermite_polynomial_h(x, 2).requires_grad, torch.special.legendre_polynomial_p(1., z).requires_grad)
for f in (lambda: torch.igamma(x, z), lambda: torch.special.gammaincc(x, z), lambda: torch.special.zeta(x + 1, z), lambda: torch.binomial(x + 2, z.detach().clamp(max=1)), lambda: torch.histogramdd(torch.rand(3, 2, requires_grad=True), [3, 3])[0]):
    attempt(lambda: f().sum().backward())
for f in (torch.sum, torch.prod, torch.trace):
    try: f(torch.eye(2), out=torch.empty(()))
    except TypeError: print("TypeError")
""",
    "Functions in forward mode": """
class F1(Function):
    @staticmethod
    def forward(ctx, x, y): out = y.clone(); ctx.mark_non_differentiable(out); return x.clone(), out, x
    @staticmethod
    def jvp(ctx, x, y): return (x * 2, None, x.view_as(x)) if ctx.good else (x * 2, x.clone(), x)
class Good(F1):
    @staticmethod
    def jvp(ctx, x, y): return x * 2, None, x.view_as(x)
class Wrong(F1):
    @staticmethod
    def jvp(ctx, x, y): return x * 2, x.clone(), x.view_as(x)
class NoView(F1):
    @staticmethod
    def jvp(ctx, x, y): return x * 2, None, x * 1
class Twice(Function):
    @staticmethod
    def forward(ctx, x): ctx.mark_dirty(x); return x.mul_(2)
    @staticmethod
    def jvp(ctx, x): return x.mul_(2)
class Once(Twice):
    @staticmethod
    def jvp(ctx, x): return x
class Both(Function):
    @staticmethod
    def forward(ctx, x): return x * 1
    @staticmethod
    def backward(ctx, g): return g
    @staticmethod
    def vjp(ctx, g): return g
attempt(lambda: Both.apply(torch.ones(1, requires_grad=True)).backward())
with fwAD.dual_level():
    t = torch.tensor(3.); x = fwAD.make_dual(torch.tensor(2.), t); print(fwAD.unpack_dual(x).tangent is t)
    a, b, c = Good.apply(x, torch.tensor(3.)); print(fwAD.unpack_dual(a * c).tangent, fwAD.unpack_dual(b).tangent, fwAD.unpack_dual(c).tangent._base is t)
    for f in (lambda: Wrong.apply(x, torch.tensor(3.)), lambda: NoView.apply(x, torch.tensor(3.)), lambda: Once.apply(x)): attempt(f)
    y = fwAD.make_dual(torch.tensor(2.), t); z = Twice.apply(y); print(z is y, fwAD.unpack_dual(z).tangent is t, t)
""",
    "what is said": """
import warnings, numpy as np
def said(f):
    with warnings.catch_warnings(record=True) as ws:
        warnings.simplefilter("always")
        f(); f()
    print([(w.category.__name__, str(w.message).partition(" (Triggered")[0]) for w in ws][:1])
torch.set_warn_always(True)  # and sizes that no other test has: an operator speaks when it sees a shape for the first time
u = torch.ones(37, dtype=torch.uint8); m = torch.eye(3); y = torch.ones(37)
m = torch.stack([torch.eye(3)] * 37)
for f in (lambda: torch.where(u, 1, 2), lambda: y[u], lambda: y.index_put_((u,), torch.ones(37)), lambda: torch.meshgrid(y, y), lambda: torch.qr(m), lambda: torch.lu(m), lambda: torch.cholesky(m), lambda: torch.triangular_solve(m, m),
          lambda: torch.chain_matmul(m[0], m[0]), lambda: torch.lu_solve(m, *torch.linalg.lu_factor(m)), lambda: torch.cross(m, m), lambda: torch.frombuffer(b"abcd", dtype=torch.uint8),
          lambda: torch.autograd.backward(torch.ones((), requires_grad=True), grad_variables=torch.ones(())), lambda: torch.ones((), requires_grad=True).backward(create_graph=True)): said(f)
torch.set_warn_always(False)
z = torch.tensor(1, dtype=torch.uint8); k = torch.zeros(2); k[z] = 5; print(k); k[z * 0] = 7; print(k)
for f in (lambda: torch.zeros(()).index_put([], torch.tensor([1.]), True), lambda: torch.zeros(2).index_put_([], torch.tensor([1.]))): attempt(f)
""",
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_prints_what_torch_prints(name: str) -> None:
    program = _HEAD + CASES[name]
    assert printed(jtorch, program) == printed(torch, program)
