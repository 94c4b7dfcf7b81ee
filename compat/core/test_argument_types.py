"""Arguments of other types than a function asks for: tensors, texts, None and complex numbers where a number stands. The outcome is torch's: a result of the same shape and type, or the same class of exception."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from compat import bridge

GIVEN = ["torch.tensor(0.5)", "torch.ones(2)", "torch.tensor([1])", "torch.tensor(0.5, requires_grad=True)", "True", "'x'", "[1]", "np.float32(1)", "np.array(1.0)", "None"]
NUMBERS = """
a.clone().fill_diagonal_(z)
a.add(a, alpha=z)
torch.addmm(a, a, a, beta=z)
F.threshold(a, z, 1)
F.leaky_relu(a, z)
torch.full((2,), z)
torch.full_like(a, z)
a.new_full((2,), z)
torch.arange(z)
torch.linspace(0, z, 3)
torch.logspace(z, 1, 3)
torch.scalar_tensor(z)
torch.dist(a, a, z)
a.renorm(z, 0, 1)
torch.addcmul(a, a, a, value=z)
a.nan_to_num(z)
a.clone().normal_(z)
a.clone().uniform_(z, 3)
a.clone().exponential_(z)
a.clone().cauchy_(z)
torch.dropout(a, z, True)
F.layer_norm(a, (2,), eps=z)
torch.isclose(a, a, rtol=z)
torch.histc(a, 2, z, 3)
torch.normal(z, 1.0, (2,))
""".split("\n")[1:-1]
INTEGERS = """
torch.eye(z)
a.unsqueeze(z)
a.sum(z)
a.roll(z)
a.chunk(z)
a.flatten(z)
a.size(z)
a.stride(z)
a.narrow(z, 0, 1)
torch.multinomial(a, z)
torch.tril_indices(z, 2)
torch.hann_window(z)
torch.fft.fftfreq(z)
torch.vander(a[0], N=z)
torch.trapezoid(a, dx=z)
a.requires_grad_(z)
a.contiguous(z)
a.half(z)
""".split("\n")[1:-1]
# A tensor with a dim may be an integer of torch's where a size may be symbolic, and not elsewhere: nothing here says which it is. And torch's trapezoid subtracts from a bool.
_EITHER = {("torch.eye(z)", "torch.tensor([1])"), ("a.narrow(z, 0, 1)", "torch.tensor([1])"), ("a.chunk(z)", "torch.tensor([1])"), ("torch.multinomial(a, z)", "torch.tensor([1])"), ("torch.trapezoid(a, dx=z)", "True")}


def _outcome(lib: Any, call: str, given: str) -> Any:
    world = {"torch": lib, "F": lib.nn.functional, "np": np, "a": lib.ones(2, 2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        world["z"] = eval(given, world)
        try:
            out = eval(call, world)
        except Exception as error:
            return type(error).__name__
    return (tuple(out.shape), str(out.dtype)) if isinstance(out, lib.Tensor) else out if isinstance(out, (int, tuple)) and not hasattr(out, "_fields") else type(out).__name__


@pytest.mark.parametrize("call", NUMBERS + INTEGERS)
def test_outcomes(call: str) -> None:
    given = [g for g in GIVEN if (call, g) not in _EITHER]
    found = [{g: _outcome(lib, call, g) for g in given} for lib in (bridge.jtorch(), torch)]
    assert found[0] == found[1]


@pytest.mark.parametrize("call", ["a.normal_('x')", "torch.dropout(a, 'x', True)", "torch.eye(2.5)", "a.flatten('x')", "torch.flatten(a, 'x')", "torch.fft.fftfreq('x')", "torch.full((2,), torch.ones(2))", "a.size('x')", "a.requires_grad_('x')",
                                  "F.cross_entropy(None, a)", "F.cross_entropy(a, [1])", "F.nll_loss(2.5, a)", "F.nll_loss(a, 'x')", "F.pad(None, (1, 1))", "F.pad(np.ones(2), (1, 1))",
                                  "torch.bernoulli(np.ones(2))", "torch.flatten(None)", "torch.equal(a, None)"])  # fmt: skip
def test_words(call: str) -> None:
    said = []
    for lib in (bridge.jtorch(), torch):
        with pytest.raises(TypeError) as error:
            eval(call, {"torch": lib, "F": lib.nn.functional, "np": np, "a": lib.ones(2, 2)})
        said.append(str(error.value))
    assert said[0] == said[1]
