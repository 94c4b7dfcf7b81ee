"""Storages where tensors are made or set, storages of the meta device, the classes of one element type; gradients of one result where the other's is infinite; losses of two types."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch
from compat.core.test_what_torch_takes import executed, outcome

ON = "b = torch.tensor([1., 2., 3.]); y = torch.{}(b.{}(){}); r = y.tolist(), str(y.dtype)[-6:], y.data_ptr() == b.data_ptr()\nif y.numel(): y.zero_(); r = r, b.tolist()"
META = "m = torch.ones(3, device='meta'); u, s = m.untyped_storage(), m.storage()\n"
FILE = "import tempfile, os, numpy\nwith tempfile.TemporaryDirectory() as d:\n    p = os.path.join(d, 'a'); numpy.arange(4, dtype='float32').tofile(p)\n    "
MOMENTS = "v = torch.arange(3.).reshape(3, 1).requires_grad_(); a, m = torch.{}(v, 1, correction={}); {}.sum().backward(); r = v.grad.tolist()"
HUBER = "a = torch.ones(2, dtype=torch.{}, requires_grad={}); b = torch.zeros(2, dtype=torch.{}, requires_grad={}); l = torch.nn.functional.huber_loss(a, b, reduction='sum')\nr = [str(l.dtype)[-7:]]\nl.backward()"

PROGRAMS = {
    **{f"{make} of {kind}{more}": ON.format(make, kind, more) for make in ("tensor", "as_tensor", "asarray") for kind in ("storage", "untyped_storage") for more in ("", ", dtype=torch.float32", ", dtype=torch.uint8", ", dtype=torch.double")},
    **{f"{make} of {kind}": ON.format(make, kind, "") for make in ("Tensor", "FloatTensor", "LongTensor") for kind in ("storage", "untyped_storage")},
    **{f"set_ to {given}": f"r = x.set_({given}).tolist()" for given in (
        "", "None", "3", "torch.zeros(2), 0", "torch.zeros(2).untyped_storage(), 1", "torch.zeros(4), 1, (2,)", "torch.zeros(4).untyped_storage(), 0, 2", "torch.zeros(2, dtype=torch.bfloat16)",
        "torch.zeros(2, dtype=torch.double).storage()", "torch.zeros(2, device='meta')", "torch.zeros(2, device='meta').untyped_storage()", "torch.arange(4.).storage(), 1, (2,), (2,)")},
    "set_, seen by numpy": "b = torch.arange(4.); x.set_(b.storage(), 0, (2,)); str(x); u = torch.arange(2.).untyped_storage(); x.set_(u, 0, (1,), (1,)); str(u); r = str(x), x.mul_(3).tolist(), u.tolist()",
    **{f"meta: {what}": META + f"r = repr({what})" for what in (
        "u", "s", "u.clone().device", "u.__setitem__(0, 1)", "s.__setitem__(0, 1.)", "u[0]", "s[0]", "u[:2]", "u.fill_(1)", "u.tolist()", "u.cpu()", "u.share_memory_()", "torch.ones(3).untyped_storage().copy_(u)",
        "u.copy_(torch.ones(3).untyped_storage()).device", "len(u), len(s)")},
    "of a file": FILE + "s = torch.FloatStorage.from_file(p, True, 4); s[1] = 7.; del s; r = numpy.fromfile(p, 'float32').tolist(), type(torch.FloatStorage.from_file(p, False, 2)).__name__",
    "of a file, of no type": FILE + "torch.storage.TypedStorage.from_file(p, False, 2)",
    "names": "s = torch.storage; r = sorted((n, str(k)[-7:]) for n, k in s._storage_type_to_dtype_map().items()), s._get_storage_from_sequence([1, 2], torch.int16, 'cpu').tolist()",
    "a name that is none": "torch.storage._get_dtype_from_pickle_storage_type('Foo')",
    "size of": "r = torch.ones(4).untyped_storage().__sizeof__() - torch.ones(2).untyped_storage().__sizeof__(), torch.ones(4).storage().__sizeof__() - torch.ones(2).storage().__sizeof__()",
    **{f"{what} of {name}, {correction}": MOMENTS.format(name, correction, what) for name in ("std_mean", "var_mean") for correction in (0, 1, 2) for what in ("a", "m", "(a + m)")},
    **{f"huber_loss {kinds}": HUBER.format(*kinds) for kinds in (("float32", True, "float64", False), ("float32", False, "float64", True), ("float64", True, "float32", True), ("float16", True, "float32", False), ("float32", False, "float32", True))},
    "binary_cross_entropy of integers": "torch.nn.functional.binary_cross_entropy(torch.ones(2, dtype=torch.long), torch.ones(2))",
    **{f"multilabel_margin_loss {a} {b}": f"r = torch.nn.functional.multilabel_margin_loss(torch.full({a}, 0.5), torch.zeros({b}, dtype=torch.long), reduction='{how}').tolist()"
       for a, b in (((1,), ()), ((), (1,)), ((), ()), ((3,), ()), ((1, 1), ()), ((2,), (3,))) for how in ("none", "mean")},
    "median(out=)": "torch.median(x, out=torch.empty(()))",
    "sum(dtype=, out=)": "torch.sum(x, dtype=torch.double, out=torch.empty((), dtype=torch.double))",
    **{f"_output_mask {name}": f"k = torch.masked; m = torch.tensor([[True, False, True], [False, False, False]])\nr = k._output_mask(k.{name}, torch.ones(2, 3), {args}, mask=m).tolist()"
       for name, args in (("sum", "1"), ("mean", "dim=(0, 1), keepdim=True"), ("norm", "2., 1"), ("softmax", "1"), ("amax", "3"))},
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_do_the_same(name: str) -> None:
    """Values, or the exception and its words."""
    assert outcome(jtorch, executed(PROGRAMS[name])) == outcome(torch, executed(PROGRAMS[name]))


def test_numbers_first_are_warned_of_with_their_out() -> None:
    import subprocess
    import sys

    def said(name: str) -> Any:
        code = f"import {name} as t, warnings\nwith warnings.catch_warnings(record=True) as w:\n    warnings.simplefilter('always'); t.addcmul(t.ones(1), 2, t.ones(1), t.ones(1))\nprint(w[0].message)"
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        return [line.partition(" (Triggered")[0] for line in out.splitlines() if line.strip() and not line.startswith("(Triggered")]

    assert said("jtorch") == said("torch")
