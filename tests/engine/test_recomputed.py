"""What a backward computes again is cut out of the forward's program, constants included. Nothing of it is taken from the disk here: JAX's versions differ in how a program holds its constants."""

from __future__ import annotations

import pytest

import jtorch as torch
from jtorch import _config
from jtorch.nn import functional as F


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("pool", ["max_pool", "adaptive_max_pool"])
def test_maxima_of_windows(pool: str, dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "CACHE_DIR", "0")
    x = torch.arange(4.0**dims).reshape(1, 1, *[4] * dims).requires_grad_()
    getattr(F, f"{pool}{dims}d")(x, 2).sum().backward()
    last = torch.tensor([0.0, 1.0, 0.0, 1.0])
    wanted = last
    for _ in range(dims - 1):
        wanted = wanted.unsqueeze(-1) * last
    assert (x.grad[0, 0] == wanted).all()
