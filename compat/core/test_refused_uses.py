"""What torch refuses is refused, in its words. Each program prints the same under both."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

BEGIN = """
import re
F = torch.nn.functional
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, re.sub('0x[0-9a-f]+', '', str(e)))
"""

PROGRAMS: dict[str, str] = {
    "recurrent networks": """
for n in ('RNN','LSTM','GRU'):
    m=getattr(torch.nn,n)(2,3)
    run(lambda: m(torch.zeros(0,1,2))[0].shape); run(lambda: m(torch.zeros(0,2))[0].shape); run(lambda: m(torch.zeros(2,0,2))[0].shape)
    mb=getattr(torch.nn,n)(2,3,batch_first=True); run(lambda: mb(torch.zeros(1,0,2))[0].shape); run(lambda: mb(torch.zeros(0,1,2))[0].shape)
    mb=getattr(torch.nn,n)(2,3,bidirectional=True); run(lambda: mb(torch.zeros(0,1,2))[0].shape)
    run(lambda: m(torch.zeros(2,1,3))); run(lambda: m(torch.zeros(2,1,2),torch.zeros(1,2,3))); run(lambda: m(torch.zeros(2,1,2,2))); run(lambda: m(torch.zeros(2,1,2),torch.zeros(1,3))); run(lambda: m(torch.zeros(2,2),torch.zeros(1,1,3)))
    run(lambda: m(torch.zeros(2,1,2),(torch.zeros(1,2,3),torch.zeros(1,2,3)))); run(lambda: m(torch.zeros(2,2),(torch.zeros(1,1,3),torch.zeros(1,1,3)))); run(lambda: m(torch.zeros(2,1,2),(torch.zeros(1,1,3),torch.zeros(1,1,4))))
    run(lambda: m(torch.zeros(2,1,2).double())); run(lambda: m(torch.zeros(2,1,2,dtype=torch.long)))
for n in ('RNNCell','LSTMCell','GRUCell'):
    m=getattr(torch.nn,n)(2,3); h=lambda *s: (torch.zeros(*s),torch.zeros(*s)) if n=='LSTMCell' else torch.zeros(*s)
    for x,hs in (((2,2),(3,3)),((2,2),(1,3)),((1,2),(3,3)),((2,),(1,3)),((2,),(3,)),((2,2),(3,)),((2,3),(2,3)),((2,2),(2,4)),((2,2,2),(2,3)),((3,),(3,)),((2,2),(2,2,3)),((0,2),(0,3)),((2,2),(0,3)),((2,),(2,3)),((2,),(4,))):
        def go():
            o=m(torch.zeros(*x),h(*hs)); return (o[0] if isinstance(o,tuple) else o).shape
        print(n,x,hs); run(go)
run(lambda: torch.nn.LSTM(2,3)(torch.nn.utils.rnn.pack_sequence([torch.zeros(0,2)])))
run(lambda: torch.lstm_cell(torch.zeros(2,2),[torch.zeros(3,3)]*2,torch.zeros(12,2),torch.zeros(12,3))); run(lambda: torch.nn.LSTMCell(2,3)(torch.zeros(2,2),(torch.zeros(2,3),torch.zeros(3,3))))
""",
    "sizes beyond counting": """
x = torch.ones(1,1,4,4)
for s in (-1e20, 1e20, 1e9, float('nan'), float('inf'), 1e-20):
    for m in ('bilinear', 'nearest', 'bicubic'): run(lambda: F.interpolate(x, scale_factor=s, mode=m))
