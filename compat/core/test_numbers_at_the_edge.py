"""Numbers at the edge: nan, infinities, ties, -0 and what a type cannot hold, through values and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import jtorch

nan, inf = math.nan, math.inf
ROWS = {"one nan": [1.0, nan, 2.0, 2.0], "nans": [nan, nan, 1.0, 3.0], "infinities": [inf, inf, -inf, 1.0]}
PAIRS = [2, 2]
# name -> (library, x) -> a tensor to differentiate
REDUCED: dict[str, Callable[[Any, Any], Any]] = {
    "amax": lambda t, x: x.amax(0),
    "amin": lambda t, x: x.amin(),
    "max": lambda t, x: x.max(),
    "min": lambda t, x: x.min(),
    "max along": lambda t, x: x.max(0)[0],
    "aminmax": lambda t, x: t.aminmax(x, dim=0).max - t.aminmax(x).min,
    "median": lambda t, x: x.median(),
    "nanmedian": lambda t, x: x.nanmedian(),
    "norm of inf": lambda t, x: t.linalg.vector_norm(x, inf),
    "norm of -inf": lambda t, x: t.linalg.vector_norm(x, -inf),
    "norm of 1": lambda t, x: x.norm(1),
    "abs": lambda t, x: x.abs(),
    "maximum": lambda t, x: t.maximum(x, x.detach().flip(0)),
    "segment max": lambda t, x: t.segment_reduce(x, "max", lengths=t.tensor(PAIRS)),
    "segment min": lambda t, x: t.segment_reduce(x, "min", lengths=t.tensor(PAIRS), initial=1.5),
    "segment prod": lambda t, x: t.segment_reduce(x, "prod", lengths=t.tensor([0, 4]), initial=2.0),
    "segment mean": lambda t, x: t.segment_reduce(x, "mean", lengths=t.tensor([2, 0, 2])),
    "pdist, 1": lambda t, x: t.nn.functional.pdist(x.view(2, 2), 1),
    "pdist, 1.5": lambda t, x: t.nn.functional.pdist(x.view(2, 2), 1.5),
    "pdist, 2": lambda t, x: t.nn.functional.pdist(x.view(2, 2)),
    "pdist, 3": lambda t, x: t.nn.functional.pdist(x.view(4, 1), 3),
    "pdist, inf": lambda t, x: t.nn.functional.pdist(x.view(2, 2), inf),
    "cdist, 1": lambda t, x: t.cdist(x.view(2, 2), x.detach().view(2, 2), 1),
    "cdist, 2": lambda t, x: t.cdist(x.view(2, 2), x.detach().view(2, 2)),
}


def with_gradient(lib: Any, f: Callable[[Any, Any], Any], row: list[float]) -> tuple[Any, Any]:
    x = lib.tensor(row, requires_grad=True)
    y = f(lib, x)
    y.sum().backward()
    return y.detach().numpy(), x.grad.numpy()


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", REDUCED)
def test_gradients(name: str, row: str) -> None:
    ours, theirs = with_gradient(jtorch, REDUCED[name], ROWS[row]), with_gradient(torch, REDUCED[name], ROWS[row])
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=f"{theirs}")


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("source", [[1.0, 1.0, 2.0, 2.0], [nan, 1.0, nan, 0.0]])
def test_scattered(source: list[float], reduce: str, include_self: bool) -> None:
    def run(lib: Any) -> list[Any]:
        found = []
        for base in ([1.0, 2.0, 7.0], [nan, 0.0, nan], [5.0, -1.0, 0.0]):
            for method in ("scatter_reduce", "index_reduce"):
                x, s = lib.tensor(base, requires_grad=True), lib.tensor(source, requires_grad=True)
                y = getattr(x, method)(0, lib.tensor([0, 0, 1, 1]), s, reduce, include_self=include_self)
                y.sum().backward()
                found += [y.detach().numpy(), x.grad.numpy(), s.grad.numpy()]
        return found

    for a, b in zip(run(jtorch), run(torch), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


FLOATS = [nan, inf, -inf, 1e10, -1e10, 3e9, -3e9, 300.0, -1.0, -129.0, 1e20, -1e20, 256.7, -0.5, 2.0**31, 2.0**63, 65536.0, 1e5, -(2.0**31), -(2.0**63), 2.0**32]


@pytest.mark.parametrize("integer", ["int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("real", ["float32", "float64", "float16", "bfloat16"])
def test_floats_become_integers(real: str, integer: str) -> None:
    """As torch's kernels have it on the processors they are made for: the low bits of what its registers hold, or of their smallest number."""

    def run(lib: Any) -> list[Any]:
        x, kind = lib.tensor(FLOATS, dtype=getattr(lib, real)), getattr(lib, integer)
        filled = lib.zeros(len(FLOATS), dtype=kind)
        filled[:] = x * 1
        return [x.to(kind).tolist(), filled.tolist(), [v.to(kind).item() for v in x * 1]]

    assert run(jtorch) == run(torch)


SIGNED: dict[str, Callable[[Any, Any], Any]] = {
    "relu": lambda t, x: t.relu(x),
    "relu_": lambda t, x: x.clone().relu_(),
    "ReLU": lambda t, x: t.nn.ReLU()(x),
    "relu6": lambda t, x: t.nn.functional.relu6(x),
    "hardtanh": lambda t, x: t.nn.functional.hardtanh(x, 0.0, 1.0),
    "clamp": lambda t, x: x.clamp(0, 1),
    "clamp_min": lambda t, x: x.clamp(min=0),
    "clamp_max": lambda t, x: x.clamp(max=0),
    "clamp by nan": lambda t, x: x.clamp(min=t.tensor(nan)),
    "leaky_relu": lambda t, x: t.nn.functional.leaky_relu(x),
}


@pytest.mark.parametrize("name", SIGNED)
def test_minus_zero(name: str) -> None:
    def run(lib: Any) -> list[str]:
        return [repr(v) for v in SIGNED[name](lib, lib.tensor([-0.0, 0.0, 1.0, nan] * 5)).tolist()]

    assert run(jtorch) == run(torch)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(5, 13), (30, 7)])
def test_resized_bytes(mode: str, antialias: bool, size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 12, 9)).astype(np.uint8)
    for corners in (False, True):
        ours, theirs = (lib.nn.functional.interpolate(lib.from_numpy(images), size, mode=mode, align_corners=corners, antialias=antialias).numpy() for lib in (jtorch, torch))
        assert (ours == theirs).all()
