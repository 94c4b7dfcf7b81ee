"""Operators that take another way from some number of elements on: values and gradients are torch's there, too, with what is not finite among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import jtorch

_R = np.random.RandomState(5)
_MANY = 40_000


def _close(ours: Any, theirs: Any, tolerance: float) -> bool:
    return np.allclose(ours.detach().double().numpy(), theirs.detach().double().numpy(), rtol=tolerance, atol=tolerance, equal_nan=True)


def test_sine_and_cosine() -> None:
    for size in (1.0, 1e3, 1e6, 5e8, 1e12):
        a = (size * (2 * _R.rand(_MANY) - 1)).astype("f4")
        for name in ("sin", "cos"):
            exact = getattr(np, name)(a.astype("f8"))
            ours = getattr(jtorch, name)(jtorch.tensor(a)).numpy()
            assert (np.abs(ours - exact) <= np.spacing(np.abs(exact).astype("f4"))).all(), (size, name)
    a[3:6] = np.nan, np.inf, -np.inf
    for name in ("sin", "cos"):
        assert _close(getattr(jtorch, name)(jtorch.tensor(a)), getattr(torch, name)(torch.tensor(a)), 1e-6)
    found = []
    for lib in (jtorch, torch):
        x = lib.tensor(np.linspace(-9, 9, _MANY, dtype="f4"), requires_grad=True)
        (g,) = lib.autograd.grad(lib.sin(x).sum() + lib.cos(x * 2).sum(), x, create_graph=True)
        found.append((g, *lib.autograd.grad((g * g).sum(), x)))
    assert all(_close(*pair, 1e-5) for pair in zip(*found, strict=True))


def test_running_sums() -> None:
    for shape in ((256, 160), (8, 50, 128)):
        a = 3 * _R.randn(*shape)
        for kind in ("float32", "float64", "int64", "float16"):
            for odd in (False, True) if "float" in kind else (False,):
                if odd:
                    a = a.copy()
                    a.reshape(-1)[[5, 300, 20_001, 100]] = np.inf, -np.inf, np.nan, np.inf
                for dim in range(len(shape)):
                    ours, theirs = (lib.tensor(a if "float" in kind else np.nan_to_num(a, posinf=0, neginf=0)).to(getattr(lib, kind)).cumsum(dim) for lib in (jtorch, torch))
                    assert _close(ours, theirs, 2e-2 if kind == "float16" else 1e-4), (shape, kind, odd, dim)
    weights = _R.randn(256, 160).astype("f4")
    for dim in (0, 1):
        found = []
        for lib in (jtorch, torch):
            x = lib.tensor(weights, requires_grad=True)
            found.append(lib.autograd.grad((x.cumsum(dim) * lib.tensor(weights)).sum(), x)[0])
        assert _close(*found, 1e-4), dim


def test_sums_of_complex_numbers_that_are_computed_first() -> None:
    """Within one program, where XLA would add them one after the other: as exact as torch's."""
    a = (_R.rand(1 << 19) + 1j * _R.rand(1 << 19)).astype("c8")
    for run in (lambda x: ((x - 0.3) * (x - 0.3)).sum(), lambda x: (x * 2).mean(), lambda x: (x + 1).reshape(2, -1).sum(1)):
        exact = run(torch.tensor(a.astype("c16"))).numpy()
        assert np.allclose(run(jtorch.tensor(a)).numpy(), exact, rtol=2e-6)
        assert np.allclose(run(torch.tensor(a)).numpy(), exact, rtol=2e-6)
