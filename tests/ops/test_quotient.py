"""Division rounds as IEEE's does, where XLA would multiply by a reciprocal."""

from __future__ import annotations

import numpy as np
import pytest

import jtorch as torch


@pytest.mark.parametrize("divisor", [3, 7.0, 0.1, 30, 100])
def test_by_a_number_compiled_or_not(divisor: float) -> None:
    x = (np.random.RandomState(0).rand(257) * 10).astype("f4")
    t = torch.from_numpy(x.copy()).clone()
    for _ in range(3):
        np.testing.assert_array_equal((t / divisor).numpy(), x / np.float32(divisor))
        np.testing.assert_array_equal((t / torch.tensor(divisor, dtype=torch.float32)).numpy(), x / np.float32(divisor))
        np.testing.assert_array_equal((t[:1] / divisor).numpy(), x[:1] / np.float32(divisor))


def test_rows_and_gradients() -> None:
    x = (np.random.RandomState(1).rand(5, 33) * 10).astype("f4")
    rows = np.arange(3, 8, dtype="f4")[:, None]
    t = torch.from_numpy(x.copy()).clone().requires_grad_()
    weight = torch.from_numpy(x.copy()).clone()
    y = t / torch.from_numpy(rows.copy())
    np.testing.assert_array_equal(y.detach().numpy(), x / rows)
    (y * weight).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), x / rows)


@pytest.mark.parametrize("n", [3, 7, 30, 60])
def test_means_of_counts(n: int) -> None:
    for hits in range(n):
        x = torch.arange(n) < hits
        assert x.float().mean().item() == float(np.float32(hits) / np.float32(n))
