"""Views that flip what is in memory: conjugates, negatives, and what is made of them. Both libraries, side by side."""

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

CALLS = (
    "c.numpy()",
    "torch._neg_view(r).numpy()",
    "torch.view_as_real(c)",
    "torch.view_as_complex(torch._neg_view(torch.tensor([[1., 2], [3, -4]])))",
    "c.view(torch.float32)",
    "c.view(torch.complex64)",
    "torch._neg_view(r).view(torch.int32)",
    "c.__dlpack__()",
    "torch.is_conj(c)",
    "c.imag.is_neg()",
    "torch._neg_view(x).imag.is_neg()",
    "torch._conj(x).is_conj()",
    "x._conj()",
    "x._neg_view().is_neg()",
    "torch._conj_physical(c).is_conj()",
    "torch.resolve_conj(c).is_conj()",
    "x.mH.is_conj()",
    "x.mH._is_view()",
    "x.conj().conj() is x",
    "r.conj() is r",
    "r.mH",
    "x.conj().data_ptr()==x.data_ptr()",
    "c.resolve_neg() is c",
    "x.resolve_conj() is x",
    "torch.conj(1)",
    "c.real.is_neg()",
    "c.as_strided((2,),(1,)).is_conj()",
    "c.clone().is_conj()",
    "c.contiguous().is_conj()",
    "c.mH.contiguous().is_conj()",
    "c.to(torch.complex128).is_conj()",
    "c.to(torch.complex64).is_conj()",
    "c.view(-1).is_conj()",
    "c[0].is_conj()",
    "c.detach().is_conj()",
    "(c*2).is_conj()",
    "c.expand(2,2,3).is_conj()",
    "c.reshape(3,2).is_conj()",
    "c.imag.resolve_neg().is_neg()",
    "c.conj_physical().is_conj()",
    "x.requires_grad_().conj().grad_fn.name()",
    "x.conj().imag.grad_fn.name()",
    "x.conj().resolve_conj().grad_fn.name()",
    "torch._neg_view(x).grad_fn.name()",
    "x.imag.grad_fn.name()",
    "x.mH.grad_fn.name()",
    "x.adjoint().is_conj()",
    "torch.adjoint(x).resolve_conj().stride()",
    "x.resolve_conj().grad_fn",
    "torch.real(x).grad_fn.name()",
    "x.conj_physical().grad_fn.name()",
    "c.is_contiguous()",
    "torch.tensor([1,2]).conj()",
    "torch.tensor(1j).mH.is_conj()",
    "torch.tensor(1j).H.is_conj()",
    "c.__deepcopy__({}).is_conj()",
    "c.storage()[0]==c.conj()[0,0].detach()",
    "bool(c.untyped_storage().data_ptr()==c.data_ptr())",
    "torch.imag(c.detach())",
    "c.tolist()==c.resolve_conj().tolist()",
    "c[0,0].item()==c.resolve_conj()[0,0].item()",
    "c.T.is_conj()",
    "torch.empty_like(c).is_conj()",
    "torch._neg_view(torch.tensor([1,2]))",
    "x.conj().conj().is_conj()",
    "c.unbind()[0].is_conj()",
    "c.chunk(2)[0].is_conj()",
    "c.diagonal().is_conj()",
    "torch.zeros(2,dtype=torch.complex64).copy_(x.detach().conj()[0,:2]).is_conj()",
    "x.detach().conj().new_zeros(2).is_conj()",
    "x.detach().conj().half()",
)
PROGRAMS = {
    "writing, files and numpy": """
import io, pickle
y=torch.tensor([1+2j,3-1j])
z=pickle.loads(pickle.dumps(y.conj()))
print(z, z.is_conj())
b=io.BytesIO()
torch.save([y.conj(), (y*1).imag, (y*2).conj().imag], b)
b.seek(0)
l=torch.load(b,weights_only=False)
print(l, [a.is_neg() for a in l], l[0].is_conj())
w=y.conj()
w.mul_(2j)
print(y,w)
w[0]=5+1j
print(y)
w.imag.add_(3)
print(y, w.imag, w)
torch.conj(w[1:]).real.zero_()
print(y)
n=y.numpy()
w=y.conj()
w.add_(1j)
print(n, w)
w.imag.mul_(2)
print(n, w, w.imag)
n[0]=9-9j
print(w, w.imag)
""",
    "gradients and products": """
y = torch.tensor([0.5 - 1j, 2 + 1j, -0.25 + 4j]).requires_grad_()
k=(y*1).conj()
k.mul_(torch.tensor([1+1j,2,3j]))
(k.abs()**2).sum().backward()
print(y.grad)
b=y*1
v=b.conj()
v[1:].imag.mul_(3)
(b*b.conj()).real.sum().backward()
print(y.grad, v._version)
print(torch.mv(torch.eye(3, dtype=torch.complex64), y.detach().conj()))
e=torch.zeros(3,dtype=torch.complex64)
e.expand(2,3)[0].conj().add_(1+2j)
print(e)
torch.add(e, 1j, out=e.conj())
print(e)""",
}
START = "import warnings\nx = torch.tensor([[1 + 2j, 3 - 1j, -1j], [2., 0.5j, -3 + 3j]])\nr = torch.tensor([1., -2, 3])\nc = x.conj()\n"


@pytest.mark.parametrize("call", CALLS)
def test_calls(call: str) -> None:
    program = START + f"print(repr({call}))"
    assert printed(jtorch, program) == printed(torch, program)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    assert printed(jtorch, PROGRAMS[name]) == printed(torch, PROGRAMS[name])
