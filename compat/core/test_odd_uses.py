"""Numbers that wrap to zero before they divide, legacy constructors' arguments by name, losses and activations at inf and nan, hooks that a program puts under torch's own names: the same in ``r``
under both libraries, or the same exception."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

import jtorch
from compat.core.test_what_torch_takes import executed, outcome

SMALL = "a = torch.tensor([1, 2], dtype=torch.int8)\n"
AT_THE_EDGE = "inf = float('inf'); F = torch.nn.functional; v = torch.tensor([inf, -inf, float('nan'), 5., -5., 1., 1.5, 0.5, 2.], requires_grad=True)\n"

PROGRAMS = {
    **{f"int8 {use}": SMALL + f"r = ({use}).tolist()" for use in (
        "a // 256", "a % 256", "a.fmod(2**31)", "a.remainder(256)", "a.floor_divide(257)", "a.div(-256, rounding_mode='trunc')", "a // 255", "a % 129", "a ** 128", "a ** 127", "a ** 200", "a ** -200", "a.clone().floor_divide_(256)",
        "256 // a", "a // torch.tensor(256)", "a.short() // 2**16", "(a > 0) // 256", "a.float() // 256")},
    **{f"made by name: {use}": f"r = torch.{use}; r = list(r.shape), r.dtype.itemsize" for use in (
        "zeros(1).new(size=(2, 3))", "zeros(1).new(data=[1, 2, 3])", "zeros(1).new(other=torch.zeros(4))", "Tensor(size=(2,))", "FloatTensor(size=(2, 1))", "LongTensor(data=[1])", "Tensor(data=[1., 2.])")},
    **{f"signed: {kind}": f"r = torch.{kind}.is_signed" for kind in ("quint8", "qint8", "qint32", "bits8", "bool", "uint8", "int8", "bfloat16", "complex64")},
    **{f"apply_ that gives {given}": f"x.apply_(lambda v: {given}); r = x.tolist()" for given in ("'a'", "[v]", "v + 1", "(1,)")},
    **{f"{like} of sparse, {form}": f"r = torch.{like}(x.to_sparse(), memory_format=torch.{form}).shape" for like in ("empty_like", "zeros_like") for form in ("channels_last", "preserve_format")},
    **{f"an index beyond long: {use}": f"r = {use}" for use in ("x[2**70]", "x[-2**70]", "x[(2**70,)]", "x.__setitem__(2**70, 1)", "x[5]")},
    **{f"{loss} {more}": AT_THE_EDGE + f"y = torch.ones(9, requires_grad=True); l = F.{loss}(v, y, reduction='none'{more}); l.sum().backward(); r = l.tolist(), [round(g, 4) + 0. for g in v.grad.tolist() + y.grad.tolist()]"
       for loss, more in (("huber_loss", ""), ("huber_loss", ", delta=0.5"), ("smooth_l1_loss", ""), ("smooth_l1_loss", ", beta=0.5"))},
    **{f"{name} at the edge": AT_THE_EDGE + f"F.{name}(v).sum().backward(); r = [round(g, 4) for g in v.grad.tolist()]" for name in ("elu", "selu", "celu", "leaky_relu", "hardswish", "softplus")},
    **{f"resized by {make}": "import warnings\nwith warnings.catch_warnings(record=True) as w:\n    warnings.simplefilter('always')\n"
       f"    r = [tuple(torch.{make}.shape)]\nr += [str(x.message).partition(' (Trigg')[0] for x in w]"
       for make in ("zeros(2, 3, out=torch.zeros(1))", "full((2,), 1., out=torch.zeros(1))", "empty(2, out=torch.zeros(1))", "arange(3., out=torch.zeros(1))", "arange(3., out=torch.zeros(0))", "linspace(0, 1, 3, out=torch.zeros(1))",
                    "eye(2, out=torch.zeros(1))", "rand(2, out=torch.zeros(1))", "randperm(3, out=torch.zeros(1, dtype=torch.long))", "normal(0., 1., (2,), out=torch.zeros(1))", "exp(torch.zeros(3), out=torch.zeros(1))")},
    **{f"a device of {given}": f"d = torch.device({given}); r = d.type, d.index" for given in (
        "'cpu', '0'", "''", "'cpu', 1.", "'cpu:00'", "'cpu:1'", "'CPU'", "device='cpu'", "'cpu', index=2", "' cpu'", "'cpu', None")},
    **{f"unequal: {use}": f"torch.{use}" for use in (
        "ones(6).as_strided((2, 2), (1,))", "empty_strided((2, 2), (1,))", "ones(1).new_empty_strided((2,), (1, 1))", "ones(4).set_(torch.ones(4), 0, (2, 2), (1,))")},
    **{f"shown as {use}": f"r = str(torch.{use}).replace('jtorch', 'torch').partition(' at ')[0]" for use in ("set_grad_enabled(True)", "no_grad()", "autograd.detect_anomaly()", "inference_mode")},
    **{f"{make} asks nobody: {given}": "from importlib import import_module\nO = import_module(torch.__name__ + '.overrides')\n"
       "class L:\n    @classmethod\n    def __torch_function__(cls, *a, **k): return 'asked'\nclass S(torch.Tensor): pass\nseen = []\n"
       "class M(O.TorchFunctionMode):\n    def __torch_function__(self, func, types, args=(), kwargs=None):\n        seen.append(func.__name__); return func(*args, **(kwargs or {}))\n"
       f"a = {given}\nwith M(): r = torch.{make}(a)\nr = type(r).__name__, r is a, seen"
       for make in ("tensor", "as_tensor", "asarray", "from_numpy") for given in ("L()", "x.as_subclass(S)", "x.numpy()", "[1, 2]")},
    "a handle's text": "r = str(torch.nn.Linear(1, 1).register_forward_hook(print)).partition(' object')[0].partition('torch')[2]",
    "hooks of all modules, put there": "from collections import OrderedDict\nm = torch.nn.modules.module; seen = []; l = torch.nn.Linear(3, 1)\n"
    "m.register_module_forward_hook(lambda *a: seen.append(1)); l(x); m._global_forward_hooks = OrderedDict(); l(x)\n"
    "m._global_forward_pre_hooks = OrderedDict({0: lambda *a: seen.append(2)}); l(x); m._global_forward_pre_hooks = OrderedDict(); l(x); r = seen",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_do_the_same(name: str) -> None:
    """Values, or the exception and its words."""
    assert outcome(jtorch, executed(PROGRAMS[name])) == outcome(torch, executed(PROGRAMS[name]))


def test_deprecated_overloads_are_warned_of_each_time_where_that_is_asked_for() -> None:
    def said(name: str) -> Any:
        code = (
            f"import {name} as t, warnings\nt.set_warn_always(True); o = t.ones(1)\nwith warnings.catch_warnings(record=True) as w:\n    warnings.simplefilter('always')\n"
            "    t.addcmul(o, 2, o, o); t.add(o, 2, o)\nprint(len(w), [str(x.message).partition('Consider')[0] for x in w])"
        )
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said("jtorch") == said("torch")
