"""Views and their history: where a view was made decides whether it may be written, by torch's rules and in its words. Each program prints the same under both."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

BEGIN = """
import re
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, re.sub('0x[0-9a-f]+', '', str(e)))
"""

PROGRAMS: dict[str, str] = {
    "views of a leaf on memory that requires no grad": """
for write in ("q.mul_(2)", "x.mul_(2)", "x[1].mul_(2)", "q[0].mul_(2)", "q.detach().mul_(2)"):
    x = torch.arange(6.).reshape(2, 3).requires_grad_()
    with torch.no_grad():
        q = x[0]; exec(write); print(q, q.requires_grad, q.grad_fn, q.is_leaf)
    print(q, q.requires_grad, q.grad_fn); run(lambda: q * 2); run(lambda: q.mul_(2)); run(lambda: x.sum().backward()); print(x.grad)
""",
    "no_grad view written": """
x=torch.ones(4,requires_grad=True); y=x*2
with torch.no_grad(): v=y[:2]
print(v.requires_grad, v._is_view(), v._base is y, v.grad_fn, v.is_leaf)
run(lambda: v.mul_(2))
with torch.no_grad(): w=x[:2]
run(lambda: w.mul_(2)); print(w.requires_grad)
b=torch.ones(4)
with torch.no_grad(): v=b[:2]
run(lambda: v.mul_(2)); run(lambda: v.mul_(torch.ones(2,requires_grad=True)))
b=torch.ones(4)
with torch.no_grad(): v=b[:2]
c=v[:1]
run(lambda: c.mul_(torch.ones(1,requires_grad=True)))
with torch.no_grad(): run(lambda: v.mul_(3))
b=torch.ones(4);
with torch.no_grad(): v=b[:2]
b.mul_(torch.ones(4,requires_grad=True)); print(b.requires_grad,v.requires_grad); run(lambda: v.grad_fn); run(lambda: v.requires_grad); run(lambda: v*2); run(lambda: v.sum().backward()); run(lambda: v.is_leaf)
with torch.no_grad(): v=y[:2]
y.mul_(2); run(lambda: v.grad_fn); run(lambda: v*2)
v2=y.detach()[:2]; run(lambda: v2.mul_(2)); print(v2._base is y, v2._is_view(), v2._version==y._version)
with torch.no_grad(): v=x.view(2,2); u=v[0];
run(lambda: u.mul_(2)); run(lambda: v.requires_grad_().mul_(2))
with torch.no_grad(): a,b2=torch.ones(4).mul(1).chunk(2)
run(lambda: a.mul_(torch.ones(2,requires_grad=True)))
with torch.enable_grad():
  with torch.no_grad(): z=(x*1)[1:]
  run(lambda: z.add_(x[1:]))
with torch.no_grad():
    k=torch.ones(3);
    with torch.enable_grad(): kv=k[:2]
run(lambda: kv.mul_(torch.ones(2,requires_grad=True))); print(k.requires_grad)
""",
    "multi views": """
for f in (lambda y:y.split(2),lambda y:y.chunk(2),lambda y:y.view(2,2).unbind(1),lambda y:y.tensor_split(2),lambda y:torch.split_with_sizes(y,[2,2]),lambda y:y.hsplit(2),lambda y:torch.atleast_1d(y,y),lambda y: torch.swapaxes(y.view(2,2),0,1).chunk(2),  lambda y: torch.unflatten(y,0,(2,2)).chunk(2,1)):
    x=torch.arange(1.,5.,requires_grad=True); y=x*2; parts=f(y)
    print(type(parts).__name__,parts[0].grad_fn.name() if parts[0].grad_fn else None)
    run(lambda: parts[0].mul_(2))
    run(lambda: (y.sum().backward(),x.grad)[1])
    x=torch.arange(1.,5.,requires_grad=True); parts=f(x); run(lambda: parts[0].mul_(2))
    x=torch.arange(1.,5.,requires_grad=True); y=x*2; parts=f(y); run(lambda: parts[0][:1].mul_(2));
    y=torch.ones(4); parts=f(y); run(lambda: parts[0].mul_(2)); run(lambda: parts[0].mul_(torch.ones((),requires_grad=True)))
    x=torch.arange(1.,5.,requires_grad=True); y=x*2; parts=f(y); y.mul_(3); run(lambda: parts[0].grad_fn.name()); run(lambda: parts[0].sum().backward()); print(x.grad)
    x=torch.arange(1.,5.,requires_grad=True); y=x*2; parts=f(y)
    with torch.no_grad(): run(lambda: parts[0].mul_(2).sum())
    run(lambda: parts[-1].detach().mul_(2).sum()); run(lambda: parts[0].detach_())
""",
    "function views": """
