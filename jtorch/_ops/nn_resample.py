"""Resizing by fixed factors: nearest picks, the others are one weight matrix for each spatial dim.

The weights depend on sizes only, so they are made on the host; the gradient is the transposed product, where a gather's
would be a scatter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from ._lib import accumulate_in, dtype_of, is_complex, library, positions, size_as
from ._nn import back, shape_text
from ._weighted_sums import weighted_sums

_AXES = {1: ("W",), 2: ("H", "W"), 3: ("D", "H", "W")}


def _step(size: int, out: int, align_corners: bool, scale: float | None, kind: Any) -> Any:
    """Input pixels for one output pixel, in the precision of torch's kernels."""
    if align_corners:
        return (size_as(size - 1, np.float64) / size_as(out - 1, np.float64)).astype(kind) if out > 1 else kind(0)
    return kind(1.0 / scale) if scale is not None and scale > 0 else size_as(size, kind) / size_as(out, kind)


def _source(size: int, out: int, align_corners: bool, scale: float | None, kind: Any) -> np.ndarray:
    step, i = _step(size, out, align_corners, scale, kind), positions(out, kind)
    return step * i if align_corners else step * (i + kind(0.5)) - kind(0.5)


def _matrix(out: int, size: int, at: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(out, size) with ``weights[o, k]`` added at column ``at[o, k]``."""
    if library(out, size) is jnp:
        columns = positions(size)
        return sum(jnp.where(at[:, k, None] == columns, weights[:, k, None], jnp.zeros((), weights.dtype)) for k in range(at.shape[1]))
    full = np.zeros((out, size), weights.dtype)
    np.add.at(full, (np.arange(out)[:, None], at), weights)
    return full


def _linear(size: int, out: int, align_corners: bool, scale: float | None, kind: Any) -> Any:
    xp, last = library(size, out), size_as(size - 1, np.int64)
    src = xp.maximum(_source(size, out, align_corners, scale, kind), kind(0))
    low = xp.minimum(src.astype(np.int64), last)
    part = xp.clip(src - low.astype(kind), kind(0), kind(1))
    elements = xp.stack([low, xp.minimum(low + 1, last)], 1), xp.stack([kind(1) - part, part], 1)
    return _matrix(out, size, *elements), elements


def _cubic_weights(t: np.ndarray, a: float, kind: Any) -> np.ndarray:
    a = kind(a)

    def near(x: np.ndarray) -> np.ndarray:
        return ((a + kind(2)) * x - (a + kind(3))) * x * x + kind(1)

    def far(x: np.ndarray) -> np.ndarray:
        return ((a * x - kind(5) * a) * x + kind(8) * a) * x - kind(4) * a

    one = kind(1)
    return (np if isinstance(t, np.ndarray) else jnp).stack([far(t + one), near(t), near(one - t), far(kind(2) - t)], 1)


def _cubic(size: int, out: int, align_corners: bool, scale: float | None, kind: Any) -> Any:
    src = _source(size, out, align_corners, scale, kind)
    xp = library(size, out)
    low = xp.floor(src)
    at = xp.clip(low.astype(np.int64)[:, None] + np.arange(-1, 3), 0, size_as(size - 1, np.int64))
    elements = at, _cubic_weights(src - low, -0.75, kind).astype(kind)
    return _matrix(out, size, *elements), elements


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _keys(x: np.ndarray) -> np.ndarray:
    x, a = np.abs(x), -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


def _antialias(filter: Callable[..., Any], taps: int) -> Callable[..., Any]:
    def weights(size: int, out: int, align_corners: bool, scale: float | None, kind: Any) -> np.ndarray:
        step = float(_step(size, out, align_corners, scale, kind))
        support = taps / 2 * step if step >= 1 else taps / 2
        inverse = 1 / step if step >= 1 else 1.0
        full = np.zeros((out, size), np.float64)
        for o in range(out):
            centre = step * (o + 0.5)
            first = max(int(centre - support + 0.5), 0)
            count = min(int(centre + support + 0.5), size) - first
            w = filter((np.arange(count) + first - centre + 0.5) * inverse)
            total = w.sum()
            full[o, first : first + count] = w / total if total else w
        return full.astype(kind), None

    return weights


def _check(name: str, n: int, x: Any, output_size: Any) -> None:
    if len(output_size) != n:
        raise RuntimeError(f"It is expected output_size equals to {n}, but got size {len(output_size)}")
    if x.ndim != n + 2:
        raise RuntimeError(f"It is expected input_size equals to {n + 2}, but got size {x.ndim}")
    if any(s <= 0 for s in (*x.shape[2:], *output_size)):
        sizes = ", ".join(f"{a}: {s}" for a, s in zip(_AXES[n], x.shape[2:], strict=True))
        outs = ", ".join(f"{a}: {s}" for a, s in zip(_AXES[n], output_size, strict=True))
        raise RuntimeError(f"Input and output sizes should be greater than 0, but got input ({sizes}) output ({outs})")
    shape = [*x.shape[:2], *output_size]
    if all(isinstance(s, int) for s in shape) and math.prod(shape) * x.dtype.itemsize >= 2**63:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={shape}")
    if x.size == 0 and math.prod(x.shape[1:]) == 0:
        raise RuntimeError(f"Non-empty {n + 2}D data tensor expected but got a tensor with sizes {shape_text(x.shape)}")


def _weighted(kernel: Callable[..., Any], name: str, n: int, input: Any, output_size: Any, align_corners: bool, scales: Any) -> Any:
    _check(name, n, input, output_size)
    if (jnp.issubdtype(input.dtype, jnp.integer) and input.dtype != np.uint8) or input.dtype == np.bool_ or is_complex(input):
        raise NotImplementedError(f"\"compute_indices_weights_linear\" not implemented for '{dtype_of(input).legacy}'")
    x = input.astype(np.int32) if input.dtype == np.uint8 else accumulate_in(input)
    kind = np.float64 if input.dtype == np.uint8 else np.dtype(x.dtype).type
    passes = []
    for i in reversed(range(n)):
        axis, size, out = 2 + i, input.shape[2 + i], output_size[i]
        if size == out and not (scales and scales[i] and not align_corners):
            continue
        w, elements = kernel(size, out, align_corners, scales[i] if scales else None, kind)
        if input.dtype == np.uint8:
            x = _in_bytes(x, axis, w)
            continue
        passes.append((axis, w, elements))
    return x.astype(np.uint8) if input.dtype == np.uint8 else back(weighted_sums(x, passes), input)


def _in_bytes(x: Any, axis: int, weights: np.ndarray) -> Any:
    """One pass over bytes (as int32), in the fixed-point arithmetic of torch's kernels: weights of 16 bits, as many of them behind the point as the largest
    one leaves, and a result rounded and held in [0, 255] before the next pass."""
    bits, largest = 0, weights.max()
    while bits < 22 and int(0.5 + largest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    scaled = weights * (1 << bits)
    fixed = np.trunc(scaled + np.where(scaled < 0, -0.5, 0.5)).astype(np.int32)
    total = jnp.moveaxis(jnp.tensordot(fixed, x, ((1,), (axis,)), preferred_element_type=np.int32), 0, axis)
    return jnp.clip((total + (1 << (bits - 1))) >> bits, 0, 255)


def _picks(size: int, out: int, scale: float | None, exact: bool) -> np.ndarray:
    if out == size and not scale:
        return positions(out)
    xp, i = library(size, out), positions(out, np.float32)
    step = np.float32(1.0 / scale) if scale is not None and scale > 0 else size_as(size, np.float32) / size_as(out, np.float32)
    return xp.minimum(xp.floor((i + np.float32(0.5)) * step if exact else i * step).astype(np.int64), size_as(size - 1, np.int64))


def _taken(x: Any, at: Any, axis: int) -> Any:
    """The bare gather: jnp.take is a jitted function, whose gradient would hold on to the input where ``at`` is computed."""
    others = tuple(i for i in range(x.ndim) if i != axis)
    numbers = lax.GatherDimensionNumbers(offset_dims=others, collapsed_slice_dims=(axis,), start_index_map=(axis,))
    sizes = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    return lax.gather(x, at[:, None], numbers, sizes, mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS)


def _nearest(name: str, n: int, input: Any, output_size: Any, scales: Any, exact: bool) -> Any:
    _check(name, n, input, output_size)
    if input.dtype == np.bool_ or is_complex(input) or (jnp.issubdtype(input.dtype, jnp.integer) and input.dtype != np.uint8):
        raise NotImplementedError(f"\"compute_indices_weights_nearest\" not implemented for '{dtype_of(input).legacy}'")
    x = input
    for i in range(n):
        axis, size, out = 2 + i, input.shape[2 + i], output_size[i]
        scale = scales[i] if scales else None
        at = _picks(size, out, scale, exact)
        steps: Any
        if library(size, out) is jnp:
            steps, same = (), out == size and scale in (None, 1)
            copies = out % size == 0 and out // size in (2, 4, 8, 16) and scale in (None, out // size)  # for powers of two torch's arithmetic is exact
        else:
            steps, same = np.diff(at), out == size and (at == np.arange(size)).all()
            copies = out % size == 0 and (at == np.repeat(np.arange(size), out // size)).all()
        if same:
            continue
        if copies:
            # a broadcast, whose gradient is a sum over the copies
            k = out // size
            x = jnp.broadcast_to(jnp.expand_dims(x, axis + 1), (*x.shape[: axis + 1], k, *x.shape[axis + 1 :]))
            x = x.reshape(*x.shape[:axis], out, *x.shape[axis + 2 :])
        elif len(steps) and steps.min() == steps.max() > 0:
            x = lax.slice_in_dim(x, int(at[0]), int(at[-1]) + 1, int(steps[0]), axis)
        else:
            x = _taken(x, at, axis)
    return x


def _declare_weighted(name: str, n: int, kernel: Callable[..., Any], grad: str) -> None:
    def run(input: Any, output_size: Any, align_corners: Any, scale_factors: Any) -> Any:
        return _weighted(kernel, name, n, input, output_size, align_corners, scale_factors)

    run.__name__ = run.__qualname__ = name
    dims = f"{n} spatial dim{'s' if n > 1 else ''}"
    run.__doc__ = f"Resize the {dims} of (N, C, ...) to ``output_size``; scale factors replace the ratio of sizes where given."
    op(f"{name}(Tensor input, int[] output_size, bool align_corners=False, any scale_factors=None)", where="_nn", grad_name=grad, format="first")(run)


def _declare_nearest(name: str, n: int, exact: bool, grad: str) -> None:
    def run(input: Any, output_size: Any, scale_factors: Any) -> Any:
        return _nearest(name, n, input, output_size, scale_factors, exact)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = (
        f"The {'centre-aligned ' if exact else ''}nearest input element for each output, over {n} spatial dim{'s' if n > 1 else ''}."
    )
    op(f"{name}(Tensor input, int[] output_size, any scale_factors=None)", where="_nn", grad_name=grad, format="first")(run)


for _n in (1, 2, 3):
    _declare_nearest(f"upsample_nearest{_n}d", _n, False, f"UpsampleNearest{_n}DBackward0")
    _declare_nearest(f"_upsample_nearest_exact{_n}d", _n, True, f"UpsampleNearestExact{_n}DBackward0")
for _name, _n, _kernel, _grad in (
    ("upsample_linear1d", 1, _linear, "UpsampleLinear1DBackward0"),
    ("upsample_bilinear2d", 2, _linear, "UpsampleBilinear2DBackward0"),
    ("upsample_trilinear3d", 3, _linear, "UpsampleTrilinear3DBackward0"),
    ("upsample_bicubic2d", 2, _cubic, "UpsampleBicubic2DBackward0"),
    ("_upsample_bilinear2d_aa", 2, _antialias(_triangle, 2), "UpsampleBilinear2DAaBackward0"),
    ("_upsample_bicubic2d_aa", 2, _antialias(_keys, 4), "UpsampleBicubic2DAaBackward0"),
    ("_upsample_lanczos2d_aa", 2, _antialias(_lanczos, 6), "UpsampleLanczos2DAaBackward0"),
):
    _declare_weighted(_name, _n, _kernel, _grad)
