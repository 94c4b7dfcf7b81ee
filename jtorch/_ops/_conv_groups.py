"""Convolutions in groups, on the cpu: XLA's own go element by element there, and the gradient of their weights takes a hundred times what torch takes."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._lib import matmul_precision

Ints = tuple[int, ...]
LAYOUT = {1: ("NCH", "OIH", "NCH"), 2: ("NCHW", "OIHW", "NCHW"), 3: ("NCDHW", "OIDHW", "NCDHW")}
_MOST_TAPS = 128  # a node of the program for each element of the kernel
_MOST_PARTS = 8  # groups that are convolutions of their own; many small ones are products of patches


def in_groups(x: Any, w: Any, stride: Ints, pads: list[tuple[int, int]], dilation: Ints, groups: int, holes: Ints | None) -> Any:
    """
    The convolution of x (N, C, *spatial) with weights (O, C / groups, *kernel), in the type of x; None where XLA's own is to be taken. ``holes``: the input's dilation.

    Forward, by the input and by the weights on two cores, ms, XLA's and these: 64 channels of 16 x 16, each by itself, 3.7 3.7 1.7 and 0.1 0.3 1.1; in 4 groups 1.7 2.0 50 and 0.9 0.9 1.3;
    in 32 groups to 128 channels 9 11 1278 and 2.0 1.0 2.7.
    """
    if groups == 1 or jax.default_backend() != "cpu" or not all(isinstance(s, int) and s > 0 for s in (*x.shape, *w.shape)):
        return None
    taps = math.prod(w.shape[2:])
    alone = x.shape[1] == groups
    if groups <= _MOST_PARTS and not (alone and taps <= _MOST_TAPS):
        return _apart(x, w, stride, pads, dilation, groups, holes)
    if taps > _MOST_TAPS:
        return None
    config = [(0, 0, 0), (0, 0, 0), *((lo, hi, h - 1) for (lo, hi), h in zip(pads, holes or (1,) * len(pads), strict=True))]
    if any(c != (0, 0, 0) for c in config):
        x = lax.pad(x, jnp.zeros((), x.dtype), config)
    out = tuple((s - d * (k - 1) - 1) // st + 1 for s, d, k, st in zip(x.shape[2:], dilation, w.shape[2:], stride, strict=True))
    seen = []  # for each element of the kernel, what all windows see there
    for offset in product(*map(range, w.shape[2:])):
        start = tuple(o * d for o, d in zip(offset, dilation, strict=True))
        stop = tuple(b + (o - 1) * st + 1 for b, o, st in zip(start, out, stride, strict=True))
        seen.append((offset, lax.slice(x, (0, 0, *start), (*x.shape[:2], *stop), (1, 1, *stride))))
    return _alone(seen, w, out) if alone else _patches(seen, w, out, groups)


def _alone(seen: list[tuple[Ints, Any]], w: Any, out: Ints) -> Any:
    """Every channel by itself: sums of shifted products."""
    batch, channels = seen[0][1].shape[:2]
    y = None
    for offset, x in seen:
        weight = w[(slice(None), 0, *offset)].reshape(channels, w.shape[0] // channels, *(1,) * len(out))
        term = weight * x[:, :, None]
        y = term if y is None else y + term
    return y.reshape(batch, w.shape[0], *out)  # type: ignore[union-attr]


def _patches(seen: list[tuple[Ints, Any]], w: Any, out: Ints, groups: int) -> Any:
    """One product for all groups, of their weights and of what the windows see."""
    batch, channels = seen[0][1].shape[:2]
    size, length = channels // groups, math.prod(out)
    patches = jnp.stack([x.reshape(batch, groups, size, length) for _, x in seen], 3).reshape(batch, groups, size * len(seen), length)
    weight = w.reshape(groups, w.shape[0] // groups, size * len(seen))
    y = lax.dot_general(weight, patches, (((2,), (2,)), ((0,), (1,))), precision=matmul_precision())  # (groups, O / groups, N, length)
    return y.transpose(2, 0, 1, 3).reshape(batch, w.shape[0], *out)


def _apart(x: Any, w: Any, stride: Ints, pads: list[tuple[int, int]], dilation: Ints, groups: int, holes: Ints | None) -> Any:
    """Each group by itself."""
    parts = [
        lax.conv_general_dilated(a, b, stride, pads, lhs_dilation=holes, rhs_dilation=dilation, dimension_numbers=LAYOUT[x.ndim - 2], precision=matmul_precision())
        for a, b in zip(jnp.split(x, groups, 1), jnp.split(w, groups, 0), strict=True)
    ]
    return jnp.concatenate(parts, 1)
