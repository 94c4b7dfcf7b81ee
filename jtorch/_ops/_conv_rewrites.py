"""Convolutions on the cpu in the forms that XLA is fast at there: no holes between elements, at most two dims, no kernel that is larger than what it moves over.

XLA hands a convolution to Eigen where its kernel is no larger than its input as it is given, not counting the padding; else it adds element by element, on one core. That holds for the
derivatives too, in which gradients move over an input, and kernels over gradients. So what falls outside is written otherwise here, and derivatives follow from how it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import jax.numpy as jnp
from jax import lax

from ._lib import matmul_precision, on_cpu

Ints = tuple[int, ...]
Pads = list[tuple[int, int]]
LAYOUT = {1: ("NCH", "OIH", "NCH"), 2: ("NCHW", "OIHW", "NCHW"), 3: ("NCDHW", "OIDHW", "NCDHW")}
MOST_TAPS = 128  # a node of the program for each element of the kernel
_MOST_PLANES = 16  # so many times the input are in memory at once


def to_rewrite(x: Any, w: Any) -> bool:
    """Whether a convolution is to be written otherwise: on the cpu, of something."""
    return on_cpu(x, w) and 0 not in (*x.shape, *w.shape)


def ungrouped(x: Any, w: Any, stride: Ints, pads: Pads, dilation: Ints, holes: Ints | None) -> Any:
    """
    The convolution of x (N, C, *spatial) with weights (O, C, *kernel). ``holes``: the input's dilation.

    ms on two cores, XLA's and this: 32 x 512 of 2 x 2, kernels of 3 x 3, forward 276 8, by the input 273 13; 16 x 64 of 16 x 16, kernels of 2 x 2 that begin outside, by the weights 43 1.5.
    """
    if to_rewrite(x, w):
        if x.ndim == 5 and w.shape[2] <= _MOST_PLANES:
            return _by_planes(x, w, stride, pads, dilation, holes)
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
        whole = [(s - 1) * h + 1 + lo + hi for s, h, (lo, hi) in zip(x.shape[2:], holes or (1,) * len(pads), pads, strict=True)]
        out = tuple((s - r) // st + 1 for s, r, st in zip(whole, reach, stride, strict=True))
        spread = [(o - 1) * st + 1 for o, st in zip(out, stride, strict=True)]  # gradients, as far apart as they belong
        short = [max(0, r - s) for r, s in zip(reach, spread, strict=True)]
        if any(short):
            if math.prod(w.shape[2:]) <= MOST_TAPS:
                return patches(windows(x, w, stride, pads, dilation, holes), w, out, 1)
            y = plain(_padded(x, [(lo, hi + more) for (lo, hi), more in zip(pads, short, strict=True)], holes), w, stride, [(0, 0)] * len(pads), dilation, None)
            return y[(slice(None), slice(None), *map(slice, out))]
        if any(max(r, s) > size for r, s, size in zip(reach, spread, x.shape[2:], strict=True)):
            x, pads, holes = _padded(x, pads, holes), [(0, 0)] * len(pads), None
    return plain(x, w, stride, pads, dilation, holes)


def plain(x: Any, w: Any, stride: Ints, pads: Pads, dilation: Ints, holes: Ints | None, groups: int = 1) -> Any:
    """XLA's own."""
    return lax.conv_general_dilated(
        x, w, stride, pads, lhs_dilation=holes, rhs_dilation=dilation, dimension_numbers=LAYOUT[x.ndim - 2], feature_group_count=groups, precision=matmul_precision()
    )  # fmt: skip


def _padded(x: Any, pads: Pads, holes: Ints | None) -> Any:
    config = [(0, 0, 0), (0, 0, 0), *((lo, hi, h - 1) for (lo, hi), h in zip(pads, holes or (1,) * len(pads), strict=True))]
    return lax.pad(x, jnp.zeros((), x.dtype), config) if any(c != (0, 0, 0) for c in config) else x


