"""Writing where it is read: what overlaps in part is refused, in place and in out=, as in torch; and detach_ of what backward needs. Each program prints the same under both."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

BEGIN = """
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e))
"""

# Names that begin with skip_ are left out: what torch gives there depends on the machine (mm into what it reads: zeros from one library of products, the product from another).
PROGRAMS: dict[str, str] = {
    "overlaps": """
def t(n=8): return torch.arange(float(n))
M=lambda: torch.arange(9.).reshape(3,3)
for name,f in dict(add=lambda x: x[1:].add_(x[:-1]),addself=lambda x:x.add_(x),addview=lambda x:x[1:].add_(x[1:]),mul=lambda x:x[:-1].mul_(x[1:]),copy=lambda x:x[1:].copy_(x[:-1]),addcmul=lambda x:x[1:].addcmul_(x[:-1],x[:-1]),addcdiv=lambda x:x[1:].addcdiv_(x[1:],x[:-1]+0),lerp=lambda x:x[1:].lerp_(x[:-1],.5),setitem=lambda x:x.__setitem__(slice(1,None),x[:-1]),iadd=lambda x:x[2:].__iadd__(x[:-2]),atan2=lambda x:x[1:].atan2_(x[:-1]),pow=lambda x:x[1:].pow_(x[:-1]),clamp=lambda x:x[1:].clamp_(x[:-1]),masked_fill=lambda x:x[1:].masked_fill_(x[:-1]>0,3.),scatter=lambda x:x[1:].scatter_(0,torch.tensor([0]),x[:1]),index_add=lambda x:x[1:].index_add_(0,torch.tensor([0]),x[:1]),index_copy=lambda x:x[1:].index_copy_(0,torch.tensor([0]),x[1:2]),skip_masked_scatter=lambda x:x[1:].masked_scatter_(x[1:]>2,x[:-1]),index_put=lambda x:x[1:].index_put_((torch.tensor([0]),),x[:1]),where=lambda x: torch.where(x[1:]>0,x[1:],x[:-1],out=x[1:]),outadd=lambda x:torch.add(x[1:],x[:-1],out=x[1:]),outadd2=lambda x:torch.add(x[:-1],1,out=x[1:]),outsame=lambda x:torch.add(x,1,out=x),outexp=lambda x:torch.exp(x[:-1],out=x[1:]),outcat=lambda x:torch.cat([x[:4]],out=x[2:6]),outcumsum=lambda x:torch.cumsum(x,0,out=x),outcumsum2=lambda x:torch.cumsum(x[:-1],0,out=x[1:]),skip_outsum=lambda x:torch.sum(x[:4],0,out=x[0]),outsort=lambda x:torch.sort(x,out=(x,torch.zeros(8,dtype=torch.long))),skip_outmm=lambda x:torch.mm(x.view(2,4)[:,:2],x.view(2,4)[:,2:],out=x.view(2,4)[:,:2]),outstack=lambda x:torch.stack([x[0],x[1]],out=x[:2]),outgather=lambda x:torch.gather(x,0,torch.arange(8),out=x),outindex=lambda x:torch.index_select(x,0,torch.arange(8),out=x),outtake=lambda x:torch.take(x,torch.arange(8),out=x),outclamp=lambda x:torch.clamp(x[1:],0,2,out=x[:-1]),outmax=lambda x:torch.maximum(x[1:],x[:-1],out=x[1:]),outtranspose=lambda x:torch.add(x[:4].view(2,2),x[:4].view(2,2).t(),out=x[:4].view(2,2)),inptranspose=lambda x:x[:4].view(2,2).add_(x[:4].view(2,2).t()),strided=lambda x:x[::2].add_(x[1::2]),skip_strided2=lambda x:x[::2].add_(x[:4]),copyT=lambda x:x[:4].view(2,2).copy_(x[:4].view(2,2).t()),fillexpand=lambda x:x[:1].expand(3).fill_(2),addexpand=lambda x:x[:1].expand(3).add_(1),zeroexpand=lambda x:x[:1].expand(3).zero_(),mulexpand=lambda x:x[:1].expand(3).mul_(x[:3]),skip_unfoldadd=lambda x:x.unfold(0,3,1).add_(1),skip_asstr=lambda x:x.as_strided((2,2),(1,1)).mul_(2),copyexpand=lambda x:x[:1].expand(3).copy_(torch.ones(3)),expandsrc=lambda x:x.add_(x[:1].expand(8)),expandsrc0=lambda x:x.add_(x[0]),relu=lambda x:x[:1].expand(3).relu_(),sin=lambda x:x[:1].expand(3).sin_(),triu=lambda x:x[:3].expand(3,3).triu_(),fd=lambda x:x[:3].expand(3,3).fill_diagonal_(1),skip_uniform=lambda x:x[:1].expand(3).uniform_().shape,skip_bern=lambda x:x[:1].expand(3).bernoulli_(.5).shape,skip_normal=lambda x:x[:1].expand(3).normal_().shape,iput=lambda x:x[:1].expand(3).index_put_((torch.tensor([0]),),torch.tensor(1.)),ifill=lambda x:x[:1].expand(3).index_fill_(0,torch.tensor([0]),1.),mfill=lambda x:x[:1].expand(3).masked_fill_(torch.tensor([True,False,False]),1.),sct=lambda x:x[:1].expand(3).scatter_(0,torch.tensor([0]),1.),cumsum_=lambda x:x[:1].expand(3).cumsum_(0),setexp=lambda x:x[:1].expand(3).__setitem__(0,5.),setexp2=lambda x:x[:1].expand(3).__setitem__(slice(0,2),5.),outexpand=lambda x:torch.add(torch.ones(3),1,out=x[:1].expand(3)),skip_addmm_=lambda x:x[:4].view(2,2).addmm_(x[:4].view(2,2),x[4:].view(2,2)),skip_addmv_=lambda x:x[:2].addmv_(x[:4].view(2,2),x[:2]),skip_baddbmm_=lambda x:x[:4].view(1,2,2).baddbmm_(x[:4].view(1,2,2),x[:4].view(1,2,2)),squeeze=lambda x:x[:1].expand(3).sub_(x[1:4]),skip_cross=lambda x:torch.cross(x[:3],x[3:6],dim=0,out=x[:3]),skip_outdot=lambda x:torch.mv(x[:4].view(2,2),x[:2],out=x[:2]),skip_outfl=lambda x:torch.flip(x,(0,)) is None).items():
    if name.startswith('skip_'): continue
    x=t(); print(name); run(lambda: f(x)); print(x.tolist() if name not in ('uniform','bern','normal') else '')
