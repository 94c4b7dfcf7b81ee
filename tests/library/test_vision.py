"""torch.ops.torchvision against loops in numpy that say what each operator is, and against differences for the derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import jtorch as torch
import jtorch.ops

ops = jtorch.ops.torchvision
RNG = np.random.default_rng(0)


def boxes(count: int, size: float) -> np.ndarray:
    corner = RNG.random((count, 2)) * size
    return np.concatenate([corner, corner + RNG.random((count, 2)) * size], 1)


def regions(count: int, images: int, size: float) -> np.ndarray:
    return np.concatenate([RNG.integers(0, images, (count, 1)), boxes(count, size) - size / 8], 1)


def bilinear(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """One sample of [C, H, W], as torchvision interpolates for regions."""
    _, h, w = image.shape
    if y < -1 or y > h or x < -1 or x > w:
        return np.zeros(image.shape[0])
    y, x = max(y, 0.0), max(x, 0.0)
    y0, x0 = min(int(y), h - 1), min(int(x), w - 1)
    y, x = (float(y0) if y0 == h - 1 else y), (float(x0) if x0 == w - 1 else x)
    y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
    fy, fx = y - y0, x - x0
    return image[:, y0, x0] * (1 - fy) * (1 - fx) + image[:, y0, x1] * (1 - fy) * fx + image[:, y1, x0] * fy * (1 - fx) + image[:, y1, x1] * fy * fx


def align(x: np.ndarray, rois: np.ndarray, scale: float, ph: int, pw: int, ratio: int, aligned: bool, own: bool = False) -> np.ndarray:
    c = x.shape[1] // (ph * pw) if own else x.shape[1]
    out = np.zeros((len(rois), c, ph, pw))
    for k, (b, *corners) in enumerate(rois):
        x1, y1, x2, y2 = (v * scale - (0.5 if aligned or own else 0) for v in corners)
        w, h = x2 - x1, y2 - y1
        if not aligned and not own:
            w, h = max(w, 1.0), max(h, 1.0)
        gh, gw = (ratio if ratio > 0 else math.ceil(h / ph)), (ratio if ratio > 0 else math.ceil(w / pw))
        for i in range(ph):
            for j in range(pw):
                total: Any = np.zeros(x.shape[1])
                for a in range(gh):
                    for d in range(gw):
                        total = total + bilinear(x[int(b)], y1 + i * h / ph + (a + 0.5) * h / ph / gh, x1 + j * w / pw + (d + 0.5) * w / pw / gw)
                total = total / max(gh * gw, 1)
                out[k, :, i, j] = total.reshape(c, ph, pw)[:, i, j] if own else total
    return out


def half_up(v: float) -> int:
    return int(v + 0.5) if v >= 0 else -int(-v + 0.5)


def pool(x: np.ndarray, rois: np.ndarray, scale: float, ph: int, pw: int, own: bool) -> np.ndarray:
    _, c, height, width = x.shape
    out = np.zeros((len(rois), c // (ph * pw) if own else c, ph, pw))
    more, cut = (0, 1) if own else (1, 0)
    for k, (b, *corners) in enumerate(rois):
        x1, y1, x2, y2 = (half_up(v * scale) for v in corners)
        w, h = max(x2 - x1 + more, 1), max(y2 - y1 + more, 1)
        for i in range(ph):
            for j in range(pw):
                top, bottom = (int(np.clip(v + y1, 0, height - cut)) for v in (math.floor(i * h / ph), math.ceil((i + 1) * h / ph)))
                left, right = (int(np.clip(v + x1, 0, width - cut)) for v in (math.floor(j * w / pw), math.ceil((j + 1) * w / pw)))
                if bottom <= top or right <= left:
                    continue
                part = x[int(b), :, top:bottom, left:right]
                out[k, :, i, j] = part.mean((1, 2)).reshape(-1, ph, pw)[:, i, j] if own else part.max((1, 2))
    return out


def deform(x: np.ndarray, weight: np.ndarray, offset: np.ndarray, mask: Any, bias: np.ndarray, stride: Any, pad: Any, dil: Any, groups: int, og: int) -> np.ndarray:
    n, c, height, width = x.shape
    out_c, per, kh, kw = weight.shape
    _, _, oh, ow = offset.shape
    out = np.zeros((n, out_c, oh, ow)) + bias[None, :, None, None]

    def at(image: np.ndarray, y: float, xx: float) -> float:
        if y <= -1 or y >= height or xx <= -1 or xx >= width:
            return 0.0
        y0, x0 = math.floor(y), math.floor(xx)
        return sum(
            image[y0 + a, x0 + b] * (1 - abs(y - y0 - a)) * (1 - abs(xx - x0 - b))
            for a in (0, 1) for b in (0, 1) if 0 <= y0 + a < height and 0 <= x0 + b < width
        )  # fmt: skip

    for b, o, i, j in np.ndindex(n, out_c, oh, ow):
        first = (o // (out_c // groups)) * per
        for ch, ki, kj in np.ndindex(per, kh, kw):
            g = (first + ch) // (c // og)
            tap = ki * kw + kj
            dy, dx = offset[b, 2 * (g * kh * kw + tap), i, j], offset[b, 2 * (g * kh * kw + tap) + 1, i, j]
            value = at(x[b, first + ch], i * stride[0] - pad[0] + ki * dil[0] + dy, j * stride[1] - pad[1] + kj * dil[1] + dx)
            out[b, o, i, j] += weight[o, ch, ki, kj] * value * (1.0 if mask is None else mask[b, g * kh * kw + tap, i, j])
    return out


def test_nms() -> None:
    dets, scores = boxes(60, 20.0), RNG.random(60)
    keep: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        def overlap(j: int, i: int = i) -> float:
            w, h = (min(dets[i, k + 2], dets[j, k + 2]) - max(dets[i, k], dets[j, k]) for k in (0, 1))
            inter = max(w, 0) * max(h, 0)
            area = lambda b: (b[2] - b[0]) * (b[3] - b[1])
            return inter / (area(dets[i]) + area(dets[j]) - inter)

        if all(overlap(j) <= 0.3 for j in keep):
            keep.append(int(i))
    assert ops.nms(torch.tensor(dets), torch.tensor(scores), 0.3).tolist() == keep
    assert ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []
    same = torch.tensor([[0.0, 0, 1, 1]] * 3)
    assert ops.nms(same, torch.tensor([0.5, 0.5, 0.5]), 0.5).tolist() == [0]
    with pytest.raises(RuntimeError, match="boxes should have 4 elements in dimension 1, got 3"):
        ops.nms(torch.zeros(2, 3), torch.zeros(2), 0.5)


@pytest.mark.parametrize("ratio", [-1, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_roi_align(ratio: int, aligned: bool) -> None:
    x, rois = RNG.random((2, 4, 10, 12)), regions(20, 2, 12.0)
    got = ops.roi_align(torch.tensor(x), torch.tensor(rois), 0.7, 2, 3, ratio, aligned)
    np.testing.assert_allclose(got.numpy(), align(x, rois, 0.7, 2, 3, ratio, aligned), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ratio", [-1, 2])
def test_ps_roi_align(ratio: int) -> None:
    x, rois = RNG.random((2, 12, 10, 12)), regions(20, 2, 12.0)
    got, channels = ops.ps_roi_align(torch.tensor(x), torch.tensor(rois), 0.7, 2, 3, ratio)
    np.testing.assert_allclose(got.numpy(), align(x, rois, 0.7, 2, 3, ratio, True, own=True), rtol=1e-10, atol=1e-12)
    assert channels.shape == got.shape and channels.dtype is torch.int32 and channels[0].flatten().tolist() == list(range(12))


def test_pools() -> None:
    x, rois = RNG.random((2, 12, 10, 12)), regions(20, 2, 12.0)
    t, r = torch.tensor(x), torch.tensor(rois)
    got, places = ops.roi_pool(t, r, 0.7, 2, 3)
    np.testing.assert_allclose(got.numpy(), pool(x, rois, 0.7, 2, 3, own=False))
    assert places.dtype is torch.int32
    images = t[r[:, 0].long()].flatten(2)
    there = places >= 0
    read = images.gather(2, places.clamp(min=0).long().flatten(2)).reshape(places.shape)
    assert bool((read[there] == got[there]).all()) and bool((got[~there] == 0).all())
    np.testing.assert_allclose(ops.ps_roi_pool(t, r, 0.7, 2, 3)[0].numpy(), pool(x, rois, 0.7, 2, 3, own=True), rtol=1e-10)


@pytest.mark.parametrize("masked", [False, True])
def test_deform_conv2d(masked: bool) -> None:
    n, c, og, groups, kh, kw = 2, 4, 2, 2, 3, 2
    stride, pad, dil, oh, ow = (2, 1), (1, 0), (1, 2), 3, 4
    x, weight, bias = RNG.standard_normal((n, c, 5, 6)), RNG.standard_normal((6, c // groups, kh, kw)), RNG.standard_normal(6)
    offset, mask = RNG.standard_normal((n, 2 * og * kh * kw, oh, ow)), RNG.random((n, og * kh * kw, oh, ow))
    args = [torch.tensor(v) for v in (x, weight, offset, mask, bias)]
    numbers = (*stride, *pad, *dil, groups, og, masked)
    want = deform(x, weight, offset, mask if masked else None, bias, stride, pad, dil, groups, og)
    np.testing.assert_allclose(ops.deform_conv2d(*args, *numbers).numpy(), want, rtol=1e-9, atol=1e-12)
    with pytest.raises(RuntimeError, match="offset.shape"):
        ops.deform_conv2d(args[0], args[1], args[2][:, :-1], *args[3:], *numbers)


@pytest.mark.slow
def test_derivatives_are_differences() -> None:
    x = torch.tensor(RNG.random((1, 4, 5, 6)), requires_grad=True)
    rois = torch.tensor(regions(3, 1, 5.0), requires_grad=True)
    for run in (
        lambda v: ops.roi_align(v, rois, 0.9, 2, 2, -1, True),
        lambda v: ops.ps_roi_align(v, rois, 0.9, 2, 2, 2)[0],
        lambda v: ops.roi_pool(v, rois, 0.9, 2, 2)[0],
        lambda v: ops.ps_roi_pool(v, rois, 0.9, 2, 2)[0],
    ):
        assert torch.autograd.gradcheck(run, (x,), fast_mode=True)
    assert rois.grad is None
    weight, offset, mask, bias = (torch.tensor(RNG.standard_normal(s), requires_grad=True) for s in ((2, 4, 2, 2), (1, 8, 4, 5), (1, 4, 4, 5), (2,)))
    assert torch.autograd.gradcheck(lambda *a: ops.deform_conv2d(*a, 1, 1, 0, 0, 1, 1, 1, 1, True), (x, weight, offset, mask, bias), fast_mode=True)


def test_many_regions_are_pooled_a_few_at_a_time() -> None:
    """More than are gathered together, and none."""
    x, rois = RNG.random((2, 3, 8, 8)).astype(np.float32), regions(37, 2, 8.0).astype(np.float32)
    got = ops.roi_align(torch.tensor(x), torch.tensor(rois), 1.0, 2, 2, 2, False)
    np.testing.assert_allclose(got.numpy(), align(x, rois, 1.0, 2, 2, 2, False), rtol=2e-5, atol=2e-6)
    assert ops.roi_align(torch.tensor(x), torch.zeros(0, 5), 1.0, 2, 2, -1, False).shape == (0, 3, 2, 2)


def test_derivatives_as_operators() -> None:
    """What torchvision registers as the derivatives is what autograd gives."""
    x = torch.tensor(RNG.random((2, 4, 5, 6)), requires_grad=True)
    rois = torch.tensor(regions(5, 2, 5.0))
    sizes = (*x.shape,)
    out = ops.roi_align(x, rois, 0.9, 2, 2, 2, True)
    g = torch.randn_like(out)
    assert torch.allclose(torch.autograd.grad(out, x, g)[0], ops._roi_align_backward(g, rois, 0.9, 2, 2, *sizes, 2, True))
    out, mapping = ops.ps_roi_align(x, rois, 0.9, 2, 2, 2)
    g = torch.randn_like(out)
    assert torch.allclose(torch.autograd.grad(out, x, g)[0], ops._ps_roi_align_backward(g, rois, mapping, 0.9, 2, 2, 2, *sizes))
    out, mapping = ops.ps_roi_pool(x, rois, 0.9, 2, 2)
    assert torch.allclose(torch.autograd.grad(out, x, g)[0], ops._ps_roi_pool_backward(g, rois, mapping, 0.9, 2, 2, *sizes))
    out, places = ops.roi_pool(x, rois, 0.9, 2, 2)
    g = torch.randn_like(out)
    assert torch.allclose(torch.autograd.grad(out, x, g)[0], ops._roi_pool_backward(g, rois, places, 0.9, 2, 2, *sizes))
