"""``x.data``: the memory of ``x`` with a version counter of its own. What backward reads is what the memory holds then, whoever wrote it without being counted:
``.data``, numpy. Each program prints the same under both."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

BEGIN = """
import re
import numpy as np
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, re.sub('0x[0-9a-f]+', '', str(e)))
"""

PROGRAMS: dict[str, str] = {
    "what backward reads": """
w=torch.ones(2,requires_grad=True); l=(w**2).sum(); w.data.mul_(3); run(lambda: (l.backward(),w.grad)[1]); print(w._version,w.data._version)
w=torch.ones(2,requires_grad=True); l=(w**2).sum(); w.data=w.data*3; run(lambda: (l.backward(),w.grad)[1]); print(w,w._version)
w=torch.ones(2,requires_grad=True); l=(w**2).sum(); w.data.numpy()[:]=3; run(lambda: (l.backward(),w.grad)[1]); print(w,w._version)
w=torch.ones(2,requires_grad=True); l=(w**2).sum(); w.detach().numpy()[:]=3; run(lambda: (l.backward(),w.grad)[1]); print(w,w._version)
x=torch.ones(2); w=torch.ones(2,requires_grad=True); y=(w*x).sum(); x.data[...]=5; run(lambda: (y.backward(),w.grad)[1]); print(x._version)
x=torch.ones(2); w=torch.ones(2,requires_grad=True); y=(w*x).sum(); x[...]=5; run(lambda: (y.backward(),w.grad)[1]); print(x._version)
a=np.ones(2,np.float32); x=torch.from_numpy(a); w=torch.ones(2,requires_grad=True); y=(w*x).sum(); a[:]=7; run(lambda: (y.backward(),w.grad)[1]); print(x._version)
a=np.ones(2,np.float32); x=torch.from_numpy(a); w=torch.ones(2,requires_grad=True); y=(w*x).sum(); a[:]=7; del a; z=x.sum(); run(lambda: (y.backward(),w.grad)[1]); print(z)
a=np.ones(4,np.float32); x=torch.from_numpy(a); v=x[1:3]; w=torch.ones(2,requires_grad=True); y=(w*v).sum(); a[:]=np.arange(4); run(lambda: (y.backward(),w.grad)[1])
""",
    "what DLPack shares": """
w=torch.ones(3,requires_grad=True); x=torch.arange(3.); n=np.from_dlpack(x); d=torch.from_dlpack(x); l=(w*x).sum(); d[0]=9; run(lambda: (l.backward(),w.grad)[1]); print(x,n,x._version,d._version)
w=torch.ones(3,requires_grad=True); x=torch.from_dlpack(np.arange(3.).astype('f')); l=(w*x).sum(); x.numpy()[0]=5; run(lambda: (l.backward(),w.grad)[1])
w=torch.ones(3,requires_grad=True); l=(w**2).sum(); torch.from_dlpack(w.detach())[:]=4; run(lambda: (l.backward(),w.grad)[1]); print(w)
w=torch.ones(3,requires_grad=True); y=w.exp(); torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(y.detach()))[0]=0; run(lambda: (y.sum().backward(),w.grad)[1])
w=torch.ones(3,requires_grad=True); y=w*2; z=(y*y).sum(); torch.from_dlpack(y.detach()).zero_(); run(lambda: (z.backward(),w.grad)[1]); print(y)
""",
    "counters of their own": """
d=torch.ones(2); d1=d.data; d1.add_(1); print(d,d._version,d1._version,d1.data._version); d.add_(1); print(d1,d._version,d1._version); d2=d.data; d2.mul_(2); print(d2._version,d1._version,d._version,d1)
w=torch.ones(2,requires_grad=True); p=torch.ones(2); y=(w*p.data).sum(); p.mul_(4); run(lambda: (y.backward(),w.grad)[1])
w=torch.ones(2,requires_grad=True); p=torch.ones(2); q=p.data; y=(w*q).sum(); q.mul_(4); run(lambda: (y.backward(),w.grad)[1])
w=torch.ones(2,requires_grad=True); y=w.exp(); y.data.mul_(2); run(lambda: (y.sum().backward(),w.grad)[1])
w=torch.ones(4,requires_grad=True); y=w*2; v=y[1:3]; l=(v*v).sum(); y.data.zero_(); run(lambda: (l.backward(),w.grad)[1])
w=torch.ones(4,requires_grad=True); y=w*2; v=y[1:3]; l=(v*v).sum(); v.data[0]=10.; print(y,v,v._version); run(lambda: (l.backward(),w.grad)[1])
""",
    "data that is given": """
