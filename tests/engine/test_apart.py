"""Operators of one program that XLA would compute together are rounded, and overflow, one after the other. Expectations are IEEE's, by numpy, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jtorch as torch

CASES: dict[str, tuple[Any, tuple[float, ...]]] = {
    "log(exp)": (lambda lib, a: lib.log(lib.exp(a)), (131.0,)),
    "exp * exp": (lambda lib, a, b: lib.exp(a) * lib.exp(b), (100.0, -50.0)),
    "a / b / c": (lambda lib, a, b, c: a / b / c, (1e38, 1e30, 1e30)),
    "a / (b / c)": (lambda lib, a, b, c: a / (b / c), (1e30, 1e30, 1e30)),
    "sqrt(a * a)": (lambda lib, a: lib.sqrt(a * a), (1e30,)),
    "sqrt(a ** 2)": (lambda lib, a: lib.sqrt(a**2), (1e30,)),
}


@pytest.mark.parametrize("case", CASES)
def test_as_one_after_the_other(case: str) -> None:
    fn, numbers = CASES[case]
    with np.errstate(all="ignore"):
        expected = fn(np, *[np.full(4, x, np.float32) for x in numbers])
    given = [torch.full((4,), x) for x in numbers]
    assert np.array_equal(fn(torch, *given).numpy(), expected)


def test_through_a_view() -> None:
    x = torch.full((4,), 131.0)
    assert x.exp().view(2, 2).t().log().flatten().tolist() == [float("inf")] * 4


def test_quotients_are_rounded_twice() -> None:
    r = np.random.RandomState(0)
    a, b, c = (np.abs(r.randn(1024)).astype(np.float32) + np.float32(0.01) for _ in range(3))
    x, y, z = map(torch.from_numpy, (a, b, c))
    assert np.array_equal((x / y / z).numpy(), a / b / c)
    assert np.array_equal((x / (y / z)).numpy(), a / (b / c))
    assert np.array_equal((x / y.sqrt()).numpy(), a / np.sqrt(b))
