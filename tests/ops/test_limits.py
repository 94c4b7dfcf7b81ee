"""The limits of the list of gaps: one that no longer holds is to be struck off."""

import tomllib
from pathlib import Path

import numpy as np

import jtorch as torch

LIMITS = tomllib.loads((Path(__file__).resolve().parents[2] / "compat" / "gaps.toml").read_text())["limits"]
TINY = np.array([1e-39, -3e-42], np.float32)


def test_subnormal_numbers_on_the_cpu() -> None:
    assert "subnormal numbers on the cpu" in LIMITS
    x = torch.tensor(TINY)
    assert x.tolist() == x.clone().flip(0).flip(0).tolist() == TINY.tolist()  # kept where nothing is computed
    assert (x.repeat(2000) * 1.0).tolist() == [0.0, 0.0] * 2000  # more than numpy computes for a look: it keeps them, as torch does


def test_the_order_of_long_sums() -> None:
    assert "the order of long sums" in LIMITS
    x = np.random.RandomState(0).randn(64, 1000).astype(np.float32)
    one_by_one = np.cumsum(x, 1, dtype=np.float32)[:, -1]
    assert np.allclose(torch.tensor(x).sum(1).numpy(), one_by_one, rtol=1e-4, atol=1e-4)
    assert (torch.tensor(x).sum(1).numpy() != one_by_one).any()
