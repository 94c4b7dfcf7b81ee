"""``gradcheck`` and ``gradgradcheck`` decide as torch's, and functions of the user's hear of gradients that are not there."""

from typing import Any

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

START = """
gradcheck, gradgradcheck, Function = torch.autograd.gradcheck, torch.autograd.gradgradcheck, torch.autograd.Function
D=torch.double
def leaf(*s,dtype=D): torch.manual_seed(0); return torch.rand(*s,dtype=dtype).requires_grad_()
def t(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e).split("\\n")[0][:150])
class Bad(Function):
    @staticmethod
    def forward(ctx,x): return x*2
    @staticmethod
    def backward(ctx,g): return torch.ones_like(g)*2
class NoUndef(Function):
    @staticmethod
    def forward(ctx,x): ctx.set_materialize_grads(False); return x*2
    @staticmethod
    def backward(ctx,g): return g*2
class WrongSize(Function):
    @staticmethod
    def forward(ctx,x): return x*2
    @staticmethod
    def backward(ctx,g): return g.sum()*2
cnt=[0]
class NonDet(Function):
    @staticmethod
    def forward(ctx,x): return x*2
    @staticmethod
    def backward(ctx,g): cnt[0]+=1; return g*2+1e-4*(cnt[0]%2)
class WrongFwd(Function):
    @staticmethod
    def forward(ctx,x): return x.clone()
    @staticmethod
    def backward(ctx,g): return g
    @staticmethod
    def jvp(ctx,g): return 2*g
class RightFwd(Function):
    @staticmethod
    def forward(ctx,x): return x*3
    @staticmethod
    def backward(ctx,g): return 3*g
    @staticmethod
    def jvp(ctx,g): return 3*g
class NoTangent(Function):
    @staticmethod
    def forward(ctx,x,y): ctx.set_materialize_grads(False); return x.clone(), y.clone()
    @staticmethod
    def jvp(ctx,g,h): return (g,h) if g is not None and h is not None else (torch.full((1,), 7., dtype=D),)*2
class Noise(Function):
    @staticmethod
    def forward(ctx,x): return x*2
    @staticmethod
    def vjp(ctx,g): return g*2
    @staticmethod
    def jvp(ctx,g): torch.randn_like(g); return g*2
def batched(f): # torch's text without what it says of vmap
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e).split(". ")[0])
"""
CALLS = (
    "gradcheck(torch.sin, leaf(2), check_forward_ad=True)",
    "gradcheck(torch.sin, leaf(2), check_forward_ad=True, check_backward_ad=False)",
    "gradcheck(lambda a,b: a@b, (leaf(2,2),leaf(2,2)), check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)",
    "gradcheck(lambda z: z*z.conj(), leaf(2,dtype=torch.cdouble), check_forward_ad=True)",
    "gradcheck(lambda z: z.abs(), leaf(2,dtype=torch.cdouble), check_forward_ad=True)",
    "gradcheck(lambda z: (z**2, z.imag), leaf(2,dtype=torch.cdouble), check_forward_ad=True)",
    "gradcheck(NoTangent.apply, (leaf(1), leaf(1)), check_forward_ad=True, check_backward_ad=False, check_undefined_grad=False)",
    "gradcheck(NoTangent.apply, (leaf(1), leaf(1)), check_forward_ad=True, check_backward_ad=False)",
    "gradcheck(RightFwd.apply, leaf(2), check_forward_ad=True, check_batched_forward_grad=True, check_batched_grad=True)",
    "batched(lambda: gradcheck(Noise.apply, leaf(2), check_forward_ad=True, check_batched_forward_grad=True))",
    "gradcheck(Bad.apply, leaf(2))",
    "gradcheck(NoUndef.apply, leaf(2))",
    "gradcheck(NoUndef.apply, leaf(2), check_undefined_grad=False)",
    "gradcheck(WrongSize.apply, leaf(2))",
    "gradcheck(NonDet.apply, leaf(2))",
    "gradcheck(NonDet.apply, leaf(2), nondet_tol=1e-3, check_undefined_grad=False)",
    "gradcheck(RightFwd.apply, leaf(2), check_forward_ad=True)",
    "gradcheck(torch.sin, torch.rand(2,dtype=D))",
    "gradcheck(torch.sin, leaf(1,2).expand(2,2))",
    "gradcheck(lambda x: x.detach()*2, leaf(2))",
    "gradcheck(lambda x: torch.zeros(2,dtype=D), leaf(2))",
    "gradcheck(lambda x: x.to_sparse(), leaf(2,2))",
    "gradcheck(lambda x: x*2, leaf(2,dtype=torch.float32))",
    "gradcheck(lambda x: x*2, leaf(2,dtype=torch.float32), eps=1e-2, atol=1e-2)",
    "gradgradcheck(lambda x: x**3, leaf(2))",
    "gradgradcheck(lambda x: x**3, leaf(2), check_fwd_over_rev=True)",
    "gradgradcheck(lambda x: x**3, leaf(2), check_fwd_over_rev=True, check_rev_over_rev=False, check_undefined_grad=False)",
    "gradgradcheck(lambda x: x*3, leaf(2))",
    "gradgradcheck(lambda x,y: x*y, (leaf(2),leaf(2)), check_batched_grad=True)",
    "gradcheck(lambda x: (x*2, (x>0).long()), leaf(2))",
    "gradcheck(lambda x: (x>0.5).long(), leaf(2))",
    "gradcheck(torch.sin, leaf(2), fast_mode=True)",
    "gradcheck(Bad.apply, leaf(2), raise_exception=False)",
    "gradcheck(lambda x: x.sum(), leaf(2,0))",
    "gradcheck(lambda x: x, leaf(()))",
    "gradcheck(lambda x: x.to_dense(), torch.tensor([[0,1.],[2,0]],dtype=D).to_sparse().requires_grad_(), masked=True)",
    "gradcheck(lambda x: x.to_dense(), torch.tensor([[0,1.],[2,0]],dtype=D).to_sparse_csr().requires_grad_(), masked=False)",
    "gradcheck(lambda x: torch.sparse.sum(x), torch.tensor([[0,1.],[2,0]],dtype=D).to_sparse().requires_grad_())",
    "gradcheck(torch.sin, leaf(2), check_backward_ad=False)",
    "gradcheck(torch.nn.functional.relu, leaf(3))",
    "gradcheck(lambda x: x.exp_(), leaf(2))",
    "gradcheck(lambda x: x.clone().exp_(), leaf(2))",
    "gradcheck(torch.linalg.inv, (torch.eye(2,dtype=D)+.1).requires_grad_(), check_forward_ad=True)",
)
UNDEFINED = """
Function = torch.autograd.Function
calls=[]
class A(Function):
    @staticmethod
    def forward(ctx,x,y): return x*2+y
    @staticmethod
    def backward(ctx,g): calls.append("A"); return None, g
class B(Function):
    @staticmethod
    def forward(ctx,x): return x*3
    @staticmethod
    def backward(ctx,g): calls.append(("B", None if g is None else g.tolist())); return g
class C(Function):
    @staticmethod
    def forward(ctx,x): ctx.set_materialize_grads(False); return x*3
    @staticmethod
    def backward(ctx,g): calls.append(("C", None if g is None else g.tolist())); return g
x=torch.ones(2,requires_grad=True); y=torch.ones(2,requires_grad=True)
A.apply(B.apply(x),y).sum().backward(); print(calls,x.grad,y.grad); calls.clear(); x.grad=y.grad=None
A.apply(C.apply(x),y).sum().backward(); print(calls,x.grad,y.grad); calls.clear(); x.grad=y.grad=None
A.apply(B.apply(x).sin(),y).sum().backward(); print(calls,x.grad,y.grad); calls.clear(); x.grad=y.grad=None
A.apply(B.apply(x.sin()),y).sum().backward(); print(calls,x.grad,y.grad); calls.clear(); x.grad=y.grad=None
print(torch.autograd.grad(A.apply(B.apply(x),y).sum(), [x,y], allow_unused=True), calls); calls.clear()
print(torch.autograd.grad(A.apply(B.apply(x),y).sum(), [y]), calls); calls.clear()
b=B.apply(x); b.register_hook(lambda g: calls.append("hook")); b.grad_fn.register_hook(lambda i,o: calls.append((i,o))); b.grad_fn.register_prehook(lambda o: calls.append(o))
A.apply(b,y).sum().backward(); print(calls,x.grad)
"""