""",
    "spread over itself": """
def t():
    return torch.arange(12).reshape(3, 4)
for c in ("x[1]=x[1][0]","x[1]=x[1,0]","x[0:2]=x[0]","x[:]=x[0]","x[1]=x[1][:1]","x[:,0]=x[0,0]","x[1].copy_(x[1][0])","x[1].copy_(x[1,2:3])","x[:2].copy_(x[1])","x[1:].copy_(x[:1])","x[1:]=x[:-1]","x[1].add_(x[1][0])","x.t()[0]=x[0,0]"):
    x=t(); print(c); run(lambda: exec(c)); print(x.tolist())
w=torch.arange(4.).requires_grad_(); y=w*w; y[1:]=y[0]; y.sum().backward(); print(w.grad)
for d in (torch.int32, torch.int64):
    e=torch.arange(8.).reshape(4,2); print(torch.nn.functional.embedding(torch.tensor([3,1],dtype=d),e,max_norm=2.),e)
run(lambda: torch.nn.functional.embedding_bag(torch.tensor([[1]]),torch.ones(4,2),padding_idx=5)); run(lambda: torch.nn.functional.embedding(torch.tensor([[1]]),torch.ones(4,2),padding_idx=-6))
""",
    "out= of another shape": """
import warnings
warnings.simplefilter("ignore")
e=lambda *s: torch.ones(1).expand(*s)
x=torch.ones(2,5)
for f in (lambda:torch.gather(torch.ones(10),0,torch.arange(3),out=e(4)),lambda:torch.cat([e(5)],out=e(10)),lambda:torch.add(torch.ones(3),1,out=e(4)),lambda:torch.mm(x,x.T,out=e(3,3)),lambda:torch.sum(x,0,out=e(4)),lambda:torch.where(x>0,x,x,out=e(3,5)),lambda:torch.amax(x,0,out=e(6)),lambda:torch.sin(x,out=e(2,6)),lambda:torch.sort(x,out=(e(2,6),torch.ones(1,dtype=torch.long).expand(2,6))),lambda:torch.clamp(x,0,out=e(3,5)),lambda:torch.lerp(x,x,.5,out=e(3,5)),lambda:torch.diag(x,out=e(6)),lambda:torch.prod(x,0,out=e(6))): run(f)
a=torch.arange(4.); run(lambda: torch.add(a,1,out=a[:2])); print(a); run(lambda: torch.where(a>0,a,a,out=a[1:])); run(lambda: torch.sub(a,1,out=a[1:])); run(lambda: torch.lerp(a,a,.5,out=a[1:3])); print(a)
i=torch.tensor([2,1,0]); run(lambda: torch.gather(i.clone(),0,i[1:],out=i[:1])); print(i); run(lambda: torch.cat((torch.zeros(0),a),out=a[:1]) is None); x=torch.zeros(0); run(lambda: torch.cat((x,a),out=x))
""",
    "detach_": """
x=torch.ones(2,requires_grad=True); y=x*2; z=y*y; y.detach_(); run(lambda: z.sum().backward()); print(x.grad,y.requires_grad,y.grad_fn,y.is_leaf)
x=torch.ones(2,requires_grad=True); y=x.exp(); y.detach_(); run(lambda: y.sum().backward()); print(y._version); y=x.exp(); z=y*3; y.detach_(); run(lambda: z.sum().backward()); print(x.grad)
x=torch.ones(2,requires_grad=True); y=x*2; z=torch.sin(y); y.detach_(); y.requires_grad_(); run(lambda: z.sum().backward()); print(x.grad,y.grad)
x=torch.ones(2,requires_grad=True); x.detach_(); print(x.requires_grad);
class Fn(torch.autograd.Function):
    @staticmethod
    def forward(ctx,a): ctx.save_for_backward(a); return a*2
    @staticmethod
    def backward(ctx,g): a,=ctx.saved_tensors; print(a.requires_grad, a.grad_fn); return g*a
x=torch.ones(2,requires_grad=True); y=x*1; z=Fn.apply(y); y.detach_(); run(lambda: z.sum().backward()); print(x.grad)
x=torch.ones(2,requires_grad=True); y=x*2; z=y*y; y.detach_(); run(lambda: torch.autograd.grad(z.sum(),x,create_graph=True))
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_torch_prints(name: str) -> None:
    assert printed(jtorch, BEGIN + PROGRAMS[name]) == printed(torch, BEGIN + PROGRAMS[name])
