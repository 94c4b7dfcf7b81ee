"""Half tensors round where torch rounds, to the bit: beside a number or 0-dim tensor once, products with a bias once, other chains at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from compat import bridge

CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "mul": lambda t, x, s: x * s,
    "mul_": lambda t, x, s: x.clone().mul_(s),
    "rmul": lambda t, x, s: s * x,
    "div": lambda t, x, s: x / s,
    "floor_divide": lambda t, x, s: x // s,
    "trunc": lambda t, x, s: t.div(x, s, rounding_mode="trunc"),
    "rdiv": lambda t, x, s: s / x,
    "add": lambda t, x, s: x + s,
    "rsub": lambda t, x, s: s - x,
    "softshrink": lambda t, x, s: t.nn.functional.softshrink(x, s),
    "threshold": lambda t, x, s: t.nn.functional.threshold(x, s, 0.3),
}
ONLY_NUMBERS = ("rmul", "rdiv", "rsub", "softshrink", "threshold")  # on the left a 0-dim tensor is rounded first, in torch too
STEPWISE: dict[str, Callable[[Any, Any, Any], Any]] = {
    "trunc": lambda t, x, y: t.div(x, y, rounding_mode="trunc"),
    "floor": lambda t, x, y: x // y,
    "xlogy": lambda t, x, y: t.xlogy(x, y.abs()),
    "logit": lambda t, x, y: t.logit(x),
    "logit_eps": lambda t, x, y: t.logit(x, 0.1),
    "pow_0.3": lambda t, x, y: x.abs() ** 0.3,
    "pow_3.14": lambda t, x, y: x.abs() ** 3.14,
    "pow_3": lambda t, x, y: x**3,
    "pow_-2": lambda t, x, y: x**-2,
    "addmm": lambda t, x, y: t.addmm(x[:10], x.view(100, 5), y[:50].view(5, 10), beta=0.6, alpha=0.2),
    "addmv": lambda t, x, y: t.addmv(x[:20], x.view(20, 25), y[:25], beta=0.6, alpha=0.2),
    "baddbmm": lambda t, x, y: t.baddbmm(x[:50].view(2, 5, 5), x[:100].view(2, 5, 10), y[:100].view(2, 10, 5), beta=0.6, alpha=0.2),
    "linear": lambda t, x, y: t.nn.functional.linear(x.view(20, 25), y.view(20, 25), y[:20]),
    "conv2d": lambda t, x, y: t.conv2d(x[:486].view(2, 3, 9, 9), y[:162].view(6, 3, 3, 3), y[:6]),
}


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", STEPWISE)
def test_rounded_where_torch_rounds(name: str, kind: str) -> None:
    values = np.random.RandomState(0).randn(2, 500).astype("f4")
    theirs, ours = (STEPWISE[name](t, *t.tensor(values).to(getattr(t, kind))).float().numpy() for t in (torch, bridge.jtorch()))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("scalars", [(1.0005, 0.1), pytest.param((3.3333, 1e-3), marks=pytest.mark.slow), (7,)], ids=str)  # one program each; the second may be the first one's, its numbers given
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_same_bits(name: str, kind: str, scalars: tuple[float, ...]) -> None:
    values = np.random.RandomState(0).randn(500).astype("f4")

    def results(t: Any) -> list[np.ndarray]:
        x = t.tensor(values).to(getattr(t, kind))
        made = [CASES[name](t, x, scalar) for scalar in scalars]
        if name not in ONLY_NUMBERS:
            made += [CASES[name](t, x, s) for scalar in scalars for s in (t.tensor(scalar), t.tensor(float(scalar), dtype=t.float64))]
        return [y.float().numpy() for y in made]

    for theirs, ours in zip(results(torch), results(bridge.jtorch()), strict=True):
        np.testing.assert_array_equal(ours, theirs)
