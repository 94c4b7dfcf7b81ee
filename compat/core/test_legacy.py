"""What torch keeps from its past, and its odd corners: each program prints the same under torch and under jtorch."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

_HEAD = """
x = torch.arange(6.).view(2, 3)
def t(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e).split("Triggered")[0])
"""
CASES = {
    "Python functions over elements": """
t(lambda: x.clone().apply_(lambda v: v + 1)); t(lambda: x.clone().map_(x, lambda a, b: a * b)); t(lambda: x.clone().map2_(x, x, lambda a, b, c: a * b + c))
t(lambda: torch.zeros(2, requires_grad=True).apply_(lambda v: v)); t(lambda: x.clone().apply_(3))
t(lambda: x.clone().map_(torch.zeros(2, dtype=torch.int64), lambda a, b: a)); t(lambda: torch.arange(4).apply_(lambda v: v * 2))
""",
    "fill_diagonal_": """
for size in ((3, 3), (7, 3), (3, 7), (2, 2, 2), (3,), (2, 2, 3), (0, 3)):
    t(lambda: torch.zeros(size).fill_diagonal_(2)); t(lambda: torch.zeros(size).fill_diagonal_(2, True))
w = torch.ones(3, 3, requires_grad=True); y = (w * 2).fill_diagonal_(5); y.sum().backward(); print(w.grad)
""",
    "removed decompositions": "for n in ('eig', 'symeig', 'solve', 'lstsq', 'reinforce'): t(lambda: getattr(x, n)(x))",
    "old shapes": """
t(lambda: x.resize(3, 2)); t(lambda: x.resize_as(x.t())); t(lambda: x.resize(4, 2)); t(lambda: torch.resize_as_(torch.zeros(6), x).shape)
t(lambda: torch.as_strided_(torch.arange(6.), (2, 2), (1, 2))); t(lambda: torch.unsafe_split_with_sizes(x, [1, 2], 1))
""",
    "dim_order": """
t(lambda: x.dim_order()); t(lambda: x.t().dim_order()); y = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
t(lambda: y.dim_order()); t(lambda: y.dim_order(ambiguity_check=True)); t(lambda: torch.zeros(1, 3, 1).dim_order(ambiguity_check=True)); t(lambda: x.dim_order(ambiguity_check=3));
""",
    "small questions": """
