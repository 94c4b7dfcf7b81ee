"""complex32, complex numbers of two halves: what torch takes of it, to the bit, and what refuses it, in torch's words."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch

from compat import bridge
from compat.programs_of_text import run

_HEAD = """
C = torch.complex32
x = torch.tensor([[1 + 2j, 3.14159 - 1e-3j], [0.1 + 7j, 2049 + 1j]], dtype=C)
h = torch.arange(8).half().reshape(2, 4)
def said(*fs):
    for f in fs:
        try: print(f())
        except Exception as e: print(type(e).__name__, str(e).splitlines()[0])
"""
PROGRAMS = {
    "factories": """
said(lambda: torch.zeros(2, dtype=C), lambda: torch.full((2,), 1.1 + 2.2j, dtype=C), lambda: torch.ones_like(x), lambda: x.new_full((2,), 3.3), lambda: torch.scalar_tensor(2.5, dtype=C),
     lambda: torch.empty_like(x).shape, lambda: torch.full((2,), 1e6, dtype=C), lambda: torch.tensor([1e6], dtype=C), lambda: torch.scalar_tensor(1e6, dtype=C), lambda: x.clone().fill_(1e6j),
     lambda: torch.linspace(0, 1, 3, dtype=C), lambda: torch.arange(3, dtype=C), lambda: torch.eye(3, dtype=C), lambda: torch.range(0, 3, dtype=C), lambda: torch.tensor([x[0, 0], x[1, 1]]))
for f in (torch.randn, torch.rand): torch.manual_seed(0); print(f(3, dtype=C), f(20, dtype=C)[-2:])
for f in (torch.randn_like, torch.rand_like, lambda x: x.clone().uniform_(), lambda x: x.clone().normal_()): torch.manual_seed(0); print(f(x))
""",
    "what it is": """
print(x, x.tolist(), x[0, 1].item(), x.element_size(), x.nbytes, x.untyped_storage().nbytes(), x.storage().size(), x.real.dtype, x.type(), C.itemsize, C.to_real(), torch.half.to_complex())
print(bytes(x.untyped_storage().tolist()).hex(), x.storage().tolist(), torch.finfo(C), x[1].data_ptr() - x.data_ptr(), complex(x[0, 0]), bool(x[0, 0]))
print(torch.result_type(x, 1.0), torch.result_type(h, 1j), [torch.promote_types(C, d) for d in (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.complex64)])
print(torch.can_cast(C, torch.complex64), torch.can_cast(C, torch.float32), torch.is_complex(x), x.is_floating_point())
said(lambda: x.numpy(), lambda: torch.view_as_real(x).numpy(), lambda: torch.nn.Parameter(x), lambda: torch.from_dlpack(x))
""",
    "conversions": """
said(lambda: torch.tensor([1.00001, 2, 1e5]).chalf(), lambda: x.half(), lambda: x.cfloat(), lambda: x.to(torch.complex128).dtype, lambda: x.float(), lambda: x.long(), lambda: x.bool(),
     lambda: x.type(torch.ComplexHalfTensor) if hasattr(torch, "ComplexHalfTensor") else 0, lambda: torch.complex(h, h + 1), lambda: torch.complex(h, h.float()), lambda: h * 1j, lambda: torch.view_as_complex(h.view(4, 2)))
y = torch.zeros(2, 2, dtype=C); y.copy_(torch.ones(2, 2) * 1.00001); print(y, torch.zeros(2, 2).copy_(x), torch.zeros(2, 2, dtype=torch.complex64).copy_(x))
torch.set_default_dtype(torch.float16); said(lambda: torch.tensor([1j]), lambda: torch.ones(2) * 1j, lambda: torch.tensor([1]) * 1j, lambda: torch.tensor(1j)); torch.set_default_dtype(torch.float32)
""",
    "views and writes through them": """
for write in (lambda y: y.real.mul_(2), lambda y: y.imag.fill_(5), lambda y: torch.view_as_real(y)[0, 0].zero_(), lambda y: y.conj().mul_(1j), lambda y: y.t()[0].add_(1), lambda y: y[:, 1].real.copy_(y[:, 0].imag),
              lambda y: y.view(torch.int32)[0].fill_(1234567), lambda y: y.view(torch.float16)[0].fill_(7), lambda y: y.view(-1)[1:3].neg_(), lambda y: y.as_strided((2,), (3,)).fill_(1.1)):
    y = x.clone(); write(y); print(y)
