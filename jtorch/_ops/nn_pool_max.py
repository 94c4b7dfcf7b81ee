"""Maximum pooling: shifted slices compared one by one, so that ties go to the first element as in torch.

XLA's ``reduce_window`` and ``select_and_scatter`` are 5 to 10 times slower than this on CPU and keep no index.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from ._lib import dtype_of, is_complex, known_below, on_cpu, positions, size_as
from ._nn import const, shape_text

Ints = tuple[int, ...]


def spread(value: Any, n: int, name: str, where: str) -> Ints:
    """One int for all ``n`` spatial dims, or one for each."""
    value = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    if len(value) == 1:
        return value * n
    if len(value) != n:
        if n == 1:
            raise RuntimeError(f"{where}() argument '{name}' should contain one int (got {len(value)})")
        be = "must be" if where == "avg_pool3d" else "must be either" if name == "dilation" else "must either be"
        raise RuntimeError(f"{where}: {name} {be}{' omitted,' if name == 'stride' else ''} a single int, or a tuple of {'two' if n == 2 else 'three'} ints")
    return value


def pooled_size(size: int, kernel: int, left: int, right: int, stride: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit; in ceil mode the last one may start inside the input or its left padding only."""
    out = (size + left + right - dilation * (kernel - 1) - 1 + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (out - 1) * stride >= size + left:
        out -= 1
    return out


def _positive(name: str, values: Ints) -> None:
    if min(values) <= 0:
        a = {"kernel size": "k", "stride": "d", "dilation": "dilation"}[name]
        letters = ("T", "H", "W")[-max(len(values), 2) :]  # of one dim torch's kernels make two
        shown = " ".join(f"{a}{letter}: {v}" for letter, v in zip(letters, values if len(values) > 1 else (1, *values), strict=True))
        raise RuntimeError(f"{name} should be greater than zero, but got {shown}")


def check_padding(where: str, padding: Any, kernel: Any, n: int, dilation: Ints | None = None) -> None:
    """Padding is not negative and at most half of the window."""
    kernel, padding = spread(kernel, n, "kernel_size", where), spread(padding, n, "padding", where)
    if 0 not in kernel:  # which is the stride, where none is given, and refused as that
        _positive("kernel size", kernel)
    for p, k, d in zip(padding, kernel, dilation or (1,) * n, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and dilation={d}")


class Windows:
    """The geometry of one pooling: checked arguments, the padded extent and the offsets of a window, row by row."""

    def __init__(self, where: str, shape: Ints, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, *, n: int) -> None:
        self.kernel = spread(kernel, n, "kernel_size", where)
        self.stride = spread(stride, n, "stride", where) if stride not in (None, ()) else self.kernel
        self.padding = spread(padding, n, "padding", where)
        self.dilation = spread(dilation, n, "dilation", where)
        self.n, self.ceil_mode = n, ceil_mode
        spatial = shape[-n:]
        if 0 in self.stride:
            raise RuntimeError("stride should not be zero")
        for name, values in (("kernel size", self.kernel), ("stride", self.stride), ("dilation", self.dilation)):
            _positive(name, values)
        check_padding(where, self.padding, self.kernel, n, self.dilation)
        self.out = tuple(
            pooled_size(s, k, p, p, st, d, ceil_mode)
            for s, k, p, st, d in zip(spatial, self.kernel, self.padding, self.stride, self.dilation, strict=True)
        )
        self.spatial = tuple(spatial)
        if any(o < 1 for o in self.out):
            if where == "avg_pool3d":
                named = [" ".join(f"{a}{letter}: {v}" for letter, v in zip("THW", values, strict=True)) for a, values in (("", spatial), ("k", self.kernel))]
                raise RuntimeError(f"input image ({named[0]}) smaller than kernel size ({named[1]})")
            lead = (shape[-n - 1], 1) if n == 1 else shape[-n - 1 : -n]  # of one dim torch's kernels make two
            got, calculated = ("x".join(map(str, (*lead, *sizes))) for sizes in (spatial, self.out))
            raise RuntimeError(f"Given input size: ({got}). Calculated output size: ({calculated}). Output size is too small")
        # the extent that the windows really read: less than the input where the rest is left over, more where it is padded
        self.extent = tuple(
            (o - 1) * st + (k - 1) * d + 1 for o, st, k, d in zip(self.out, self.stride, self.kernel, self.dilation, strict=True)
        )

    @property
    def key(self) -> tuple[Ints, ...]:
        return (self.out, self.kernel, self.stride, self.padding, self.dilation, self.extent)


def fit(x: Any, padding: Ints, extent: Ints, fill: Any) -> Any:
    """``x`` padded on the left, and padded or cropped on the right to the extent that is read."""
    lead = x.ndim - len(extent)
    config = [(0, 0, 0)] * lead + [(p, e - p - s, 0) for p, e, s in zip(padding, extent, x.shape[lead:], strict=True)]
    return x if all(c == (0, 0, 0) for c in config) else lax.pad(x, fill, config)


def taps(x: Any, key: tuple[Ints, ...], fill: Any) -> list[Any]:
    """For each offset of the window, in row-major order, the element that every window sees there."""
    out, kernel, stride, padding, dilation, extent = key
    x = fit(x, padding, extent, fill)
    lead = x.ndim - len(out)
    head = (0,) * lead
    views = []
    for offset in product(*map(range, kernel)):
        start = tuple(o * d for o, d in zip(offset, dilation, strict=True))
        stop = tuple(b + (o - 1) * s + 1 for b, o, s in zip(start, out, stride, strict=True))
        views.append(lax.slice(x, head + start, x.shape[:lead] + stop, (1,) * lead + stride))
    return views


def lowest(x: Any) -> Any:
    """The identity of max for the type."""
    kind = np.dtype(x.dtype)
    if jnp.issubdtype(kind, jnp.floating):
        return np.asarray(-np.inf).astype(kind)[()]
    return np.asarray(np.iinfo(kind).min).astype(kind)[()]


def _first_max(views: list[Any]) -> tuple[Any, Any]:
    small = np.int8 if len(views) < 128 else np.int32
    best = views[0]
    chosen = jnp.zeros(best.shape, small)
    for i, v in enumerate(views[1:], 1):
        better = (v > best) | (v != v)
        best = jnp.where(better, v, best)
        chosen = jnp.where(better, small(i), chosen)
    return best, chosen


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def windows_max(x: Any, key: tuple[Ints, ...]) -> tuple[Any, Any]:
    """``(maximum of each window, number of its offset in the window)``."""
    return _first_max(taps(x, key, lowest(x)))


@windows_max.defjvp
def _windows_max_jvp(key: tuple[Ints, ...], primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    best, chosen = windows_max(x, key)
    none = jax.custom_derivatives.zero_from_primal(chosen)
    if max(key[2]) > 1 and on_cpu():
        # The transpose is a scatter; that of the sum below pads with holes, which takes twice as long on CPU and less on a GPU.
        spatial = x.shape[x.ndim - len(key[0]) :]
        at = jnp.clip(_flat(chosen, key, spatial), 0, math.prod(spatial) - 1).reshape(-1, math.prod(key[0]))
        out = jnp.take_along_axis(t.reshape(at.shape[0], -1), at, 1, mode="promise_in_bounds")
        return (best, chosen), (out.reshape(best.shape), none)
    out = jnp.zeros(best.shape, t.dtype)
    for i, v in enumerate(taps(t, key, const(0, t))):
        out = out + jnp.where(chosen == chosen.dtype.type(i), v, const(0, t))
    return (best, chosen), (out, none)


def flat_index(chosen: Any, key: tuple[Ints, ...], spatial: Ints) -> Any:
    """From the offset in the window, the index in the flattened spatial dims of the input, as int64."""
    return _flat(chosen, key, spatial).astype(np.int64)


def _flat(chosen: Any, key: tuple[Ints, ...], spatial: Ints) -> Any:
    out, kernel, stride, padding, dilation, _ = key
    rest, index, step = chosen.astype(np.int32), None, 1
    wide = np.int32 if known_below(math.prod(spatial), 2**31) else np.int64
    for axis in reversed(range(len(out))):
        k = kernel[axis]
        offset = rest % np.int32(k) if axis else rest
        rest = rest // np.int32(k)
        start = positions(out[axis], wide) * wide(stride[axis]) - wide(padding[axis])
        at = offset.astype(wide) * wide(dilation[axis]) + start.reshape((-1,) + (1,) * (len(out) - 1 - axis))
        at = at * size_as(step, wide)
        index = at if index is None else index + at
        step *= spatial[axis]
    return index


def _check(where: str, x: Any, n: int) -> None:
    if x.dtype == np.bool_ or is_complex(x):
        raise NotImplementedError(f"\"{where}\" not implemented for '{dtype_of(x).legacy}'")
    if x.ndim in (n + 1, n + 2) and all(x.shape[-n - 1 :] if x.ndim == n + 2 else x.shape):
        return
    complain_of_shape(where if n < 3 else "max_pool3d_with_indices_out_cpu_template", x, n)


def complain_of_shape(where: str, x: Any, n: int) -> None:
    """Raise what torch raises for an input of the wrong dims or with empty ones."""
    if where == "max_pool1d":
        raise RuntimeError(
            f"max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:{shape_text(x.shape)}"
        )
    if x.ndim in (n + 1, n + 2) and n < 3:
        raise RuntimeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for input, but got:{shape_text(x.shape)}"
        )
    if x.ndim in (n + 1, n + 2):
        at = next(i for i, s in enumerate(x.shape[x.ndim - n - 1 :] if x.ndim == n + 2 else x.shape) if s == 0)
        raise RuntimeError(
            f"{where}(): Expected input's non-batch dimensions to have positive length, but input has a shape of {shape_text(x.shape)} and "
            f"non-batch dimension {max(at - 1, 0)} has length zero!"
        )
    raise RuntimeError(f"non-empty {n + 1}D or {n + 2}D (batch mode) tensor expected for input")


def _check_1d(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """max_pool1d's own words for its arguments."""
    for name, v, words in (("kernel_size", kernel, "an int, list of ints or"), ("stride", stride, "None, an int, list of ints, or"), ("padding", padding, "an int, list of ints, or"), ("dilation", dilation, "an int, list of ints or")):
        if not isinstance(v, int) and len(v) != 1 and (len(v) or name != "stride"):
            raise RuntimeError(f"max_pool1d() {name} must be {words} tuple of ints of size 1 but got size {len(v)}")
    k, p, d = (v if isinstance(v, int) else v[0] for v in (kernel, padding, dilation))
    s = k if stride in (None, ()) else stride if isinstance(stride, int) else stride[0]
    for name, v in (("kernel_size", k), ("stride", s)):
        if v <= 0:
            raise RuntimeError(f"max_pool1d() {name} must be greater than zero, but got {v}")
    if p < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {p}")
    if p > k // 2:
        raise RuntimeError(f"max_pool1d() padding should be at most half of kernel size, but got padding={p} and kernel_size={k}")
    if d <= 0:
        raise RuntimeError(f"max_pool1d() dilation must be greater than zero, but got {d}")
    out = (x.shape[-1] + 2 * p - d * (k - 1) - 1) // s + 1
    if out < 1:
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {out}")


def _max_pool(
    where: str, n: int, input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, own_words: bool = False
) -> tuple[Any, Any]:
    if own_words:
        _check(where, input, n)
        _check_1d(input, kernel, stride, padding, dilation)
    elif input.ndim in (n + 1, n + 2):
        check_padding(where, padding, kernel, n, spread(dilation, n, "dilation", where))
    _check(where, input, n)
    w = Windows(where, input.shape, kernel, stride, padding, dilation, ceil_mode, n=n)
    best, chosen = windows_max(input, w.key)
    return best, flat_index(chosen, w.key, w.spatial)


@op(
    "max_pool1d_with_indices(Tensor input, int[1] kernel_size, int[1] stride=(), int[1] padding=0, int[1] dilation=1, bool "
    "ceil_mode=False)",
    where="torch", out=False, grad_name="MaxPool2DWithIndicesBackward0", second="zeros", kept="result1",
)  # fmt: skip
def max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode):
    """``(maxima, indices)`` of windows over (N, C, L) or (C, L)."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)


@op(
    "max_pool2d_with_indices(Tensor input, int[2] kernel_size, int[2] stride=(), int[2] padding=0, int[2] dilation=1, bool "
    "ceil_mode=False)",
    format="first", where="_nn", out=False, grad_name="MaxPool2DWithIndicesBackward0", second="zeros", kept="result1",
)  # fmt: skip
def max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode):
    """``(maxima, indices)`` of windows over (N, C, H, W) or (C, H, W); an index counts in the flattened plane."""
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)


@op(
    "max_pool3d_with_indices(Tensor input, int[3] kernel_size, int[3] stride=(), int[3] padding=0, int[3] dilation=1, bool "
    "ceil_mode=False)",
    format="first", where="_nn", out=False, grad_name="MaxPool3DWithIndicesBackward0", second="zeros", kept="result1",
)  # fmt: skip
def max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode):
    """``(maxima, indices)`` of windows over (N, C, D, H, W) or (C, D, H, W)."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode)


@op(
    "max_pool1d(Tensor input, int[1] kernel_size, int[1] stride=(), int[1] padding=0, int[1] dilation=1, bool ceil_mode=False)",
    where="torch", out=False, grad_name="SqueezeBackward1", second="zeros",
)  # fmt: skip
def max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Maxima of windows over (N, C, L) or (C, L)."""
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise NotImplementedError(f"\"max_pool1d_impl\" not implemented for '{dtype_of(input).legacy}'")
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, True)[0]


@op(
    "max_pool2d(Tensor input, int[2] kernel_size, int[2] stride=(), int[2] padding=0, int[2] dilation=1, bool ceil_mode=False)",
    format="first", where="torch", out=False, grad_name="MaxPool2DWithIndicesBackward0", second="zeros",
)  # fmt: skip
def max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Maxima of windows over (N, C, H, W) or (C, H, W)."""
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)[0]


@op(
    "max_pool3d(Tensor input, int[3] kernel_size, int[3] stride=(), int[3] padding=0, int[3] dilation=1, bool ceil_mode=False)",
    format="first", where="torch", out=False, grad_name="MaxPool3DWithIndicesBackward0", second="zeros",
)  # fmt: skip
def max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Maxima of windows over (N, C, D, H, W) or (C, D, H, W)."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode)[0]