run(lambda: F.interpolate(x, size=2**40, mode='bilinear'))
m = torch.nn.Linear(2, 2)
for f in (lambda: m.to('cpu', copy=True), lambda: m.to('cpu', copy=False), lambda: m.to(torch.float32, False, True), lambda: m.to(torch.zeros(1), False, True), lambda: m.to('cpu', torch.float64, True)): run(f)
run(lambda: torch.ones(4, 4).to_sparse_bsr((2, 2, 2))); run(lambda: torch.ones(4, 4).to_sparse_bsr(2).values().shape)
run(lambda: F.fold(torch.zeros(1, 12, 12), (4, 5), (2, 2), dilation=8)); run(lambda: F.fold(torch.zeros(1, 12, 11), (4, 5), (2, 2)))
run(lambda: (F.GRID_SAMPLE_INTERPOLATION_MODES, F.GRID_SAMPLE_PADDING_MODES))
a = torch.tensor([3., 1., 1.])
run(lambda: torch._unique(a, sorted=True, return_inverse=True)); run(lambda: torch._unique2(a, return_counts=True)); run(lambda: torch._unique(a))
""",
    "normalisations": """
x=torch.randn(4,3)
for eps in (0,-1e-5,-1.,0.,-0.):
  for tr in (True,False):
    print(eps,tr)
    run(lambda: F.batch_norm(x,torch.zeros(3),torch.ones(3),training=tr,eps=eps).shape)
    run(lambda: torch.nn.BatchNorm1d(3,eps=eps).train(tr)(x).shape)
    run(lambda: F.instance_norm(x[None],eps=eps).shape); run(lambda: F.group_norm(x,3,eps=eps).shape); run(lambda: F.layer_norm(x,(3,),eps=eps).shape); run(lambda: torch.nn.SyncBatchNorm(3,eps=eps)); run(lambda: F.rms_norm(x,(3,),eps=eps).shape)
    run(lambda: torch.batch_norm(x,None,None,torch.zeros(3),torch.ones(3),tr,.1,eps,False).shape);run(lambda: torch.native_batch_norm(x,None,None,torch.zeros(3),torch.ones(3),tr,.1,eps)[0].shape);run(lambda: torch.nn.InstanceNorm1d(3,eps=eps)(x[None]).shape)
""",
    "activations in place with negative slopes": """
for f in ('elu_','celu_','leaky_relu_','rrelu_','selu_','hardtanh_','threshold_'):
  for a in (-1.,-.5,0.,.5):
    def go():
        x=torch.tensor([-1.,1.],requires_grad=True); y=x*2
        if f=='selu_': y=F.selu_(y)
        elif f=='rrelu_': y=F.rrelu_(y,a,a)
        elif f=='hardtanh_': y=F.hardtanh_(y,a,1.)
        elif f=='threshold_': y=F.threshold_(y,a,3.)
        else: y=getattr(F,f)(y,a)
        y.sum().backward(); return x.grad
    print(f,a); run(go)
    def go():
        x=torch.tensor([-1.,1.]);
        return getattr(F,f)(x,a) if f not in ('selu_','rrelu_','hardtanh_','threshold_') else 0
    run(go)
    def go():
        m=dict(elu_=lambda: torch.nn.ELU(a,inplace=True),celu_=lambda:torch.nn.CELU(a,inplace=True),leaky_relu_=lambda:torch.nn.LeakyReLU(a,inplace=True)).get(f)
        if m is None: return
        x=torch.tensor([-1.,1.],requires_grad=True); m()(x*2).sum().backward(); return x.grad
    run(go)
    def go():
        x=torch.tensor([-1.,1.],requires_grad=True)
        y=getattr(F,f[:-1])(x,a) if f in ('elu_','celu_','leaky_relu_') else x; y.sum().backward(); return x.grad
    run(go)
""",
    "arguments of grad and backward": """
x=torch.ones(2,requires_grad=True); y=(x*x).sum()
run(lambda: torch.autograd.grad(y,[])); run(lambda: torch.autograd.grad([],[])); run(lambda: torch.autograd.backward(y,inputs=[])); run(lambda: torch.autograd.grad(y,())); run(lambda: y.backward(inputs=[])); run(lambda: torch.autograd.grad(y,[x,None])); run(lambda: torch.autograd.grad(y,3)); run(lambda: torch.autograd.grad(3,x)); run(lambda: torch.autograd.grad(x*x,x,1.)); run(lambda: torch.autograd.backward(y,torch.ones(()),grad_variables=[torch.ones(())]))
""",
    "data of another kind": """
