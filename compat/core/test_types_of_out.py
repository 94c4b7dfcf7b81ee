"""``out=`` of another type than the result's: cast where torch casts, refused in torch's words where it refuses."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

_HEAD = """
def attempt(name, f):
    try: f(); print(name, "ok")
    except Exception as e: print(name, type(e).__name__, str(e).partition("\\nThe value")[0])
x = torch.tensor([[3., 1.], [.5, 2.]]); x3 = x[None].repeat(2, 1, 1); v = torch.tensor([.5, .25]); i = torch.tensor([0]); i2 = torch.zeros(2, 1, dtype=torch.int64)
f, d, l, n, c, b, h = torch.float32, torch.float64, torch.int64, torch.int32, torch.complex64, torch.bool, torch.float16
"""
_ONE = """
matmul: torch.matmul(x, x, out=o);matmul of batches: torch.matmul(x3, x, out=o);matmul of vectors: torch.matmul(v, v, out=o);mm: torch.mm(x, x, out=o);bmm: torch.bmm(x3, x3, out=o);addmm: torch.addmm(x, x, x, out=o)
mv: torch.mv(x, v, out=o);dot: torch.dot(v, v, out=o);addmv: torch.addmv(v, x, v, out=o);baddbmm: torch.baddbmm(x3, x3, x3, out=o);inner: torch.inner(v, v, out=o);multi_dot: torch.linalg.multi_dot([x, x], out=o)
stack: torch.stack([x, x], out=o);cat: torch.cat([x, x], out=o);hstack: torch.hstack([v, v], out=o);where: torch.where(x > 1, x, x, out=o);index_select: torch.index_select(x, 0, i, out=o);take: torch.take(x, i, out=o)
masked_select: torch.masked_select(x, x > 1, out=o);nonzero: torch.nonzero(x, out=o);vector_norm: torch.linalg.vector_norm(x, out=o);logsumexp: torch.logsumexp(x, 1, out=o);amax: torch.amax(x, 1, out=o);tril: torch.tril(x, out=o)
diag: torch.diag(x, out=o);diag of a vector: torch.diag(v, out=o);det: torch.linalg.det(x, out=o);inv: torch.linalg.inv(x, out=o);solve: torch.linalg.solve(x, x, out=o);svdvals: torch.linalg.svdvals(x, out=o);renorm: torch.renorm(x, 2, 0, 1., out=o)
pinv: torch.linalg.pinv(x, out=o);scatter: torch.scatter(x, 1, i2, 1., out=o);index_add: torch.index_add(x, 0, i, x[:1], out=o);take_along_dim: torch.take_along_dim(x, i2, 1, out=o);quantile: torch.quantile(x, .5, out=o)
histc: torch.histc(x, out=o);clamp: torch.clamp(x, 0, 1, out=o);abs: torch.abs(x, out=o);round: torch.round(x, out=o);trunc: torch.trunc(x, out=o);signbit: torch.signbit(x, out=o);nan_to_num: torch.nan_to_num(x, out=o)
float_power: torch.float_power(x, 2, out=o);conj_physical: torch.conj_physical(x, out=o);polar: torch.polar(v, v, out=o);searchsorted: torch.searchsorted(v, v, out=o);ldexp: torch.ldexp(v, v, out=o);sum: torch.sum(x, 1, out=o)
exp: torch.exp(x, out=o);add: torch.add(x, 1, out=o);logcumsumexp: torch.logcumsumexp(x, 1, out=o);abs of complex: torch.abs(x + 1j, out=o);ceil of integers: torch.ceil(i, out=o);fft: torch.fft.fft(v, out=o)
"""
_SEVERAL = """
max: torch.max(x, 1, out=o);min: torch.min(x, 1, out=o);sort: torch.sort(x, 1, out=o);topk: torch.topk(x, 1, out=o);kthvalue: torch.kthvalue(x, 1, out=o);mode: torch.mode(x, 1, out=o);median: torch.median(x, 1, out=o)
cummax: torch.cummax(x, 1, out=o);qr: torch.linalg.qr(x, out=o);slogdet: torch.linalg.slogdet(x, out=o);lu_factor: torch.linalg.lu_factor(x, out=o);frexp: torch.frexp(x, out=o)
"""
_STATED = """
sum: torch.sum(n3, 0, dtype=k, out=o);prod: torch.prod(n3, 0, dtype=k, out=o);nansum: torch.nansum(x, 0, dtype=k, out=o);nansum of integers: torch.nansum(n3, 0, dtype=k, out=o)
mean: torch.mean(x, 0, dtype=k, out=o);nanmean: torch.nanmean(x, 0, dtype=k, out=o);cumsum: torch.cumsum(x, 0, dtype=k, out=o);cumprod: torch.cumprod(n3, 0, dtype=k, out=o)
vector_norm: torch.linalg.vector_norm(x, 2, 0, dtype=k, out=o)
"""


def _calls(text: str, outs: str) -> str:
    entries = [e.partition(": ") for line in text.strip().splitlines() for e in line.split(";")]
    return "".join(f"for o in ({outs}):\n    attempt({name!r}, lambda: {call})\n" for name, _, call in entries)


CASES = {
    "one result": _calls(_ONE, "torch.empty(0, dtype=k) for k in (f, d, l, c, b)"),
    "dtype beside out": "n3 = torch.tensor([1, 2, 3], dtype=n)\n"
    + _calls(_STATED, "torch.empty(0, dtype=k) for k in (f, d, l, b)").replace("    attempt(", "    for k in (f, d, n):\n        attempt("),
    "several results": _calls(_SEVERAL, "tuple(torch.empty(0, dtype=k) for k in kinds) for kinds in ((f, l), (d, l), (f, n), (f, f), (l, l), (h, l))"),
}


@pytest.mark.parametrize("name", CASES)
def test_prints_what_torch_prints(name: str) -> None:
    program = _HEAD + CASES[name]
    assert printed(jtorch, program) == printed(torch, program)
