"""Attention whose scores are many is computed a block of rows at a time, with the same numbers as torch's; also where one program serves many sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jtorch

CASES: dict[str, dict[str, Any]] = {
    "more columns": {"columns": 530},
    "causal, more rows": {"is_causal": True, "columns": 515, "rows": 600},
    "a mask for each": {"mask": (2, 1, 513, 513)},
    "a mask of columns": {"mask": (2, 1, 1, 513)},
    "a bias with gradients": {"bias": (2, 513, 513)},
    "a row that sees nothing": {"mask": (513, 513), "blind": True},
    "groups of heads": {"heads": 1, "enable_gqa": True},
    "three dims": {"lead": (4,), "heads": None, "scale": 0.5},
    # from 8 million scores on, in a loop
    "in turn, causal": {"lead": (8,), "is_causal": True, "rows": 730, "columns": 800},
    "in turn, a mask for each": {"lead": (8,), "mask": (8, 1, 730, 800), "rows": 730, "columns": 800},
    "in turn, a bias with gradients": {"lead": (8,), "bias": (2, 1, 800), "rows": 730, "columns": 800},
}


def _run(t: Any, rows: int = 513, columns: int | None = None, mask: Any = None, bias: Any = None, blind: bool = False, heads: int | None = 2, lead: Any = (2,), scale: float | None = None, **options: Any) -> list[np.ndarray]:
    t.manual_seed(0)
    of_query = lead if heads is None else (*lead, 2)
    of_key = lead if heads is None else (*lead, heads)
    q, k, v = (t.randn(*s, n, 8, requires_grad=True) for s, n in ((of_query, rows), (of_key, columns or rows), (of_key, columns or rows)))
    given = [q, k, v]
    m = None
    if mask is not None:
        m = t.rand(*mask) > 0.2
        if blind:
            m[7] = False
    if bias is not None:
        m = t.randn(*bias, requires_grad=True)
        given.append(m)
    y = t.nn.functional.scaled_dot_product_attention(q, k, v, m, scale=scale, **options)
    (y * y).sum().backward()
    return [y.detach().numpy(), *[x.grad.numpy() for x in given]]


def _close(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * np.abs(b).max())  # sums of 513 products in another order


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_torchs(case: str) -> None:
    _close(_run(jtorch, **CASES[case]), _run(torch, **CASES[case]))


@pytest.mark.parametrize("options", [{"is_causal": True, "scale": 0.3}, {"mask": True}], ids=["causal", "mask"])
def test_one_program_for_many_sizes(options: dict[str, Any]) -> None:
    for rows in (513, 521, 600):
        given = {**options, "mask": (rows, rows)} if "mask" in options else options
        _close(_run(jtorch, rows=rows, **given), _run(torch, rows=rows, **given))


def test_second_derivatives() -> None:
    found = []
    for t in (jtorch, torch):
        t.manual_seed(0)
        q, k, v = (t.randn(2, 2, 513, 4, requires_grad=True) for _ in range(3))
        with t.nn.attention.sdpa_kernel(t.nn.attention.SDPBackend.MATH):  # torch's fused kernel has no second derivative
            y = t.nn.functional.scaled_dot_product_attention(q, k, v)
        (g,) = t.autograd.grad((y * y).sum(), q, create_graph=True)
        (g * g).sum().backward()
        found.append([q.grad.numpy(), k.grad.numpy(), v.grad.numpy()])
    _close(*found)