class Id(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x
    @staticmethod
    def backward(ctx,g): return g*10
class View(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x.view(-1)
    @staticmethod
    def backward(ctx,g): return g.view(2,2)*10
class Part(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x[0]
    @staticmethod
    def backward(ctx,g): return torch.stack([g,g])*10
class Two(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x[0],x[1]
    @staticmethod
    def backward(ctx,g,h): return torch.stack([g,h])*10
class Clone(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x.clone()
    @staticmethod
    def backward(ctx,g): return g*10
class Det(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x.detach()
    @staticmethod
    def backward(ctx,g): return g*10
class ViewClone(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x.clone().view(2,2)
    @staticmethod
    def backward(ctx,g): return g*10
class NonDiff(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x):
        y=x.view(-1); ctx.mark_non_differentiable(y); return y, x*2
    @staticmethod
    def backward(ctx,g,h): return h*10
for F_ in (Id,View,Part,Two,Clone,Det,ViewClone,NonDiff):
    print(F_.__name__)
    for leaf in (True,False):
        x=torch.ones(2,2,requires_grad=True); a=x if leaf else x*1
        o=F_.apply(a); o0=o[0] if isinstance(o,tuple) else o
        print(o0._is_view(), o0._base is a, o0.requires_grad, o0.grad_fn.name() if o0.grad_fn else None, o0 is a, o0.data_ptr()==a.data_ptr())
        run(lambda: o0.mul_(2).shape)
        x=torch.ones(2,2,requires_grad=True); a=x if leaf else x*1
        o=F_.apply(a); o0=o[0] if isinstance(o,tuple) else o
        def go():
            with torch.no_grad(): o0.mul_(2)
            o0.sum().backward(); return x.grad
        run(go)
        x=torch.ones(2,2,requires_grad=True); a=x if leaf else x*1
        o=F_.apply(a); o0=o[0] if isinstance(o,tuple) else o
        run(lambda: o0.view(-1)[:1].mul_(2).shape)
        x=torch.ones(2,2,requires_grad=True); a=x if leaf else x*1
        o=F_.apply(a); o0=o[0] if isinstance(o,tuple) else o
        if not leaf:
            run(lambda: a.mul_(2).shape); run(lambda: o0.grad_fn.name()); run(lambda: (o0.sum().backward(),x.grad)[1]); run(lambda: (a.sum().backward(),x.grad)[1])
    x=torch.ones(2,2); o=F_.apply(x); o0=o[0] if isinstance(o,tuple) else o
    print(o0._is_view(), o0 is x, o0.requires_grad); run(lambda: o0.mul_(2).shape); print(x); run(lambda: o0.mul_(torch.ones((),requires_grad=True)).shape)
""",
    "what is copied over keeps its history": """
w=torch.ones(3,requires_grad=True); s=torch.ones(3,requires_grad=True)
for src in (torch.zeros(3),torch.zeros(1),torch.zeros(3,dtype=torch.double),s,s.double(),s[:1],torch.tensor(2.),3.):
    y=w*1; y.copy_(src); print(y.requires_grad,y.grad_fn.name(),[a and a.name() for a,_ in y.grad_fn.next_functions]); y.sum().backward(); print(w.grad,s.grad); w.grad=s.grad=None
    y=w*1; v=y[:2]; v.copy_(src[:2] if getattr(src,'ndim',0) and src.shape[0]>2 else src); print(y.requires_grad,v.grad_fn.name()); y.sum().backward(); print(w.grad,s.grad); w.grad=s.grad=None
for k in (slice(None),Ellipsis,slice(0,3),slice(0,2),0,None,(),(slice(None),),[0,1]):
    y=w*1; before=y._version; y[k]=2.; print(y.requires_grad,y._version-before); y.sum().backward(); print(w.grad); w.grad=None
b=torch.zeros(3); b.copy_(w); print(b.requires_grad,b.grad_fn.name()); b.sum().backward(); print(w.grad)
with torch.no_grad(): y=w*1; y.copy_(s); print(y.requires_grad)
y=w*1
with torch.no_grad(): y.copy_(torch.zeros(3))
print(y.requires_grad,y.grad_fn.name()); y.sum().backward(); print(w.grad)
""",
    "mark_dirty": """
class Dbl(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): x.mul_(2); ctx.mark_dirty(x); return x
    @staticmethod
    def backward(ctx,g): return g*2
class Dbl2(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): x.mul_(2); ctx.mark_dirty(x); return x,x.clone()
    @staticmethod
    def backward(ctx,g,h): return g*2+h*2
class NotIn(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): y=x.clone(); ctx.mark_dirty(y); return y
    @staticmethod
    def backward(ctx,g): return g*2
class NotRet(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): x.mul_(2); ctx.mark_dirty(x); return x.clone()
    @staticmethod
    def backward(ctx,g): return g*2
class Unmarked(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): x.mul_(2); return x
    @staticmethod
    def backward(ctx,g): return g*2
class DV(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): x.mul_(2); ctx.mark_dirty(x); return x.view(-1)
    @staticmethod
    def backward(ctx,g): return g*2
for F_ in (Dbl,Dbl2,NotIn,NotRet,Unmarked,DV):
    print(F_.__name__)
    def first(o): return o[0] if isinstance(o,tuple) else o
    x=torch.ones(4,requires_grad=True); run(lambda: first(F_.apply(x)).shape)
    x=torch.ones(4,requires_grad=True); y=x*3
    def go():
        o=first(F_.apply(y)); print(o is y, y.grad_fn.name(), y._version, o._version); o.sum().backward(); return x.grad,y
    run(go)
    x=torch.ones(4,requires_grad=True); y=x*3; v=y[:2]
    def go():
        o=first(F_.apply(v)); print(o is v, v.grad_fn.name(), y.grad_fn.name(), y._version); (y*torch.arange(4.)).sum().backward(); return x.grad,y
    run(go)
    x=torch.ones(4,requires_grad=True); y=x*3; a,b=y.chunk(2); run(lambda: first(F_.apply(a)).shape)
    x=torch.ones(4,requires_grad=True); v=x[:2]; run(lambda: first(F_.apply(v)).shape)
    b=torch.zeros(4); v=b[:2]; w=torch.ones(2,requires_grad=True)
    y=torch.ones(4);
    def go():
        o=first(F_.apply(y)); return o is y, o.requires_grad, y
    run(go)
class Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x,w): x.add_(w); ctx.mark_dirty(x); return x
    @staticmethod
    def backward(ctx,g): return g,g*5
w=torch.ones(2,requires_grad=True); b=torch.zeros(4); v=b[:2]
def go():
    o=Add.apply(v,w); print(b.requires_grad,b.grad_fn.name() if b.grad_fn else None, v.grad_fn.name()); b.sum().backward(); return w.grad
run(go)
w=torch.ones(2,requires_grad=True); b=torch.zeros(2);
def go():
    o=Add.apply(b,w); print(b.requires_grad,b.grad_fn.name(), o is b); b.sum().backward(); return w.grad
run(go)
""",
    "leaf through view": """
x=torch.ones(4,requires_grad=True)
v=x.view(2,2); run(lambda: v.mul_(2)); run(lambda: x.mul_(2)); run(lambda: x[0].mul_(2)); run(lambda: v[0].mul_(2))
with torch.no_grad(): v.mul_(2)
run(lambda: (v.sum().backward(),x.grad)[1]); print(x,x.is_leaf,v.grad_fn.name())
x=torch.ones(4,requires_grad=True); v=x.view(2,2)
with torch.no_grad(): x.mul_(3)
run(lambda: v.grad_fn.name()); run(lambda: ((v*v).sum().backward(),x.grad)[1])
run(lambda: ((l*l).sum().backward(),l.grad)[1])
x=torch.ones(4,requires_grad=True)
with torch.no_grad(): v=x.view(2,2)
run(lambda: v.mul_(2)); run(lambda: v.requires_grad); run(lambda: v.add_(torch.ones((),requires_grad=True)))
x=torch.ones(3,requires_grad=True); y=x.detach(); y.mul_(2); print(x, x._version); run(lambda: ((x*x).sum().backward(),x.grad)[1])
l=(x*x).sum(); y.mul_(2); run(lambda: l.backward())
""",
    "full hooks inplace": """
m=torch.nn.Linear(2,2); h=m.register_full_backward_hook(lambda m,i,o: None)
x=torch.ones(1,2,requires_grad=True)
run(lambda: m(x).mul_(2).shape); run(lambda: m(x).relu_().shape); run(lambda: torch.nn.Sequential(m,torch.nn.ReLU(inplace=True))(x).shape)
class M(torch.nn.Module):
    def forward(self,x): return x
m2=M(); m2.register_full_backward_hook(lambda m,i,o: print('h',i,o))
y=x*1; o=m2(y); print(o._is_view(), o is y, o.grad_fn.name()); run(lambda: o.mul_(2)); run(lambda: y.mul_(2).shape); run(lambda: o.sum().backward())
class M3(torch.nn.Module):
    def forward(self,x): x.mul_(2); return x
m3=M3(); m3.register_full_backward_hook(lambda m,i,o: print('h',i,o))
y=x*1; run(lambda: m3(y)); run(lambda: m3(torch.ones(1,2)));
m4=M3(); m4.register_full_backward_pre_hook(lambda m,o: print('p',o)); y=x*1
run(lambda: m4(y).sum().backward()); print(x.grad)
class M5(torch.nn.Module):
    def forward(self,x): return x*2,x+1
m5=M5(); m5.register_full_backward_hook(lambda m,i,o: print('h',i,o)); a,b=m5(x*1); run(lambda: a.mul_(2)); run(lambda: (a.sum()+b.sum()).backward())
""",
    "views of what gets a history later": """w=torch.ones(4,requires_grad=True)
b=torch.zeros(4); v=b[:2]; b.add_(w); print(b.requires_grad,v.requires_grad); run(lambda: ((v*2).sum().backward(),w.grad)[1])
w.grad=None; b=torch.zeros(4); v=b[:2]; u=b[1:]; v.add_(w[:2]); print(b.requires_grad,u.requires_grad); run(lambda: ((u*2).sum().backward(),w.grad)[1])
w.grad=None; b=torch.zeros(4); r=b.view(2,2); c=r.t(); b[0]=w[0]*3; run(lambda: (torch.sin(c).sum().backward(),w.grad)[1])
b=torch.zeros(4); d=b.detach(); b.add_(w); print(d.requires_grad)
w.grad=None; b=torch.zeros(4); rows=[b[i:i+1] for i in range(4)]; b.mul_(w).add_(w); run(lambda: (torch.cat(rows).pow(2).sum().backward(),w.grad)[1])
""",
    "views in place": """
class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x.view_as(x)
    @staticmethod
    def backward(ctx, g): return g
def short(f):
    try: f(); print('ok')
    except Exception as e: print(type(e).__name__, re.sub('Output 0 of \\\\w+', 'Output', str(e))[:90])
for fn in (lambda v: v.as_strided_((1, 2), (2, 1)), lambda v: v.unsqueeze_(0)):
    for made in ((lambda b: b.view_as(b)), (lambda b: b.unbind()[0]), Through.apply):
        for outer, inner, grad in ((True, True, True), (True, False, True), (False, True, True), (False, False, True), (False, True, False)):
            base = torch.ones(2, 3, requires_grad=grad).clone()
            with torch.set_grad_enabled(outer): v = made(base)
            with torch.set_grad_enabled(inner): short(lambda: fn(v))
            if inner or made is not Through.apply: short(lambda: v.add_(1))
for mode in (torch.no_grad, torch.inference_mode):
    with mode(): y = torch.zeros(2).view(2)
    y.requires_grad_(True); z = y.view(2); run(lambda: z.div_(2))
base = torch.ones(1, requires_grad=True).clone(); v, w = base[:], base[:]; v.retain_grad(); w.retain_grad(); v.mul_(2); (v + w).sum().backward(); print(v.grad, w.grad)
""",
    "what hooks see": """
log = []
def seen(name, k=None):
    def hook(g): log.append((name, str(g))); return None if k is None or g is None else tuple(x * k for x in g) if isinstance(g, tuple) else g * k
    return hook
a = torch.tensor(1., requires_grad=True); b = a.clone()
b.grad_fn.register_prehook(seen('pre', 2)); b.register_hook(seen('tensor', 3)); b.grad_fn.register_hook(lambda i, o: log.append('post'))
for f in (lambda: torch.autograd.grad(b * 1, b), lambda: torch.autograd.grad(b * 1, a), lambda: (b * 1).backward(inputs=(b,)), lambda: (b * 1).backward()):
    log.clear(); run(f); print(log, b.grad if b.retains_grad else None, a.grad); a.grad = None
p, q = torch.max(torch.tensor([[1., 2.]], requires_grad=True).clone(), 1)
print(a._backward_hooks, a._grad_fn); h = a.register_hook(seen('leaf')); print(len(a._backward_hooks))
for n in ('_grad_fn', '_backward_hooks', '_post_accumulate_grad_hooks'): run(lambda: delattr(a, n))
x = torch.ones(2, 2, requires_grad=True); out = x.clone()
for s in (torch.ones(3, 2, 2), torch.ones(2, 2)): run(lambda: torch.autograd.grad(out, x, s, is_grads_batched=True, retain_graph=True)[0].shape)
with torch.autograd.graph.allow_mutation_on_saved_tensors() as ctx:
    c = torch.ones(2, requires_grad=True).clone(); d = (c ** 2).sum(); print(len(ctx.cloned), len(ctx.original)); c.data.add_(0); c.mul_(3); print(len(ctx.cloned)); d.backward(); print(len(ctx.cloned))
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_torch_prints(name: str) -> None:
    assert printed(jtorch, BEGIN + PROGRAMS[name]) == printed(torch, BEGIN + PROGRAMS[name])
