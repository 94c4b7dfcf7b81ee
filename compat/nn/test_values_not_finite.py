"""nan and infinity go only where a window or a neighbour reads them: resizing and adaptive averages beside real torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch as real

import jtorch

SIZES = [(4, 4), (16, 16), (5, 7), (11, 3)]


def _image(torch: Any) -> Any:
    x = torch.arange(64.0).view(1, 1, 8, 8).clone()
    x[0, 0, 2, 3], x[0, 0, 6, 1], x[0, 0, 7, 6] = float("nan"), float("inf"), -float("inf")
    return x


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "area", "adaptive", "bilinear, smooth", "bicubic, smooth"])
def test_resized(mode: str) -> None:
    kind, _, smooth = mode.partition(", ")
    for size in SIZES:
        for align in (False, True) if kind[0] == "b" and not smooth else (None,):  # smooth and aligned, torch meets neighbours of no weight

            def made(torch: Any) -> Any:
                functional = torch.nn.functional
                if kind == "adaptive":
                    return functional.adaptive_avg_pool2d(_image(torch), size)
                return functional.interpolate(_image(torch), size=size, mode=kind, align_corners=align, antialias=bool(smooth))

            np.testing.assert_allclose(made(jtorch).numpy(), made(real).numpy(), rtol=2e-5, atol=1e-4, err_msg=f"{size} {align}")


def test_what_is_resized_may_be_written_before_going_back() -> None:
    def gradient(torch: Any) -> Any:
        x = torch.ones(1, 1, 4, 4, requires_grad=True)
        y = x * 2
        z = torch.nn.functional.interpolate(y, size=(6, 6), mode="bilinear")
        y.mul_(0)
        z.sum().backward()
        return x.grad.numpy()

    np.testing.assert_allclose(gradient(jtorch), gradient(real), rtol=1e-5)