def windows(x: Any, w: Any, stride: Ints, pads: Pads, dilation: Ints, holes: Ints | None) -> list[tuple[Ints, Any]]:
    """For each element of the kernel its place, and what all windows see there: (N, C, *outputs)."""
    x = _padded(x, pads, holes)
    out = tuple((s - d * (k - 1) - 1) // st + 1 for s, d, k, st in zip(x.shape[2:], dilation, w.shape[2:], stride, strict=True))
    seen = []
    for offset in product(*map(range, w.shape[2:])):
        start = tuple(o * d for o, d in zip(offset, dilation, strict=True))
        stop = tuple(b + (o - 1) * st + 1 for b, o, st in zip(start, out, stride, strict=True))
        seen.append((offset, lax.slice(x, (0, 0, *start), (*x.shape[:2], *stop), (1, 1, *stride))))
    return seen


def patches(seen: list[tuple[Ints, Any]], w: Any, out: Ints, groups: int) -> Any:
    """One product for all groups, of their weights and of what the windows see."""
    batch, channels = seen[0][1].shape[:2]
    size, length = channels // groups, math.prod(out)
    columns = jnp.stack([x.reshape(batch, groups, size, length) for _, x in seen], 3).reshape(batch, groups, size * len(seen), length)
    weight = w.reshape(groups, w.shape[0] // groups, size * len(seen))
    y = lax.dot_general(weight, columns, (((2,), (2,)), ((0,), (1,))), precision=matmul_precision())  # (groups, O / groups, N, length)
    return y.transpose(2, 0, 1, 3).reshape(batch, w.shape[0], *out)


def _by_planes(x: Any, w: Any, stride: Ints, pads: Pads, dilation: Ints, holes: Ints | None) -> Any:
    """
    In three dims: a convolution of planes, of which as many as the kernel is deep are stacked as channels.

    ms on two cores, XLA's, this and torch's: 2 x 32 of 24 x 24 x 24 to 32, forward 44 13 6.5, back 139 24 19; 4 x 16 of 16 x 16 x 16 to 32, forward 12 3.2 1.9, back 45 7.5 4.1.
    """
    batch, channels = x.shape[:2]
    outs, _, taps = w.shape[:3]
    x = _padded(x, [pads[0], (0, 0), (0, 0)], holes and (holes[0], 1, 1))
    depth = (x.shape[2] - dilation[0] * (taps - 1) - 1) // stride[0] + 1
    seen = [lax.slice_in_dim(x, k * dilation[0], k * dilation[0] + (depth - 1) * stride[0] + 1, stride[0], axis=2) for k in range(taps)]
    planes = jnp.stack(seen, 1).transpose(0, 3, 1, 2, 4, 5).reshape(batch * depth, taps * channels, *x.shape[3:])
    weights = w.transpose(0, 2, 1, 3, 4).reshape(outs, taps * channels, *w.shape[3:])
    y = ungrouped(planes, weights, stride[1:], pads[1:], dilation[1:], holes and holes[1:])
    return y.reshape(batch, depth, *y.shape[1:]).transpose(0, 2, 1, 3, 4)


def by_phases(x: Any, w: Any, stride: Ints, pad: Ints, sizes: Ints, convolve: Callable[[Any, Any, Pads], Any]) -> Any:
    """
    The transposed convolution of x (N, C, *spatial) with weights (C, O, *kernel), to ``sizes``: output elements that are ``stride`` apart see the same elements of the kernel, so that
    each of these phases is a convolution without holes, and all are channels of one. ``convolve(x, w, pads)`` is that one, of stride 1.

    ms on two cores, by holes and this, and torch's: 16 x 64 of 64 x 64 to 32 channels, kernels and strides of 2, with its gradients 513 53 108; 8 x 128 of 200 to 64, kernels of 16, strides of 8, 318 9 9.
    """
    n = len(stride)
    taps = tuple(-(-k // s) for k, s in zip(w.shape[2:], stride, strict=True))
    w = lax.pad(w, jnp.zeros((), w.dtype), [(0, 0, 0), (0, 0, 0), *((0, m * s - k, 0) for m, s, k in zip(taps, stride, w.shape[2:], strict=True))])
    inside, outside = w.shape[:2]
    w = w.reshape(inside, outside, *(v for pair in zip(taps, stride, strict=True) for v in pair))
    w = w.transpose(1, *range(3, 2 + 2 * n, 2), 0, *range(2, 2 + 2 * n, 2)).reshape(outside * math.prod(stride), inside, *taps)
    y = convolve(x, jnp.flip(w, tuple(range(2, n + 2))), [(m - 1, m - 1) for m in taps])
    seen = y.shape[2:]
    y = y.reshape(x.shape[0], outside, *stride, *seen).transpose(0, 1, *(v for i in range(n) for v in (2 + n + i, 2 + i)))
    y = y.reshape(x.shape[0], outside, *(q * s for q, s in zip(seen, stride, strict=True)))
    beyond = [max(0, p + size - have) for p, size, have in zip(pad, sizes, y.shape[2:], strict=True)]
    if any(beyond):
        y = lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), (0, 0, 0), *((0, b, 0) for b in beyond)])
    return y[(slice(None), slice(None), *(slice(p, p + size) for p, size in zip(pad, sizes, strict=True)))]
