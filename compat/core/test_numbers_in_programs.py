"""Numbers in a program are not computed with before it runs: what torch rounds after each operator is rounded after each, in the first run and in later ones, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from compat import bridge

TO_WHOLE = 12582912.0  # 1.5 * 2**23: adding it to a float32 rounds that to a whole number
X = np.random.RandomState(0).randn(4, 1000).astype("f4")

CASES: dict[str, Callable[[Any, Any], Any]] = {
    "sums": lambda t, x: x + 0.7579 + 0.8444,
    "sums of whole numbers": lambda t, x: x + 12582912 - 12582912,
    "differences": lambda t, x: 0.3 - (x - 0.7579 - 0.8444),
    "products": lambda t, x: x * 0.7579 * 0.8444 * 3,
    "quotients": lambda t, x: x / 3 / 7,
    "products and quotients": lambda t, x: x * 0.7 / 3 * 5,
    "normalised": lambda t, x: (x / 255 - 0.485) / 0.229,
    "rounded by a large number": lambda t, x: (x * 5 + TO_WHOLE) - TO_WHOLE,
    "with alpha": lambda t, x: t.add(t.add(x, t.ones(1000), alpha=TO_WHOLE), t.ones(1000), alpha=-TO_WHOLE),
    "filled": lambda t, x: (x + t.empty(1000).fill_(TO_WHOLE)) - t.empty(1000).fill_(TO_WHOLE),
    "full": lambda t, x: (x + t.full((1000,), TO_WHOLE)) - t.full_like(x, TO_WHOLE),
    "in place": lambda t, x: x.clone().mul_(5).add_(TO_WHOLE).sub_(TO_WHOLE),
    "double": lambda t, x: x.double() * 0.3 * 0.7,
    "bfloat16": lambda t, x: (x.bfloat16() * 3 * 7 + 5.5 + 9.25 - 11).float(),
    "complex": lambda t, x: t.view_as_real(x * (1 + 0.3j) * 0.7j + 1.3 + 0.7),
}


def results(t: Any, case: Callable[[Any, Any], Any]) -> list[np.ndarray]:
    x = t.tensor(X)
    w = x.clone().requires_grad_()
    case(t, w).abs().neg().relu().sum().backward()
    return [case(t, x).abs().relu().neg().numpy(), w.grad.numpy()]


@pytest.mark.parametrize("name", CASES)
def test_numbers_of_a_program(name: str) -> None:
    want = results(torch, CASES[name])
    for _ in range(2):
        for a, b in zip(want, results(bridge.jtorch(), CASES[name]), strict=True):
            assert a.tobytes() == b.tobytes()
