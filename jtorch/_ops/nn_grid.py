"""Sampling at given places (grid_sample) and the grids of affine maps."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from ._lib import accumulate_in, dim_of, dtype_of, library, matmul_precision, place_type, positions, size_as
from ._nn import back, const, floats_only, shape_text
from ._pointwise import refuse

BILINEAR, NEAREST, BICUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2


def _unnormalise(x: Any, size: int, align_corners: bool) -> Any:
    if align_corners:
        return (x + const(1, x)) * (const((size - 1) / 2, x) if isinstance(size, int) else size_as(size - 1, x.dtype) / 2)
    return ((x + const(1, x)) * size_as(size, x.dtype) - const(1, x)) * const(0.5, x)


def _clip(x: Any, size: int) -> Any:
    """Into [0, size - 1], nan to 0, with zero gradient from the bounds on."""
    top = size_as(size - 1, x.dtype)
    return jnp.where(~(x > 0), const(0, x), jnp.where(x >= top, top, x))


def _reflect(x: Any, low: float, span: Any) -> Any:
    """Reflected at ``low`` and ``low + span``."""
    if span == 0:
        return jnp.zeros_like(x)
    span = size_as(span, x.dtype)
    shifted = x - const(low, x)
    distance = jnp.where(shifted < 0, -shifted, shifted)
    flips = jnp.floor(distance / span)
    extra = distance - flips * span
    even = jnp.mod(flips, const(2, x)) == 0
    return jnp.where(even, extra + const(low, x), span + const(low, x) - extra)


def _place(x: Any, size: int, padding: int, align_corners: bool) -> Any:
    """Bring a pixel coordinate into the input as the padding mode says."""
    if padding == BORDER:
        return _clip(x, size)
    if padding == REFLECTION:
        x = _reflect(x, 0.0, size - 1) if align_corners else _reflect(x, -0.5, size)
        return _clip(x, size)
    return x


def _read(flat: Any, index: list[Any], sizes: tuple[int, ...], weight: Any = None) -> Any:
    """``flat`` (N, C, prod) at integer coordinates (N, P), times a weight (N, P); zero outside, whatever the weight is."""
    inside, at = None, None
    kind = place_type(flat.shape[2])
    for i, size in zip(index, sizes, strict=True):
        ok = (i >= 0) & (i <= size_as(size - 1, i.dtype))
        inside = ok if inside is None else inside & ok
        safe = jnp.where(ok, i, const(0, i)).astype(kind)
        at = safe if at is None else at * size_as(size, kind) + safe
    values = jnp.take_along_axis(flat, at[:, None, :], 2)
    values = values if weight is None else values * weight[:, None, :]
    return jnp.where(inside[:, None, :], values, const(0, flat))


def _cubic(t: Any) -> list[Any]:
    a = -0.75

    def near(x: Any) -> Any:
        return (x * const(a + 2, x) - const(a + 3, x)) * x * x + const(1, x)

    def far(x: Any) -> Any:
        return ((x * const(a, x) - const(5 * a, x)) * x + const(8 * a, x)) * x - const(4 * a, x)

    one = const(1, t)
    return [far(t + one), near(t), near(one - t), far(const(2, t) - t)]


def _sample(input: Any, grid: Any, mode: int, padding: int, align_corners: bool, n: int) -> Any:
    _check(input, grid, n, mode)
    floats_only(f"grid_sampler_{n}d_cpu_kernel_impl", input)
    batch, channels, *sizes = input.shape
    out = grid.shape[1:-1]
    flat = accumulate_in(input).reshape(batch, channels, math.prod(sizes))
    places = accumulate_in(grid).reshape(batch, math.prod(out), n)
    # the grid's last dim names x, y, z: the input's dims from the last one on
    coords = [_unnormalise(places[..., n - 1 - d], sizes[d], align_corners) for d in range(n)]
    sizes = tuple(sizes)
    if input.size == 0 or math.prod(out) == 0:
        return jnp.zeros((batch, channels, *out), input.dtype)
    if mode == BICUBIC:
        value = _bicubic(flat, coords, sizes, padding, align_corners)
    else:
        coords = [_place(c, s, padding, align_corners) for c, s in zip(coords, sizes, strict=True)]
        if mode == NEAREST:
            value = _read(flat, [jnp.round(c) for c in coords], sizes)
        else:
            value = 0
            lows = [jnp.floor(c) for c in coords]
            parts = [c - low for c, low in zip(coords, lows, strict=True)]
            for corner in product((0, 1), repeat=n):
                weight = None
                for bit, p in zip(corner, parts, strict=True):
                    w = p if bit else const(1, p) - p
                    weight = w if weight is None else weight * w
                at = [low + const(bit, low) for bit, low in zip(corner, lows, strict=True)]
                # torch's kernel of three dims leaves out what is outside, that of two multiplies it by 0
                value = value + (_read(flat, at, sizes, weight) if n == 3 else _read(flat, at, sizes) * weight[:, None, :])
    return back(value.reshape(batch, channels, *out), input)


def _bicubic(flat: Any, coords: list[Any], sizes: tuple[int, ...], padding: int, align_corners: bool) -> Any:
    lows = [jnp.floor(c) for c in coords]
    weights = [_cubic(c - low) for c, low in zip(coords, lows, strict=True)]
    value = 0
    for i, j in product(range(4), repeat=2):
        at = [lows[0] + const(i - 1, lows[0]), lows[1] + const(j - 1, lows[1])]
        at = [jnp.round(_place(c, s, padding, align_corners)) for c, s in zip(at, sizes, strict=True)]
        value = value + _read(flat, at, sizes) * (weights[0][i] * weights[1][j])[:, None, :]
    return value


def _check(input: Any, grid: Any, n: int, mode: int) -> None:
    if input.shape[:1] != grid.shape[:1]:
        raise RuntimeError(
            f"grid_sampler(): expected grid and input to have same batch size, but got input with sizes {shape_text(input.shape)} "
            f"and grid with sizes {shape_text(grid.shape)}"
        )
    if grid.shape[-1] != input.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.ndim - 2} in last dimension, but got grid with sizes "
            f"{shape_text(grid.shape)}"
        )
    if any(s == 0 for s in input.shape[2:]):
        axis = next(i for i, s in enumerate(input.shape) if i >= 2 and s == 0)
        raise RuntimeError(
            f"grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes {shape_text(input.shape)} "
            f"with dimension {axis} being empty"
        )
    if input.ndim not in (4, 5) or input.ndim != grid.ndim:
        raise RuntimeError(
            f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{shape_text(input.shape)} and grid with sizes {shape_text(grid.shape)}"
        )
    if n == 3 and mode == BICUBIC:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    refuse("grid_sampler_2d_cpu_kernel_impl" if n == 2 else "grid_sampler3d_cpu", input, "bic")
    if input.dtype != grid.dtype:
        raise RuntimeError(f"expected scalar type {dtype_of(input).legacy} but found {dtype_of(grid).legacy}")


_SIGNATURE = "(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners)"


@op("grid_sampler_2d" + _SIGNATURE, where="torch", aliases="_grid_sampler_2d_cpu_fallback", out=False, grad_name="GridSampler2DBackward0")
def grid_sampler_2d(input, grid, interpolation_mode, padding_mode, align_corners):
    """``input`` (N, C, H, W) at the places of ``grid`` (N, h, w, 2) in [-1, 1]."""
    return _sample(input, grid, interpolation_mode, padding_mode, align_corners, 2)


@op("grid_sampler_3d" + _SIGNATURE, where="torch", out=False, grad_name="GridSampler3DBackward0")
def grid_sampler_3d(input, grid, interpolation_mode, padding_mode, align_corners):
    """``input`` (N, C, D, H, W) at the places of ``grid`` (N, d, h, w, 3) in [-1, 1]."""
    return _sample(input, grid, interpolation_mode, padding_mode, align_corners, 3)


@op("grid_sampler" + _SIGNATURE, where="torch", out=False, grad_name="GridSampler2DBackward0")
def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """:func:`grid_sampler_2d` or :func:`grid_sampler_3d`, by the input's dims."""
    return _sample(input, grid, interpolation_mode, padding_mode, align_corners, 3 if input.ndim == 5 else 2)


