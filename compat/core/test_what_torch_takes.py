"""Calls that torch takes beside the documented ones: each gives the same result, or the same exception and text, in both libraries."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

import jtorch

M, V, G, B, X = "torch.ones(2, 2)", "torch.tensor([4., 5.])", "torch.tensor([1., 2.])", "torch.ones(1, 2, 2)", "torch.ones(1).expand(3)"
SQUARE, MASK, AT = "torch.ones(3, 1).expand(3, 3)", "torch.tensor([True, False, True])", "torch.tensor([0, 2])"

NUMBERS_FIRST = [
    f"torch.zeros(2).add_(0.1, {G})", f"torch.zeros(2).add(0.1, {G})", f"torch.add(torch.zeros(2), 2, {G})", f"torch.sub({V}, 0.5, {G})", f"{V}.sub_(0.5, {G})",
    f"torch.zeros(2).addcdiv_(-0.1, {G}, {V})", f"torch.zeros(2).addcmul_(-0.1, {G}, {V})", f"torch.addcmul(torch.zeros(2), 2, {G}, {V})", f"{G}.addcdiv(2, {V}, {G})",
    f"torch.addmm(2., {M}, 3., {M}, {M})", f"torch.addmm(2, {M}, {M}, {M})", f"{M}.addmm(2., 3., {M}, {M})", f"{M}.addmm_(2., {M}, {M})",
    f"torch.addmv(2., {V}, 3., {M}, {V})", f"{V}.addmv_(2., 3., {M}, {V})", f"torch.addr(2., {M}, 3., {V}, {V})", f"{M}.addr(2., {V}, {V})",
    f"torch.addbmm(2., {M}, 3., {B}, {B})", f"{M}.addbmm_(2., 3., {B}, {B})", f"torch.baddbmm(2., {B}, {B}, {B})", f"{B}.baddbmm_(2., 3., {B}, {B})",
    f"torch.addcmul({M}, 2., {M}, 's')", f"torch.add({M}, 0.5, 's')",
]  # fmt: skip

PYTHON_TYPES = [
    "torch.arange(3, dtype=float)", "torch.arange(3, dtype=int)", "torch.zeros(3, dtype=bool)", "torch.zeros(2, dtype=complex)", "torch.zeros(3).to(float)", "torch.zeros(3).to(dtype=int)",
    "torch.zeros(3).type(float)", "torch.ones(3).sum(dtype=float)", "torch.zeros_like(torch.ones(3), dtype=int)", "torch.ones(3).new_zeros(3, dtype=bool)", "torch.tensor([1], dtype=float)",
    "torch.as_tensor([1], dtype=float)", "torch.full((2,), 1, dtype=float)", "torch.linspace(0, 1, 3, dtype=float)", "torch.eye(2, dtype=int)", "torch.empty(2, dtype=float).dtype",
    "torch.softmax(torch.ones(2), 0, dtype=float)", "torch.ones(2).cumsum(0, dtype=int)", "torch.zeros(3, dtype=torch.int64).view(float)", "torch.finfo(float)", "torch.iinfo(int)",
    "torch.zeros(2, dtype=str)", "torch.ones(2).prod(dtype=complex)", "torch.ones(2, dtype=torch.float64).type(torch.Tensor)", "torch.ones(2).type(torch.DoubleTensor)",
]  # fmt: skip

NAMES = [
    "torch.linalg.norm(torch.ones(2, 3), axis=1)", "torch.linalg.matrix_norm(torch.ones(2, 3), axis=(0, 1))", "torch.linalg.norm(torch.ones(2, 3), axis=1, keepdims=True)",
    "torch.chunk(torch.arange(4), 2, axis=0)", "torch.repeat_interleave(torch.arange(2), 2, axis=0)", "torch.take_along_dim(torch.arange(4), torch.tensor([0]), axis=0)",
    "torch.allclose(x=torch.ones(2), x2=torch.ones(2))", "torch.unbind(torch.ones(2), axis=0)", "torch.narrow(torch.arange(4), axis=0, start=1, length=2)",
    "torch.tensor_split(torch.arange(4), sections=2)", "torch.tensor_split(torch.arange(4), indices=(1,))", "torch.arange(4).tensor_split(sections=3)",
    "torch.tensor_split(torch.arange(4), tensor_indices_or_sections=torch.tensor(2))",
]  # fmt: skip

EXPANDED = [
    f"{X}.zero_()", f"{X}.fill_(2)", f"{X}.fill_(torch.tensor(2.))", f"{X}.masked_fill_({MASK}, 4)", f"{X}.index_put_(({AT},), torch.tensor(5.))", f"{X}.index_fill_(0, {AT}, 5.)", f"{SQUARE}.triu_()",
    f"{SQUARE}.tril_()", f"torch.zeros(3, out={X})", f"torch.ones(3, out={X})", f"torch.full((3,), 2., out={X})", f"{X}.add_(2)", f"{X}.copy_(torch.ones(3))", f"{X}.index_add_(0, {AT}, torch.ones(2))",
    f"torch.add(torch.ones(3), 1, out={X})", f"torch.arange(3., out={X})", f"{X}.__setitem__({AT}, 2.)", f"{X}.__setitem__(slice(0, 2), 2.)", f"{X}.relu_()",
    f"(lambda b: (b.expand(2, 3).masked_fill_({MASK}, 7), b))(torch.zeros(2, 1))", f"(lambda b: (b.expand(2, 3).__setitem__(({AT} // 2, {AT}), 7.), b))(torch.zeros(2, 1))",
    "(lambda b: (b.expand(2, 3).fill_(3), b, b._version))(torch.zeros(2, 1))",
]  # fmt: skip

_IMAGE = "torch.arange(16.).reshape(1, 1, 4, 4)"
LISTS_OF_NONE = [
    f"torch.nn.functional.avg_pool2d({_IMAGE}, 2, None)", f"torch.nn.functional.avg_pool2d({_IMAGE}, 2, stride=None, divisor_override=None)", f"torch.avg_pool1d({_IMAGE}[0], 2, None)", f"torch.nn.AvgPool2d(2, None)({_IMAGE})",
    f"torch.nn.functional.avg_pool3d({_IMAGE}[None], (1, 2, 2), None)", f"torch.max_pool2d({_IMAGE}, 2, None)", "torch.amax(torch.ones(2, 3), None)", "torch.ones(2, 3).amin(None, True)", "torch.roll(torch.arange(4), 1, None)",
    "torch.flip(torch.ones(2), None)", "torch.ones(2, 1).squeeze(None)",
]  # fmt: skip

DELETED = ["del x[0]", "del x.shape", "del x.data", "del x.requires_grad", "x.grad = x * 2; del x.grad; r = x.grad", "x.note = 1; del x.note; r = hasattr(x, 'note')"]

PROGRAMS = {
    "numpy outside of a graph": "x = torch.ones(2, requires_grad=True)\nwith torch.no_grad(): r = x.numpy().tolist(), x.__array__().tolist()",
    "numpy inside": "torch.ones(2, requires_grad=True).numpy()",
    "assertions": "r = torch._assert(True, 'words'), torch._assert(torch.tensor(1), 'words'); torch._assert(torch.tensor(0), 'words')",
    "assertions of several": "torch._assert(torch.ones(2), 'words')",
    "assertions later": "torch._assert_async(torch.tensor(1), 'words'); torch._assert_async(torch.tensor(0), 'words'); r = 1",
    "a capsule": "from_ = torch.utils.dlpack.to_dlpack(torch.arange(3.)); r = torch.asarray(from_)",
    "gradient of a fill where places are shared": "w = torch.ones(3, 1, requires_grad=True); y = w * 2; y.expand(3, 3).masked_fill_(torch.eye(3, dtype=torch.bool)[:2].sum(0).bool(), 0); r = y",
}


def outcome(library: Any, run: Any) -> tuple[str, str]:
    """What a program gives, as text; for an exception its type and the text's first line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "", repr(run(library))
        except Exception as e:
            return type(e).__name__, str(e).partition("\n")[0]


