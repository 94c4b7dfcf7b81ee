"""Blocks as columns and back, and the shuffles of pixels and channels."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from ._lib import dtype_of
from ._nn import const, shape_text
from .nn_pool_max import taps

Pair = tuple[int, int]


def _pairs(**named: Any) -> list[Pair]:
    out = []
    for name, v in named.items():
        if len(v) != 2:
            raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(v)}")
        out.append(tuple(v))
    return out


def _paren(v: Any) -> str:
    return "(" + ", ".join(str(s) for s in v) + ")"


def _geometry(size: Any, kernel: Pair, dilation: Pair, padding: Pair, stride: Pair) -> tuple[Pair, Any]:
    """``(blocks by dim, key of taps)``."""
    for what, v in (("kernel size", kernel), ("dilation", dilation), ("stride", stride)):
        if min(v) <= 0:
            raise RuntimeError(
                f"{what} should be greater than zero, but got {what.partition(' ')[0]}_height: {v[0]} "
                f"{what.partition(' ')[0]}_width: {v[1]}"
            )
    if min(padding) < 0:
        raise RuntimeError(f"padding should be non-negative, but got pad_height: {padding[0]} pad_width: {padding[1]}")
    blocks = tuple((s + 2 * p - d * (k - 1) - 1) // st + 1 for s, k, d, p, st in zip(size, kernel, dilation, padding, stride, strict=True))
    extent = tuple((b - 1) * st + (k - 1) * d + 1 for b, st, k, d in zip(blocks, stride, kernel, dilation, strict=True))
    return blocks, (blocks, kernel, stride, padding, dilation, extent)  # type: ignore[return-value]


def _columns(x: Any, key: Any) -> Any:
    n, c = x.shape[:2]
    return jnp.stack(taps(x, key, const(0, x)), 2).reshape(n, c * math.prod(key[1]), math.prod(key[0]))


@op(
    "im2col(Tensor input, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride)", where="_nn", grad_name="Im2ColBackward0"
)  # fmt: skip
def im2col(input, kernel_size, dilation, padding, stride):
    """Sliding blocks of (N, C, H, W) as columns (N, C * KH * KW, L); also unbatched."""
    kernel, dilation, padding, stride = _pairs(kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)
    if input.ndim not in (3, 4) or 0 in input.shape[-3:]:
        if input.ndim < 3:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-input.ndim}, {input.ndim - 1}], but got {input.ndim})")
        raise RuntimeError(
            f"Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for "
            f"input, but got: {shape_text(input.shape)}"
        )
    if jnp.issubdtype(input.dtype, jnp.integer):
        raise NotImplementedError(f"\"im2col_out_cpu\" not implemented for '{dtype_of(input).legacy}'")
    blocks, key = _geometry(input.shape[-2:], kernel, dilation, padding, stride)
    if any(b < 1 for b in blocks):
        raise RuntimeError(
            f"Given input with spatial size {_paren(input.shape[-2:])}, kernel_size={_paren(kernel)}, dilation={_paren(dilation)}, "
            f"padding={_paren(padding)}, "
            f"calculated shape of the array of sliding blocks as {_paren(blocks)}, but its components must be at least one."
        )
    out = _columns(input if input.ndim == 4 else input[None], key)
    return out if input.ndim == 4 else out[0]


@op(
    "col2im(Tensor input, int[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride)",
    where="_nn", grad_name="Col2ImBackward0",
)  # fmt: skip
def col2im(input, output_size, kernel_size, dilation, padding, stride):
    """The sum of columns (N, C * KH * KW, L) at their places in (N, C, H, W): the transpose of :func:`im2col`."""
    size, kernel, dilation, padding, stride = _pairs(
        output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
    )
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise RuntimeError(
            f"Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for input, but "
            f"got: {shape_text(input.shape)}"
        )
    blocks, key = _geometry(size, kernel, dilation, padding, stride)
    rows = input.shape[-2]
    if rows % math.prod(kernel):
        raise RuntimeError(
            f"Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)={rows} and "
            f"kernel_size={_paren(kernel)}."
        )
    if jnp.issubdtype(input.dtype, jnp.integer):
        raise NotImplementedError(f"\"col2im_out_cpu\" not implemented for '{dtype_of(input).legacy}'")
    if any(b < 1 for b in blocks) or math.prod(blocks) != input.shape[-1]:
        words = f"Given output_size={_paren(size)}, kernel_size={_paren(kernel)}, dilation={_paren(dilation)}, padding={_paren(padding)}, stride={_paren(stride)}, "
        if any(b < 1 for b in blocks):
            raise RuntimeError(f"{words}calculated shape of the array of sliding blocks as {_paren(blocks)}, which is too small (non-positive)")
        words += (
            f"expected size of input's dimension 2 to match the calculated number of sliding blocks {blocks[0]} * {blocks[1]} = "
            f"{math.prod(blocks)}, "
            f"but got input.size(2)={input.shape[-1]}."
        )
        raise RuntimeError(words)
    x = input if input.ndim == 3 else input[None]
    if x.dtype == np.bool_:
        return _fold(x.astype(np.int32), key, size, kernel)[0 if input.ndim == 2 else slice(None)] != 0
    out = _fold(x, key, size, kernel)
    return out if input.ndim == 3 else out[0]


def _fold(x: Any, key: Any, size: Pair, kernel: Pair) -> Any:
    image = jax.ShapeDtypeStruct((x.shape[0], x.shape[1] // math.prod(kernel), *size), x.dtype)
    if jnp.issubdtype(x.dtype, jnp.integer):
        return _fold(x.astype(np.float64), key, size, kernel).astype(x.dtype)
    return jax.linear_transpose(lambda v: _columns(v, key), image)(x)[0]


@op("pixel_shuffle(Tensor input, int upscale_factor)", format="first", where="torch nn.functional", out=False)
def pixel_shuffle(input, upscale_factor):
    """(..., C * r * r, H, W) to (..., C, H * r, W * r)."""
    r = upscale_factor
    if input.ndim < 3:
        raise RuntimeError(f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
            f"input.size(-3)={c} is not divisible by {r * r}"
        )
    n = len(lead)
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    x = x.transpose(*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*lead, c // (r * r), h * r, w * r)


@op("pixel_unshuffle(Tensor input, int downscale_factor)", format="first", where="torch nn.functional", out=False)
def pixel_unshuffle(input, downscale_factor):
    """(..., C, H * r, W * r) to (..., C * r * r, H, W)."""
    r = downscale_factor
    if input.ndim < 3:
        raise RuntimeError(f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    for name, s, at in (("height", h, -2), ("width", w, -1)):
        if s % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({at})={s} is not divisible by {r}"
            )
    n = len(lead)
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    x = x.transpose(*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*lead, c * r * r, h // r, w // r)


@op("channel_shuffle(Tensor input, int groups)", format="first", where="torch nn.functional", out=False)
def channel_shuffle(input, groups):
    """Interleave the channels (dim 1) of ``groups`` groups."""
    return _channel_shuffle(input, groups)


@op("native_channel_shuffle(Tensor input, int groups)", format="first", where="torch nn.functional", out=False, grad_name="ChannelShuffleBackward0")
def native_channel_shuffle(input, groups):
    """:func:`channel_shuffle` under its other name."""
    return _channel_shuffle(input, groups)


def _channel_shuffle(x: Any, groups: int) -> Any:
    if x.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {shape_text(x.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    n, c = x.shape[:2]
    if c % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
    return x.reshape(n, groups, c // groups, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)
