"""Average pooling (window sums dim by dim) and adaptive average pooling (one averaging matrix for each dim)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from ._lib import accumulate_in, dtype_of, is_complex, library, positions, quotient, size_as
from ._linalg_lib import ShapedName
from ._nn import back, const, floats_only, shape_text
from ._weighted_sums import weighted_sums
from .nn_pool_max import Ints, Windows, check_padding, complain_of_shape, fit
from .reduce_sum import mean_dim

_NAMES = {1: "avg_pool1d", 2: "avg_pool2d", 3: "avg_pool3d"}


def _check(n: int, x: Any) -> None:
    name = _NAMES[n]
    if x.dtype == np.bool_ or is_complex(x) or (n == 3 and x.dtype == np.float16) or (np.dtype(x.dtype).kind in "iu" and x.dtype != np.int64):
        kernel = "avg_pool3d_out_frame" if n == 3 else "avg_pool2d"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtype_of(x).legacy}'")
    if x.ndim not in (n + 1, n + 2):
        if n == 1:
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {x.ndim}-dimensional tensor for argument #1 'self' (while checking arguments "
                f"for avg_pool1d)"
            )
        complain_of_shape(name, x, n)
    if any(s == 0 for s in x.shape[-n - 1 :]):
        complain_of_shape(name, x, n)


def window_sums(x: Any, out: Ints, kernel: Ints, stride: Ints, padding: Ints, extent: Ints) -> Any:
    """The sum of each window: the taps of one dim after another, k0 + k1 additions instead of k0 * k1."""
    x = fit(x, padding, extent, const(0, x))
    lead = x.ndim - len(out)
    for i in reversed(range(len(out))):
        axis, k = lead + i, kernel[i]
        if k == 1 and stride[i] == 1:
            continue
        if k > 16 and out[i] == 1:
            x = jnp.sum(x, axis, keepdims=True, dtype=x.dtype)
            continue
        total = None
        for offset in range(k):
            tap = lax.slice_in_dim(x, offset, offset + (out[i] - 1) * stride[i] + 1, stride[i], axis)
            total = tap if total is None else total + tap
        x = total
    return x


def _counts(w: Windows, spatial: Ints, count_include_pad: bool) -> np.ndarray:
    """How many elements each window divides by; ceil mode's last windows count what lies within the padded input."""
    per_dim = []
    for size, o, k, s, p in zip(spatial, w.out, w.kernel, w.stride, w.padding, strict=True):
        start = positions(o) * s - p
        end = np.minimum(start + k, size + p) if isinstance(o, int) else jnp.minimum(start + k, size + p)
        if not count_include_pad:
            start, end = (np.maximum(start, 0), np.minimum(end, size)) if isinstance(o, int) else (jnp.maximum(start, 0), jnp.minimum(end, size))
        per_dim.append(end - start)
    total = per_dim[0]
    for c in per_dim[1:]:
        total = total[..., None] * c
    return total


def _avg_pool(
    n: int, input: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool, divisor: int | None
) -> Any:
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    if input.ndim in (n + 1, n + 2):
        check_padding(_NAMES[n], padding, kernel, n)
    _check(n, input)
    w = Windows(_NAMES[n], input.shape, kernel, stride, padding, 1, ceil_mode, n=n)
    x = accumulate_in(input)
    sums = window_sums(x, w.out, w.kernel, w.stride, w.padding, w.extent)
    counts = _counts(w, w.spatial, count_include_pad) if divisor is None else np.asarray(divisor)
    if isinstance(counts, np.ndarray) and counts.min() == counts.max():
        counts = counts.reshape(-1)[0]
    if jnp.issubdtype(x.dtype, jnp.integer):
        return lax.div(sums, jnp.broadcast_to(jnp.asarray(counts.astype(x.dtype)), sums.shape))
    return back(quotient(sums, counts.astype(x.dtype)), input)