print(x.name, x.volatile, x.grad_dtype, x.is_distributed(), torch.is_distributed(x), x.storage_type(), torch.is_vulkan_available(), torch.cudnn_is_acceptable(x))
t(lambda: (x * 1).record_stream(None)); print(x.dequantize().dtype, torch.dequantize(x.double()).dtype, x.__nonzero__ is not None)
print(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()); torch.set_anomaly_enabled(True, False); print(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
torch.set_anomaly_enabled(False); print(torch.has_lapack, torch.has_mkl, torch.Event(), torch.Stream())
print(torch.OutOfMemoryError.__mro__[1], torch.AcceleratorError.__mro__[1], torch.FatalError.__mro__[1])
""",
    "sizes that could be symbols": """
t(lambda: [torch.sym_int(3.7), torch.sym_int(-3.7), torch.sym_max(3, 2.), torch.sym_min(1, 2), torch.sym_sum([1, 2]), torch.sym_not(True), torch.sym_ite(True, 1, 2), torch.sym_sqrt(4), torch.sym_float(2)])
t(lambda: torch.sym_constrain_range(3, min=4)); t(lambda: torch.sym_constrain_range(3, min=5, max=4)); t(lambda: torch.sym_constrain_range_for_size(1)); print(isinstance(3, torch.SymInt))
""",
    "old norms": """
t(lambda: torch.nuclear_norm(x)); t(lambda: torch.nuclear_norm(x, dim=(0, 1), keepdim=True).shape); t(lambda: torch.frobenius_norm(x, dim=[0, 1])); t(lambda: torch.frobenius_norm(x, 1, True))
""",
    "default tensor types": """
torch.set_default_tensor_type("torch.DoubleTensor"); print(torch.tensor(1.).dtype); torch.set_default_tensor_type(torch.FloatTensor); print(torch.tensor(1.).dtype)
t(lambda: torch.set_default_tensor_type(torch.IntTensor)); t(lambda: torch.set_default_tensor_type("torch.Foo"))
""",
    "storages": """
s = torch.FloatStorage([1, 2, 3]); print(s, s.type(), len(s), s[1], s.dtype, s.element_size(), s.nbytes()); s[0] = 7; print(s.tolist(), s.long(), s.fill_(2).tolist())
t(lambda: s[3]); t(lambda: s[0:2]); t(lambda: torch.FloatStorage(1, 2)); t(lambda: torch.FloatStorage(1.5)); u = x.untyped_storage(); print(len(u), u[4:8].tolist(), u.type())
t(lambda: u[100]); t(lambda: u["a"]); print(isinstance(x.storage(), torch.FloatStorage), isinstance(x.storage(), torch.LongStorage), torch.is_storage(s), x.storage_type() is torch.FloatStorage)
x.untyped_storage().fill_(0); print(x); c = s.clone(); c[0] = 9; print(s[0], c[0]); print(torch.tensor([1., 2.]).set_(torch.FloatStorage([5, 6])))
print(torch.TypedStorage([1, 2], dtype=torch.int64), torch.UntypedStorage(3).nbytes(), s.copy_(c).tolist(), s.is_shared(), s.is_cuda)
""",
    "simulated quantisation": """
y = torch.linspace(-3, 3, 13, requires_grad=True); z = torch.fake_quantize_per_tensor_affine(y, 0.1, 3, 0, 20); z.sum().backward(); print(z, y.grad)
print(torch.fake_quantize_per_tensor_affine(y, torch.tensor(0.1), torch.tensor(3, dtype=torch.int32), 0, 20).tolist() == z.tolist())
print(torch.fake_quantize_per_channel_affine(x - 2, torch.tensor([.1, .2]), torch.tensor([0, 1], dtype=torch.int32), 0, 0, 10))
t(lambda: torch.fake_quantize_per_tensor_affine(y, 0.1, 3, 20, 0)); t(lambda: torch.fake_quantize_per_tensor_affine(y, 0.1, 30, 0, 20))
for sym in (False, True):
    for per in (False, True):
        for lo, hi in ((0, 255), (-128, 127)):
            n = 2 if per else 1
            st = [torch.tensor([1]), torch.tensor([1]), torch.full((n,), float("inf")), torch.full((n,), -float("inf")), torch.ones(n), torch.zeros(n, dtype=torch.int32)]
            for k in (1, 2): r = torch.fused_moving_avg_obs_fake_quant((x - 2.5) * k, *st, 0.1, lo, hi, 0, per, sym)
            print(r, st[2:])
""",
    "batch statistics": """
g = torch.linspace(0, 1, 24).view(2, 3, 4); rm, rv = torch.zeros(3), torch.ones(3); print(torch.batch_norm_update_stats(g, rm, rv, 0.3), rm, rv)
""",
    "segments": """
d = torch.tensor([1., 5, 2, 0, 3, 3], requires_grad=True)
for reduce in ("sum", "mean", "max", "min", "prod"):
    for initial in (None, 2):
        r = torch.segment_reduce(d, reduce, lengths=torch.tensor([2, 0, 4]), initial=initial); d.grad = None; r[[0, 2]].sum().backward(); print(reduce, initial, r.detach(), d.grad)
t(lambda: torch.segment_reduce(d, "sum", lengths=torch.tensor([2, 2]))); t(lambda: torch.segment_reduce(d, "sum", lengths=torch.tensor([-2, 8]))); t(lambda: torch.segment_reduce(d, "sum", offsets=torch.tensor([0, 1, 6])).detach())
t(lambda: torch.segment_reduce(torch.ones(2, 3), "sum", lengths=torch.tensor([[1, 2], [3, 0]]), axis=1)); n = torch.tensor([2, 4])
t(lambda: torch.segment_reduce(d, "amax", lengths=n).detach()); t(lambda: torch.segment_reduce(d, "amin", lengths=n).detach()); t(lambda: torch.segment_reduce(d, "add", lengths=n))
t(lambda: torch.segment_reduce(d, "max", lengths=n.float())); t(lambda: torch.segment_reduce(d.long(), "max", lengths=n))
""",
    "operators by their library's names": """
a = torch.ops.aten
print(a.add.Tensor(x, x), a.add(x, 1), a.sum.dim_IntList(x, [0]), a.slice.Tensor(x, 1, 0, 2), a.linalg_inv(torch.eye(2)), a._safe_softmax(torch.full((2, 2), -float("inf")), -1), str(a.add.Tensor))
print(a._softmax_backward_data(x, x.softmax(1), 1, torch.float32), a.mul_(x.clone(), 2), a.mm(self=x, mat2=x.t()))
""",
    "groups of products": """
torch.manual_seed(0); p, q = torch.randn(16, 8), torch.randn(2, 8, 16); o = torch.tensor([3, 16], dtype=torch.int32); F = torch.nn.functional
print(torch.allclose(F.grouped_mm(p, q, offs=o)[:3], p[:3] @ q[0], atol=1e-5)); t(lambda: F.grouped_mm(p, q)); print(F.grouped_mm(q.transpose(1, 2).contiguous(), q).shape)
""",
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_prints_what_torch_prints(name: str) -> None:
    program = _HEAD + CASES[name]
    assert printed(jtorch, program) == printed(torch, program)


def test_from_file(tmp_path: object) -> None:
    path = f"{tmp_path}/numbers"
    for library in (torch, jtorch):
        t = library.from_file(path, shared=True, size=4, dtype=library.float32)
        t[1] = t[1] + 3
        assert library.from_file(path, size=4, dtype=library.float32).tolist()[1] % 3 == 0
        with pytest.raises(RuntimeError):
            library.from_file(f"{tmp_path}/nothing", size=4)
