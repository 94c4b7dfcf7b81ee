"""Half tensors with a number or a 0-dim tensor: torch multiplies and divides by the scalar in float32 and rounds once; to the bit."""

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
}


@pytest.mark.parametrize("scalar", [1.0005, 0.1, 3.3333, 1e-3, 7])
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_same_bits(name: str, kind: str, scalar: float) -> None:
    values = np.random.RandomState(0).randn(500).astype("f4")

    def results(t: Any) -> list[np.ndarray]:
        x = t.tensor(values).to(getattr(t, kind))
        made = [CASES[name](t, x, scalar)]
        if name != "rmul":  # on the left a 0-dim tensor is rounded first, in torch too
            made += [CASES[name](t, x, t.tensor(scalar)), CASES[name](t, x, t.tensor(float(scalar), dtype=t.float64))]
        return [y.float().numpy() for y in made]

    for theirs, ours in zip(results(torch), results(bridge.jtorch()), strict=True):
        np.testing.assert_array_equal(ours, theirs)