p=torch.nn.Parameter(torch.ones(2));
def s(v):
    def f(): p.data=v; return p.dtype,p.shape
    return f
for v in (torch.ones(2,dtype=torch.double),torch.ones(2,dtype=torch.long),torch.ones(3),torch.ones(2,dtype=torch.cfloat),3,None,torch.ones(2,dtype=torch.bfloat16),torch.ones(2).to_sparse(),torch.ones(2,requires_grad=True),torch.ones(2,3).t(),torch.ones(2,device='meta')):
    print(type(v)); run(s(v))
x=torch.ones(2)
def s2():
    x.data=torch.ones(3,dtype=torch.double); return x
run(s2)
def s2():
    x.data=torch.ones(3,dtype=torch.long); return x
run(s2)
y=torch.ones(2,requires_grad=True); z=y*2
def s3():
    z.data=torch.ones(3); return z.shape
run(s3)
def s3():
    z.data=torch.ones(3,dtype=torch.double); return z.dtype
run(s3)
def s4():
    del x.data
run(s4)
q=torch.nn.Parameter(torch.ones(2)); (q*q).sum().backward();
def s5():
    q.data=torch.ones(3); return q.grad.shape
run(s5)
q.grad=None
def s5():
    q.data=torch.ones(2,dtype=torch.double); (q*q).sum().backward(); return q.grad
run(s5)
""",
    "losses": """
torch.manual_seed(0)

x=torch.randn(2,3); p=torch.softmax(x,1)
run(lambda: F.cross_entropy(x,p,ignore_index=0)); run(lambda: F.cross_entropy(x,p,ignore_index=-100)>0); run(lambda: F.cross_entropy(x,p,ignore_index=-1)); run(lambda: torch.nn.CrossEntropyLoss(ignore_index=1)(x,p)); run(lambda: F.cross_entropy(x,p.double())); run(lambda: F.cross_entropy(x,p[:1])); run(lambda: F.cross_entropy(x,torch.tensor([0,1],dtype=torch.int32))); run(lambda: F.cross_entropy(x,torch.tensor([0,1],dtype=torch.int16))); run(lambda: F.cross_entropy(x,torch.tensor([0,1],dtype=torch.uint8))>0); run(lambda: F.cross_entropy(x,torch.tensor([True,False]))); run(lambda: F.cross_entropy(x,torch.tensor([0.,1.]))); run(lambda: F.cross_entropy(x,torch.zeros(2,3,dtype=torch.long))); run(lambda: F.cross_entropy(x[0],torch.tensor(1))>0); run(lambda: F.cross_entropy(x,torch.tensor([0,1,2]))); run(lambda: F.cross_entropy(x,torch.tensor([0,1]),weight=torch.ones(2))); run(lambda: F.cross_entropy(x,p,weight=torch.ones(2))); run(lambda: F.cross_entropy(x,torch.tensor([0,1]),label_smoothing=1.5)); run(lambda: F.cross_entropy(x,torch.tensor([0,1]),label_smoothing=-.5)); run(lambda: F.cross_entropy(x,torch.tensor([0,1]),reduction='x')); run(lambda: F.nll_loss(x,torch.tensor([0.,1.]))); run(lambda: F.nll_loss(x,torch.tensor([0,1],dtype=torch.int32)));  run(lambda: F.nll_loss(x,torch.tensor([[0,1]]))); run(lambda: F.nll_loss(x[None,:,:,None],torch.zeros(1,3,1,dtype=torch.int))); run(lambda: F.multi_margin_loss(x,torch.tensor([0,1],dtype=torch.int))); run(lambda: F.multilabel_margin_loss(x,torch.zeros(2,3,dtype=torch.int))); run(lambda: F.ctc_loss(torch.zeros(4,1,3),torch.zeros(1,2),torch.tensor([4]),torch.tensor([2]))); run(lambda: F.cross_entropy(x.long(),torch.tensor([0,1]))); run(lambda: F.cross_entropy(x,p.long())); run(lambda: F.cross_entropy(x.double(),p)); run(lambda: F.cross_entropy(x,p.half())); run(lambda: F.binary_cross_entropy(p,p.double())); run(lambda: F.kl_div(x,p.double()).dtype); run(lambda: F.mse_loss(x,p.double()).dtype);run(lambda: F.l1_loss(x,p.double()).dtype);run(lambda: F.binary_cross_entropy_with_logits(x,p.double()).dtype);run(lambda: F.gaussian_nll_loss(x,x,torch.tensor(-1.)));run(lambda: F.poisson_nll_loss(x,p,reduction='x'));run(lambda: F.soft_margin_loss(x,p.double()).dtype);run(lambda: F.huber_loss(x,p,delta=0));run(lambda: F.smooth_l1_loss(x,p,beta=-1));
""",
    "compilers": """
