"""Recurrent layers whose weights are large beside the batch, and LSTMs whose steps are small, have a derivative of their own: torch's numbers, once and twice, and forward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jtorch

CASES: dict[str, dict[str, Any]] = {
    "LSTM": {"bidirectional": True},
    "LSTM, packed": {"packed": True},
    "GRU": {},
    "GRU, packed": {"packed": True, "bias": False},
    "RNN": {},
    "RNN, relu": {"nonlinearity": "relu", "packed": True},
    "LSTM, twice": {"twice": True},
    "LSTM, small": {"hidden": 7, "packed": True},
    "LSTM, projected": {"hidden": 7, "proj_size": 4},
    "LSTM, many elements a step": {"hidden": 64, "batch": 65},
    "LSTM, many, twice": {"hidden": 64, "batch": 65, "twice": True},
}


def _run(t: Any, kind: str, packed: bool = False, twice: bool = False, hidden: int = 128, batch: int = 3, **options: Any) -> list[np.ndarray]:
    t.manual_seed(0)
    layer = getattr(t.nn, kind)(5, hidden, **options)
    x = t.randn(4, batch, 5, requires_grad=True)
    given = t.nn.utils.rnn.pack_padded_sequence(x, t.tensor([4, 2, 1])) if packed else x
    out, last = layer(given)
    if packed:
        out, _ = t.nn.utils.rnn.pad_packed_sequence(out)
    lasts = last if isinstance(last, tuple) else (last,)
    loss = (out * out).sum() + sum((h * h * h).sum() for h in lasts)
    inputs = [x, *layer.parameters()]
    gradients = t.autograd.grad(loss, inputs, create_graph=twice)
    if twice:
        gradients = (*gradients, *t.autograd.grad(sum((g * g).sum() for g in gradients), inputs))
    return [a.detach().numpy() for a in (out, *lasts, *gradients)]


LONG = ("LSTM, twice", "GRU, packed", "RNN", "LSTM, small")  # each of their kinds is in another case, too


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow if c in LONG else ()) for c in CASES])
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_numbers_are_torchs(case: str) -> None:
    kind = case.split(",")[0]
    for a, b in zip(_run(jtorch, kind, **CASES[case]), _run(torch, kind, **CASES[case]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * max(1.0, np.abs(b).max()))  # sums of 128 products in another order


def test_forward() -> None:
    """Torch has no derivative forward of its LSTM here: the difference quotient in double precision."""
    jtorch.manual_seed(0)
    layer, x, v = jtorch.nn.LSTM(5, 128).double(), jtorch.randn(4, 3, 5).double(), jtorch.randn(4, 3, 5).double()
    _, tangent = jtorch.func.jvp(lambda a: layer(a)[0], (x,), (v,))
    with jtorch.no_grad():
        quotient = (layer(x + 1e-6 * v)[0] - layer(x - 1e-6 * v)[0]) / 2e-6
    np.testing.assert_allclose(tangent.detach().numpy(), quotient.numpy(), atol=1e-8)