@op(
    "avg_pool1d(Tensor input, int[1] kernel_size, int[1] stride=(), int[1] padding=0, bool ceil_mode=False, bool count_include_pad=True)",
    where="torch nn.functional", out=False, grad_name="SqueezeBackward1", second="zeros",
    kept="input",
)  # fmt: skip
def avg_pool1d(input, kernel_size, stride, padding, ceil_mode, count_include_pad):
    """Means of windows over (N, C, L) or (C, L)."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@op(
    "avg_pool2d(Tensor input, int[2] kernel_size, int[2] stride=(), int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, "
    "int? divisor_override=None)",
    format="first", where="_nn nn.functional", grad_name="AvgPool2DBackward0", second="zeros",
    kept="input",
)  # fmt: skip
def avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """Means of windows over (N, C, H, W) or (C, H, W)."""
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@op(
    "avg_pool3d(Tensor input, int[3] kernel_size, int[3] stride=(), int[3] padding=0, bool ceil_mode=False, bool count_include_pad=True, "
    "int? divisor_override=None)",
    where="_nn nn.functional", grad_name="AvgPool3DBackward0", second="zeros",
    kept="input",
)  # fmt: skip
def avg_pool3d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """Means of windows over (N, C, D, H, W) or (C, D, H, W)."""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_bounds(size: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of each of ``out`` windows that cover ``size``."""
    i, size = positions(out), size if library(size, out) is np else size_as(size, np.int64)
    return i * size // out, -((-(i + 1) * size) // out)


def _adaptive_avg(n: int, input: Any, output_size: Any) -> Any:
    name = f"adaptive_avg_pool{n}d"
    if len(output_size) != n:
        raise RuntimeError("'output_size' should contain one int" if n == 1 else f"{name}: output_size must be {n}")
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got {shape_text(input.shape)}")
    for i, s in enumerate(input.shape[-n:]):
        if s == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                f"{shape_text(input.shape)} with dimension {input.ndim - n + i} being empty"
            )
    if any(n < 0 for n in output_size):
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0 but received {shape_text(output_size)}")
    floats_only(f"{'adaptive_avg_pool2d' if n < 3 else 'adaptive_avg_pool3d_cpu'}", input)
    x = accumulate_in(input)
    for i, out in enumerate(output_size):
        axis = input.ndim - n + i
        size = x.shape[axis]
        if out == size:
            continue
        if out and size % out == 0:
            x = x.reshape(*x.shape[:axis], out, size // out, *x.shape[axis + 1 :]).mean(axis + 1, dtype=x.dtype)
            continue
        start, end = adaptive_bounds(size, out)
        at, xp = positions(size), library(size, out)
        weights = ((at >= start[:, None]) & (at < end[:, None])) / xp.maximum(end - start, 1)[:, None]
        x = weighted_sums(x, [(axis, weights.astype(x.dtype), None)])
    return back(x, input)


_AFTERWARDS = ShapedName("AsStridedBackward1", lambda shapes: "AsStridedBackward1", lambda edges, shapes, step: (step("MeanBackward1", edges),))


@op("mean_of_images(Tensor input, int[] dim)", where="internal", format="first", grad_name=_AFTERWARDS)
def mean_of_images(input, dim):
    """The one window of images or volumes in channels_last, whose result lies so, too: torch gives it those strides afterwards."""
    return mean_dim.fn(input, dim, True, None)


@op("adaptive_avg_pool1d(Tensor input, int[1] output_size)", where="torch nn.functional", out=False, grad_name="SqueezeBackward1",
    second=lambda given: "" if given["output_size"] == (1,) else "SqueezeBackward1", kept="input")  # fmt: skip
def adaptive_avg_pool1d(input, output_size):
    """Means of ``output_size`` windows that cover (N, C, L) or (C, L)."""
    return _adaptive_avg(1, input, output_size)


@op("adaptive_avg_pool2d(Tensor input, int[2] output_size)", format="first", where="_nn", grad_name="AdaptiveAvgPool2DBackward0", second="zeros", kept="input")
def adaptive_avg_pool2d(input, output_size):
    """Means of windows that cover (N, C, H, W) or (C, H, W)."""
    return _adaptive_avg(2, input, output_size)


@op("adaptive_avg_pool3d(Tensor input, int[3] output_size)", where="_nn", grad_name="AdaptiveAvgPool3DBackward0", second="zeros", kept="input")
def adaptive_avg_pool3d(input, output_size):
    """Means of windows that cover (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_avg(3, input, output_size)