@op("affine_grid_generator(Tensor theta, int[] size, bool align_corners)", where="torch", out=False)
def affine_grid_generator(theta, size, align_corners):
    """The grid (N, H, W, 2) or (N, D, H, W, 3) of the affine maps ``theta`` (N, 2, 3) or (N, 3, 4)."""
    if len(size) not in (4, 5):
        raise RuntimeError("AffineGridGenerator needs 4d (spatial) or 5d (volumetric) inputs.")
    spatial = size[2:]
    n = len(spatial)
    dim_of(2, theta.ndim)
    kind = accumulate_in(theta).dtype
    axes = []
    for s in spatial:
        if isinstance(s, int):
            line = np.linspace(-1, 1, s) if s > 1 else np.zeros(1)
            axes.append((line if align_corners else line * (s - 1) / s).astype(kind))
        else:
            steps = size_as(s - 1, np.float64)
            line = positions(s, np.float64) * 2 / steps - 1
            axes.append((line if align_corners else line * steps / (steps + 1)).astype(kind))
    xp = library(*spatial)
    mesh = xp.meshgrid(*axes, indexing="ij")
    base = xp.stack([*reversed(mesh), xp.ones_like(mesh[0])], -1).reshape(-1, n + 1)
    grid = jnp.matmul(base, jnp.swapaxes(theta.astype(kind), 1, 2), precision=matmul_precision())
    return back(grid.reshape(size[0], *spatial, n), theta)