@pytest.mark.parametrize("call", CALLS)
def test_gradcheck(call: str) -> None:
    program = f"{START}\nt(lambda: {call})"
    assert printed(jtorch, program) == printed(torch, program)


def test_gradients_that_are_not_there() -> None:
    assert printed(jtorch, UNDEFINED) == printed(torch, UNDEFINED)


HOOKS = """
log=[]
a=torch.tensor(1.0,requires_grad=True)
b=a.clone()
acc=b.grad_fn.next_functions[0][0]
a.register_hook(lambda g: (log.append(1), g*3)[1])
acc.register_prehook(lambda g: (log.append(2), (g[0]*2,))[1])
acc.register_hook(lambda i,o: log.append(3))
print(torch.autograd.grad(b.sum(),(a,),retain_graph=True), log)
log.clear()
b.sum().backward(retain_graph=True)
print(a.grad, log)
log.clear()
a.grad=None
b.sum().backward(inputs=(a,))
print(a.grad, log)
"""


def test_hooks_of_a_leafs_node_run_where_it_runs() -> None:
    assert printed(jtorch, HOOKS) == printed(torch, HOOKS)


def test_numerical_jacobians() -> None:
    """What PyTorch's own tests of modules take from there."""

    def found(library: Any) -> list[Any]:
        check = __import__(f"{library.__name__}.autograd.gradcheck", fromlist=["x"])
        w = library.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=library.float64, requires_grad=True)
        x = library.tensor([0.5, 0.25], dtype=library.float64, requires_grad=True)
        fn = lambda x: ((w @ x) ** 2, x.sum())
        jacobians = [check._get_numerical_jacobian(fn, (x,), eps=1e-6), check._get_numerical_jacobian(fn, (x,), target=w, eps=1e-6)]
        return [[[j.shape, [round(v, 4) for v in j.flatten().tolist()]] for j in row] for rows in jacobians for row in rows] + [len(list(check._iter_tensors([x, [w, 3]])))]

    assert found(jtorch) == found(torch)