for d in (torch.int32, torch.float16, torch.float32, torch.int16, torch.complex32, torch.int64, torch.uint8, torch.complex64): said(lambda: x.view(d))
said(lambda: h.view(C), lambda: torch.arange(3, dtype=torch.int32).view(C))
y = h.clone(); v = torch.view_as_complex(y.view(4, 2)); v.mul_(1j); print(y, v)
y = h.clone(); v = y.view(C); v[0, 0] = 7 + 8j; print(y, v)
y = torch.zeros(2); v = y.view(C); v[0] = 7 + 8j; print(y, v)
y = x.clone(); n = torch.view_as_real(y).numpy(); n[0, 0, 0] = 42; print(y); y.mul_(2); print(n, y[0], y[0].conj(), y.imag); y[0].imag.fill_(3); print(n)
y = x.clone(); b = y.untyped_storage(); b[1] = 0x40; print(y, y.storage()[1])
print(x.t().is_contiguous(), x.expand(3, 2, 2).stride(), x.conj().is_conj(), x.mH, -x.conj())
""",
    "arithmetic and what moves elements": """
m = x.real > 1
said(lambda: x + x, lambda: x + 1.1, lambda: x - 1j, lambda: 2 - x, lambda: x * x, lambda: x * 1.1, lambda: x.abs(), lambda: x.sgn(), lambda: -x, lambda: x.conj() + 1, lambda: x == x, lambda: x != 1, lambda: x.isfinite(),
     lambda: x.isnan(), lambda: x.isreal(), lambda: (x + torch.ones(2, 2, dtype=torch.complex64)), lambda: (x + torch.ones(2, 2)).dtype, lambda: (x + torch.ones(2, 2).half()).dtype, lambda: x + torch.tensor(1 + 1j),
     lambda: torch.cat([x, x]), lambda: torch.cat([x, x.cfloat()]).dtype, lambda: torch.stack([x[0], x[1]]), lambda: torch.where(m, x, 0), lambda: x[torch.tensor([1, 0])], lambda: x[m], lambda: x.nonzero(),
     lambda: x.masked_fill(m, 1.1), lambda: x.masked_fill(m, 1e6), lambda: x.roll(1), lambda: x.tril(), lambda: x.norm(), lambda: x.sum(dtype=torch.complex64), lambda: x.clone().add_(torch.ones(2, 2, dtype=torch.complex64)),
     lambda: torch.ones(2, 2, dtype=torch.complex64).add_(x), lambda: x.index_add(0, torch.tensor([0]), x[:1]), lambda: x.float().add_(x), lambda: x.expand(2, 2, 2)[1].contiguous(), lambda: torch.zeros(0, dtype=C).abs(), lambda: h.abs() * (1 + 1j))
y = x.clone(); y[torch.tensor([0])] = 3; y[1, 1] = 2 + 2j; y *= 2; print(y)
""",
    "what it has no kernel for": """
said(lambda: x.sum(), lambda: x.mean(), lambda: x / 2, lambda: x.exp(), lambda: x.sqrt(), lambda: x @ x, lambda: x.prod(), lambda: x.cumsum(0), lambda: x.gather(0, torch.tensor([[0, 1]])), lambda: x.take(torch.tensor([0])),
     lambda: x.sort(), lambda: x**2, lambda: 1 / x, lambda: x.angle(), lambda: x.masked_scatter(x.real > 1, x), lambda: torch.fft.fft(x), lambda: torch.linalg.inv(x), lambda: x.logical_not(), lambda: torch.dot(x[0], x[0]),
     lambda: x.bernoulli_(), lambda: torch.equal(x, x.clone()), lambda: x.trace(), lambda: torch.addcdiv(x, x, x), lambda: x.tanh())
""",
    "beside other complex numbers": """
z, i, m = x.cfloat(), torch.tensor([0]), torch.tensor([[True, False], [False, True]])
said(lambda: x.index_copy(0, i, z[:1]), lambda: z.index_copy(0, i, x[:1]), lambda: x.index_put((i,), z[:1]), lambda: z.index_put((i,), x[:1]), lambda: x.masked_fill(m, z[0, 0]), lambda: z.masked_fill(m, x[0, 0]), lambda: x.where(m, z),
     lambda: x.clone().copy_(z), lambda: x.slice_scatter(z[:1], 0, 0, 1), lambda: z.slice_scatter(x[:1], 0, 0, 1), lambda: x.select_scatter(z[0], 0, 0), lambda: z.diagonal_scatter(x[0]), lambda: x.index_fill(0, i, z[0, 0]), lambda: x.index_add(0, i, z[:1]),
     lambda: z.index_add(0, i, x[:1]), lambda: x.clone().mul_(z), lambda: x.clone().add_(z, alpha=2), lambda: (x * torch.tensor(1j, dtype=torch.complex128)).dtype, lambda: (x[0, 0] * torch.ones(2)).dtype, lambda: (x[0, 0] * torch.ones(2).half()).dtype, lambda: x == z, lambda: torch.isclose(x, z))
