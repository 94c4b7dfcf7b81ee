"""Programs of many sizes whose tensors come from operators that take sizes as numbers, and no tensor of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import jtorch


def _run(t: Any, shift: float) -> list[Any]:
    found = []
    for n in range(3, 8):
        theta = t.tensor([[[1.0, shift, 0.0], [0.1, 1.0, 0.0]]])
        grid = t.nn.functional.affine_grid(theta, (1, 1, n, n + 1), align_corners=True)
        image = t.arange(12.0).reshape(1, 1, 3, 4)
        found.append((grid[0, n - 1, 0, 1].item(), t.nn.functional.grid_sample(image, grid, align_corners=True).numpy(), grid.numpy()))
    return found


def test_grids_of_many_sizes() -> None:
    for a, b in zip(_run(jtorch, 0.2), _run(torch, 0.2), strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)