run(lambda: torch.compile(lambda x:x,backend='nonsense')(torch.ones(1))); run(lambda: torch.compile(lambda x:x,backend='eager')(torch.ones(1))); run(lambda: torch.compile(lambda x:x,backend='inductorr')); run(lambda: torch.compile(lambda x:x,backend=3)(torch.ones(1))); run(lambda: torch.compile(lambda x: x, mode='nonsense'));  run(lambda: torch.compile(lambda x:x, mode='default', options={'a':1}));  run(lambda: torch.compile(3)); run(lambda: torch.compile(lambda x:x,backend='')); run(lambda: torch.nn.Linear(1,1).compile(backend='nonsense')); run(lambda: torch.compile(lambda x:x,backend='aot_eager')(torch.ones(1)))
""",
    "what hooks return": """
x=torch.ones(2,requires_grad=True); h=x.register_post_accumulate_grad_hook(lambda p: p.grad)
run(lambda: (x*x).sum().backward()); print(x.grad); h.remove()
h=x.register_post_accumulate_grad_hook(lambda p: None); run(lambda: (x*x).sum().backward()); print(x.grad); h.remove()
h=x.register_hook(lambda g: 3); run(lambda: (x*x).sum().backward()); h.remove()
h=x.register_hook(lambda g: g.double()); run(lambda: (x*x).sum().backward()); h.remove(); h=x.register_hook(lambda g: torch.ones(3)); run(lambda: (x*x).sum().backward()); h.remove(); h=x.register_hook(lambda g: torch.ones(1)); run(lambda: (x*x).sum().backward()); print(x.grad); h.remove();
y=x*2; h=y.grad_fn.register_hook(lambda i,o: (None,None,None)); run(lambda: y.sum().backward()); y=x*2; y.grad_fn.register_hook(lambda i,o: torch.ones(2)); run(lambda: y.sum().backward()); y=x*2; y.grad_fn.register_hook(lambda i,o: (torch.ones(2),)); run(lambda: y.sum().backward()); y=x*2; y.grad_fn.register_hook(lambda i,o: (torch.ones(3),None)); run(lambda: y.sum().backward()); y=x*2; y.grad_fn.register_prehook(lambda o: (torch.ones(3),)); run(lambda: y.sum().backward()); y=x*2; y.grad_fn.register_prehook(lambda o: torch.ones(2)); run(lambda: y.sum().backward()); y=x*2; y.grad_fn.register_prehook(lambda o: 3); run(lambda: y.sum().backward()); y=x*2; y.grad_fn.register_prehook(lambda o: (torch.ones(2),torch.ones(2))); run(lambda: y.sum().backward())
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_torch_prints(name: str) -> None:
    assert printed(jtorch, BEGIN + PROGRAMS[name]) == printed(torch, BEGIN + PROGRAMS[name])