def executed(text: str) -> Any:
    def run(library: Any) -> Any:
        scope = {"torch": library, "x": library.ones(3)}
        exec(text, scope)
        return scope.get("r")  # a name that the program gives

    return run


def test_they_warn_as_torch() -> None:
    import subprocess
    import sys

    text = "torch.zeros(2).add_(0.1, torch.ones(2))"
    seen = [subprocess.run([sys.executable, "-c", f"import {name} as torch\n{text}"], capture_output=True, text=True, check=True).stderr for name in ("torch", "jtorch")]
    wanted = [line for line in seen[0].splitlines()[:4] if "Warning" not in line]
    assert wanted
    for line in wanted:
        assert line.split("(Triggered")[0].rstrip() in seen[1]


@pytest.mark.parametrize("text", [*NUMBERS_FIRST, *PYTHON_TYPES, *NAMES, *EXPANDED, *LISTS_OF_NONE])
def test_expression(text: str) -> None:
    mine, theirs = (outcome(library, lambda t: eval(text, {"torch": t})) for library in (jtorch, torch))
    assert mine == theirs


@pytest.mark.parametrize("text", [*DELETED, *PROGRAMS.values()], ids=[*DELETED, *PROGRAMS])
def test_program(text: str) -> None:
    assert outcome(jtorch, executed(text)) == outcome(torch, executed(text))