w=torch.ones(2,requires_grad=True); q=torch.full((2,),5.); l=(w*w).sum(); w.data=q; run(lambda: (l.backward(),w.grad)[1]); q.add_(1); print(w,w._version,q._version); w.data.add_(1); print(q)
with torch.no_grad(): w.add_(1)
print(q,w._version,q._version)
w=torch.ones(2,requires_grad=True); w2=torch.zeros(2,requires_grad=True); w2.data=w.data; w.data.add_(5); print(w2, w2.data_ptr()==w.data_ptr())
l=(w2*w2).sum()
with torch.no_grad(): w.mul_(2)
run(lambda: (l.backward(),w2.grad)[1])
w=torch.ones(2,3,requires_grad=True); l=(w@torch.ones(3,2)).pow(2).sum(); w.data.t().mul_(2); run(lambda: (l.backward(),w.grad)[1])
w=torch.ones(2,requires_grad=True); y=w*w; y.data=torch.full((2,),9.); run(lambda: y); l=(y*y).sum(); run(lambda: (l.backward(),w.grad)[1])
""",
    "parameters of modules": """
m=torch.nn.Linear(2,1,bias=False); m.weight.data.fill_(2.); m.weight.data[0,0]=1; print(m.weight); o=m(torch.ones(1,2)); m.weight.data.copy_(torch.zeros(1,2)); o.sum().backward(); print(m.weight.grad)
m.weight.data=m.weight.data.double(); print(m.weight.dtype,m.weight.is_leaf)
opt=torch.optim.SGD(m.parameters(),lr=.1); m.weight.grad=None
for _ in range(3):
    opt.zero_grad(); m(torch.ones(1,2).double()).sum().backward(); opt.step(); m.weight.data.clamp_(-.25,.25); print(m.weight.data, m.weight._version)
""",
    "saved by functions": """
class Sq(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): ctx.save_for_backward(x); return x*x
    @staticmethod
    def backward(ctx,g): return g*2*ctx.saved_tensors[0]
w=torch.ones(2,requires_grad=True); y=Sq.apply(w); w.data.mul_(3); run(lambda: (y.sum().backward(),w.grad)[1])
w=torch.ones(2,requires_grad=True); y=Sq.apply(w)
with torch.no_grad(): w.mul_(3)
run(lambda: (y.sum().backward(),w.grad)[1])
""",
    "the same memory": """
x=torch.ones(3); print(x.data is x, x.data.data_ptr()==x.data_ptr(), x[1:].data.storage_offset(), x[1:].data._base, x.data._is_view()); x[1:].data.fill_(3); print(x)
import copy,pickle
y=copy.deepcopy(x.data); y.add_(1); print(x,y); print(pickle.loads(pickle.dumps(x.data)))
run(lambda: torch.add(x,1,out=x.data[:]) is None); run(lambda: torch.mm(torch.ones(3,3),torch.ones(3,3),out=torch.ones(3,3).data))
x=torch.ones(3); n=x.data.numpy(); n[0]=5; print(x,x.data); x.add_(1); print(n)
a=torch.ones(3).data; a+=1; a[0]=7; print(a, a._version, a.data, a.clone(), a.detach()._version); b=a.view(3,1); b.mul_(2); print(a, a._version, b._version)
w=torch.ones(2,requires_grad=True); h=w.register_hook(lambda g: g*2); w.data=torch.zeros(2); (w*3).sum().backward(); print(w.grad)
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_torch_prints(name: str) -> None:
    assert printed(jtorch, BEGIN + PROGRAMS[name]) == printed(torch, BEGIN + PROGRAMS[name])


def test_an_operator_and_a_derivative_of_the_same_program() -> None:
    """clone and its derivative are one jaxpr, but one gives an array and the other a list of one: the gradient came out as its first element."""
    x = jtorch.tensor([1.0, 1.0], requires_grad=True)
    y = x.clone()
    (y * y).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
