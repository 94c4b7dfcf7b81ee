"""One memory under several tensors: resize_ of views, smaller, larger and back; set_; and out= of factories. Each program prints the same under both."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

BEGIN = """
import re
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, re.sub('0x[0-9a-f]+', '', str(e)).splitlines()[0])
"""

PROGRAMS: dict[str, str] = {
    "resize_": """
x=torch.arange(6.); v=x[2:4]; v.resize_(3); print(v, x, v.storage_offset(), v.data_ptr()-x.data_ptr()); v[2]=9; print(x); v.resize_(4); v.fill_(7); print(x)
x=torch.arange(6.); v=x[1:]; x.resize_(2,2); print(x,v); x.fill_(9); print(v, x.untyped_storage().nbytes()); x.resize_(6); print(x, x._version)
x=torch.arange(4.); v=x[:2]; x.resize_(6); x[4:]=1; print(x, v); x[0]=5; print(v); v[1]=8; print(x, v.untyped_storage().nbytes(), x.untyped_storage().nbytes(),v.data_ptr()==x.data_ptr())
x=torch.arange(4.); v=x[2:]; v.resize_(4); v[2:]=3; print(v, x, x.untyped_storage().nbytes()); v[0]=11; print(x)
x=torch.arange(6.).reshape(2,3).t(); x.resize_(2,3); print(x, x.stride()); x=torch.arange(6.).reshape(2,3).t(); x.resize_(3,2); print(x,x.stride()); x=torch.arange(4.).expand(2,4); x.resize_(2,2); print(x)
import numpy as np
a=np.arange(4.); t=torch.from_numpy(a); t.resize_(2); t[0]=9; print(a,t); run(lambda: t.resize_(4)); run(lambda: t.resize_(5)); n=torch.arange(4.); m=n.numpy(); run(lambda: n.resize_(2)); n[0]=6; print(m); run(lambda: n.resize_(6).shape)
x=torch.arange(3.); run(lambda: x.resize_(-1)); run(lambda: x.resize_(0)); print(x.untyped_storage().nbytes()); x.resize_(3); print(x); run(lambda: x.resize_((3,1),memory_format=torch.contiguous_format)); run(lambda: torch.zeros(1,2,3,4).resize_(1,3,2,2,memory_format=torch.channels_last).stride()); run(lambda: x.resize_as_(torch.ones(2,1))); run(lambda: torch.ones(3,requires_grad=True).resize_(3)); run(lambda: (torch.ones(3,requires_grad=True)*1).resize_(2)); run(lambda: torch.ones(3,requires_grad=True).data.resize_(2)); run(lambda: torch.ones(3,requires_grad=True).detach().resize_(2)); run(lambda: torch.resize_as_(x,torch.ones(2)))
x=torch.arange(4,dtype=torch.int64); y=x.view(torch.int32); y.resize_(4); y.zero_(); print(x,y)
""",
    "set_": """
x=torch.arange(6.); y=torch.zeros(2); y.set_(x); print(y,y.data_ptr()==x.data_ptr(), y._version); y[0]=9; print(x)
y=torch.zeros(2); y.set_(x.untyped_storage(),1,(2,2),(2,1)); print(y,y.stride(),y.storage_offset()); y.fill_(3); print(x)
y=torch.zeros(2); y.set_(x,1,(2,),(2,)); print(y); y=torch.zeros(2); y.set_(); print(y, y.shape); run(lambda: torch.zeros(2).set_(torch.zeros(2,dtype=torch.long))); run(lambda: torch.zeros(2).set_(x.untyped_storage()).shape); run(lambda: torch.zeros(2).set_(x.storage()).shape); run(lambda: torch.zeros(2).set_(x.untyped_storage(),0,(10,)).shape); run(lambda: torch.zeros(2).set_(x.untyped_storage(),-1,(1,))); run(lambda: torch.zeros(2).set_(3)); run(lambda: torch.zeros(2,requires_grad=True).set_(x)); w=torch.zeros(2,requires_grad=True); l=(w*w).sum()
with torch.no_grad(): run(lambda: w.set_(torch.ones(2)))
print(w._version); run(lambda: l.backward()); y=torch.zeros(3); v=y[1:]; y.set_(torch.ones(3)); print(v,y); z=y[1:]; z.zero_(); print(y); run(lambda: torch.zeros(2).set_(source=x).shape); run(lambda: torch.zeros(2).set_(x,storage_offset=2,size=(2,),stride=(1,))); c=torch.zeros(2).set_(x[2:4]); print(c,c.storage_offset())
""",
    "factories into views": """
x=torch.zeros(6); v=x[::2]
run(lambda: torch.linspace(0,2,3,out=v)); print(x,v)
y=torch.zeros(6); run(lambda: torch.arange(3,out=y[1:4])); print(y)
y=torch.zeros(6); run(lambda: torch.logspace(0,2,3,out=y[1:4])); print(y)
y=torch.zeros(6); v=y[1:4]; p=v.data_ptr()==y.data_ptr(); run(lambda: torch.arange(5,out=v)); print(y,v.shape)
y=torch.zeros(2,3); run(lambda: torch.linspace(0,5,6,out=y)); print(y, y.shape)
y=torch.zeros(3,dtype=torch.long); run(lambda: torch.linspace(0,5,3,out=y)); print(y)
y=torch.zeros(3,dtype=torch.long); run(lambda: torch.arange(0,1.5,.5,out=y)); print(y)
y=torch.zeros(3,2).t(); run(lambda: torch.linspace(0,5,6,out=y[0])); print(y)
y=torch.zeros(4); run(lambda: torch.range(0,3,out=y[:4])); print(y)
y=torch.zeros(4,requires_grad=True); run(lambda: torch.linspace(0,3,4,out=y)); print(y)
y=torch.zeros(4);
run(lambda: torch.zeros(2,out=y[:2]));run(lambda: torch.ones(2,out=y[:2]));run(lambda: torch.full((2,),3.,out=y[2:])); print(y)
run(lambda: torch.eye(2,out=torch.zeros(3,3)[:2,:2]));
run(lambda: torch.rand(2,out=y[:2]).shape); print(y[2:]); run(lambda: torch.randperm(4,out=torch.zeros(8,dtype=torch.long)[::2]).shape)
e=torch.zeros(1).expand(3); run(lambda: torch.linspace(0,1,3,out=e)); run(lambda: torch.arange(3,out=e)); run(lambda: torch.ones(3,out=e)); run(lambda: torch.full((3,),2.,out=e)); run(lambda: torch.zeros(3,out=e));
run(lambda: torch.tril_indices(2,2));
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_torch_prints(name: str) -> None:
    assert printed(jtorch, BEGIN + PROGRAMS[name]) == printed(torch, BEGIN + PROGRAMS[name])
