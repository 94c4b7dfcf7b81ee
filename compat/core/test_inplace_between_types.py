"""Writes in place where the result has a wider type than the tensor: values and both gradients, under both libraries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

NAMES = ["mul_", "div_", "fmod_", "remainder_", "pow_", "atan2_", "copysign_", "hypot_", "xlogy_", "sub_", "true_divide_"]


def gradients(lib: Any, name: str, part: bool) -> list[Any]:
    x = lib.tensor([[1.5, -2.0, 0.7], [0.25, 3.0, -1.0]], requires_grad=True)
    y = lib.tensor([0.4, 0.9, -0.3], dtype=lib.float64, requires_grad=True)
    a = x.clone()
    (getattr(a[0], name) if part else getattr(a, name))(y)
    loss = (a.double() * lib.arange(1.0, 7.0).reshape(2, 3)).sum()
    loss.backward()
    return [str(a.dtype), a.tolist(), x.grad.tolist(), str(y.grad.dtype), y.grad.tolist()]


@pytest.mark.parametrize("part", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_between_types(name: str, part: bool) -> None:
    ours, theirs = gradients(jtorch, name, part), gradients(torch, name, part)
    for a, b in zip(ours, theirs, strict=True):
        assert a == (b if isinstance(b, str) else pytest.approx(b, rel=1e-5, nan_ok=True) if not isinstance(b[0], list) else [pytest.approx(r, rel=1e-5, nan_ok=True) for r in b])