""",
    "gradients": """
def grad(f):
    z = torch.tensor([1 + 2j, 3 - 1j], dtype=C, requires_grad=True)
    o = f(z); o = torch.view_as_real(o.resolve_conj()) if o.is_complex() else o
    (o.float() * 1.0001).sum().backward(); print(z.grad.dtype, [abs(v) for v in torch.view_as_real(z.grad.resolve_conj()).reshape(-1).tolist()], o.dtype, o.tolist())
for f in (lambda z: z * z, lambda z: z.abs(), lambda z: z.cfloat() * 2, lambda z: z.chalf() * 2, lambda z: z.real * 2, lambda z: z[1:] * 2j, lambda z: torch.cat([z, z]), lambda z: z.conj() * (1 + 1j), lambda z: z.clone().mul_(3),
          lambda z: z.imag.double(), lambda z: torch.where(z.real > 2, z, 1j), lambda z: z + 1, lambda z: z.view(2, 1).t()): grad(f)
for to in (lambda w: w.chalf() * (1 + 1j), lambda w: torch.complex(w.half(), w.half() * 2)):
    w = torch.tensor([1.0, 2.0], requires_grad=True); torch.view_as_real(to(w)).sum().backward(); print(w.grad)
""",
    "in lanes, by derivatives, and with sizes that change": """
print(torch.vmap(lambda a: a * 1.1 + a.conj())(x), torch.vmap(lambda a: a.to(torch.complex64) * 1.1)(x), torch.vmap(torch.abs)(x))
print(torch.func.jvp(lambda a: a * a, (x,), (torch.ones_like(x),)), torch.func.vjp(lambda a: a * a, x)[1](torch.ones_like(x)))
for n in (3, 4, 5, 7, 6, 9):
    a = (torch.arange(n) * (0.123 + 1j)).chalf().requires_grad_(); b = (a * a + 1.1)[1:]
    (torch.view_as_real(b).float() * torch.arange(n - 1).view(-1, 1)).sum().backward(); print(b.detach()[-1], b.abs().dtype, a.grad.abs())
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_torch_prints(name: str) -> None:
    assert run(bridge.jtorch(), _HEAD + PROGRAMS[name]) == run(torch, _HEAD + PROGRAMS[name])


def _parts(library: Any, t: Any) -> Any:
    assert t.dtype is library.complex32
    return library.view_as_real(t).tolist(), t.stride()


def test_files_go_both_ways() -> None:
    ours = bridge.jtorch()
    made = [library.tensor([[1.5 + 2j, 3 - 1e-3j], [0.1 + 7e4j, 2049 + 1j]], dtype=library.complex32) for library in (torch, ours)]
    for t, writer, reader in ((made[0], torch, ours), (made[1], ours, torch), (made[1], ours, ours)):
        for way in (True, False)[: 1 if torch in (writer, reader) else 2]:  # torch itself cannot read what it writes in the old format
            held = io.BytesIO()
            writer.save({"whole": t, "part": t[0], "turned": t.t()}, held, _use_new_zipfile_serialization=way)
            held.seek(0)
            found = reader.load(held)
            assert _parts(reader, found["whole"]) == _parts(writer, t) and _parts(reader, found["part"]) == _parts(writer, t[0]) and _parts(reader, found["turned"]) == _parts(writer, t.t())
            found["part"].mul_(2)
            assert found["whole"][0].tolist() == found["part"].tolist()
    for copied in (copy.deepcopy(made[1]), pickle.loads(pickle.dumps(made[1]))):
        assert _parts(ours, copied) == _parts(ours, made[1])


def test_optimizers_are_refused_by_name() -> None:
    """torch rounds between the steps of an update, which here is one program."""
    t = bridge.jtorch()
    w = t.ones(2, dtype=t.complex32).requires_grad_()
    w.grad = t.ones_like(w)
    for kind in (t.optim.SGD, t.optim.Adam):
        with pytest.raises(NotImplementedError, match="optimizers on complex32"):
            kind([w], lr=0.1).step()
