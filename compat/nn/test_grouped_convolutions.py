"""Convolutions in groups have ways of their own on the cpu: torch's numbers and gradients, once and twice, in all dims, with strides, holes and halves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jtorch

CASES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {  # dims, input, weight, options
    "each channel alone": (2, (2, 6, 7, 5), (6, 1, 3, 3), {"groups": 6, "padding": 1}),
    "alone, several outputs": (2, (2, 5, 8, 6), (15, 1, 3, 2), {"groups": 5, "stride": 2, "dilation": (1, 2)}),
    "alone, one dim": (1, (3, 12, 9), (12, 1, 4), {"groups": 12, "padding": 3}),
    "alone, one channel in and several out": (2, (2, 1, 5, 5), (3, 1, 3, 3), {"groups": 1}),
    "alone, a large kernel": (1, (2, 3, 140), (3, 1, 130), {"groups": 3}),
    "alone, many sums in one pass": (2, (2, 4, 60, 50), (8, 1, 3, 3), {"groups": 4, "stride": (2, 1), "padding": 1}),
    "few groups": (2, (2, 6, 7, 5), (4, 3, 3, 3), {"groups": 2, "stride": (2, 1), "padding": (1, 0)}),
    "few groups, three dims": (3, (1, 4, 4, 5, 3), (6, 2, 2, 3, 1), {"groups": 2, "padding": 1, "dilation": (1, 2, 1)}),
    "many groups": (2, (2, 18, 6, 5), (27, 2, 3, 3), {"groups": 9, "padding": 1}),
    "many groups, strides": (2, (2, 18, 9, 7), (9, 2, 2, 3), {"groups": 9, "stride": 2, "padding": (0, 1)}),
    "many groups, kernel of one": (1, (2, 18, 6), (9, 2, 1), {"groups": 9}),
}
TRANSPOSED: dict[str, tuple[int, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "each channel alone": (2, (2, 6, 4, 5), (6, 1, 3, 3), {"groups": 6, "stride": 2, "padding": 1, "output_padding": 1}),
    "few groups": (2, (2, 4, 4, 3), (4, 3, 3, 2), {"groups": 2, "stride": (2, 1)}),
    "many groups": (1, (2, 18, 6), (18, 2, 3), {"groups": 9, "stride": 3, "dilation": 2, "padding": 5}),
}


def _run(t: Any, name: str, x: Any, w: Any, options: dict[str, Any], half: bool, twice: bool) -> list[np.ndarray]:
    kind = t.bfloat16 if half else t.float32
    given = [t.tensor(a).to(kind).requires_grad_() for a in (x, w)]
    y = getattr(t.nn.functional, name)(*given, **options)
    weights = t.linspace(-1, 1, y.numel()).view(y.shape).to(kind)
    grads = t.autograd.grad((y * weights).sum() if half else (y * y * weights).sum(), given, create_graph=twice)
    more = t.autograd.grad(sum((g * g).sum() for g in grads), given) if twice else ()
    return [a.detach().float().numpy() for a in (y, *grads, *more)]


def _compare(name: str, case: tuple[int, tuple[int, ...], tuple[int, ...], dict[str, Any]], half: bool = False, twice: bool = False) -> None:
    n, shape, kernel, options = case
    r = np.random.RandomState(0)
    x, w = r.randn(*shape).astype("f4"), r.randn(*kernel).astype("f4")
    for a, b in zip(*(_run(t, f"{name}{n}d", x, w, options, half, twice) for t in (jtorch, torch)), strict=True):
        scale = max(1.0, float(np.abs(b).max()))
        np.testing.assert_allclose(a, b, rtol=1.6e-2 if half else 1e-4, atol=(1e-2 if half else 1e-5) * scale)  # bfloat16's rounding; sums in another order


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_torchs(case: str) -> None:
    _compare("conv", CASES[case])


@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed(case: str) -> None:
    _compare("conv_transpose", TRANSPOSED[case])


@pytest.mark.parametrize("case", ["each channel alone", "few groups", "many groups"])
def test_halves(case: str) -> None:
    _compare("conv", CASES[case], half=True)


@pytest.mark.parametrize("case", ["alone, several outputs", "alone, many sums in one pass", "few groups", "many groups, strides"])
def test_twice(case: str) -> None:
    _compare("conv", CASES[case], twice=True)
