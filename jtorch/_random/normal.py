"""Normal samples: torch's two Box-Muller paths.

Contiguous targets of 16 or more elements are filled in blocks of 16: eight uniforms for the radius, eight for the angle. For
float32 (and the 16-bit types) torch does it with AVX2 code after Cephes (public domain, Stephen Moshier), whose fused multiply-adds
are reproduced here through float64: the product of two float32 is exact there. Everything else (fewer elements, or memory
that is not contiguous) draws float64 pairs with the C library's functions, the second of a pair kept in the generator.

Bits differ from torch's where torch runs without AVX2: it then takes log, sin and cos from the C library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jtorch._random import libm
from jtorch._random.engine import MT19937
from jtorch._random.layout import arrange, cast, count_of, is_contiguous, part_of, real_view, to_complex

__all__ = ["fill_blocks_f32", "fused_f64", "log_normal", "normal", "standard_pairs"]

_F = np.float32
# A faster fill_blocks_f32, installed by a layer that has XLA. It may decline by returning False.
block_filler: Callable[[np.ndarray], bool] | None = None

_CHUNK = 16384  # angles worked on at a time: the float64 scratch stays in the L2 cache
_LOW24 = np.uint32((1 << 24) - 1)
_LOW53 = np.uint64((1 << 53) - 1)
_LOG = (1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
_LOG_FIRST = (7.0376836292e-2, -1.1514610310e-1)
_REDUCE = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)


def _c(value: float) -> float:
    """A constant rounded to float32, held in a Python float."""
    return float(_F(value))


class _Scratch:
    """Buffers for one chunk, so that a pass allocates nothing."""

    def __init__(self, size: int) -> None:
        self.wide = [np.empty(size) for _ in range(3)]
        self.slim = [np.empty(size, _F) for _ in range(6)]
        self.ints = [np.empty(size, np.int32) for _ in range(2)]

    def cut(self, size: int) -> _Scratch:
        if size == len(self.wide[0]):
            return self
        part = _Scratch.__new__(_Scratch)
        part.wide, part.slim, part.ints = ([a[:size] for a in kind] for kind in (self.wide, self.slim, self.ints))  # type: ignore[misc]
        return part


def _chain(y: np.ndarray, x: np.ndarray, wide: np.ndarray, slim: np.ndarray, coefficients: Sequence[float]) -> None:
    """``y = fma(y, x, c)`` for each c, rounded to float32 each time. ``x`` float64; ``y`` float64 holding float32 values."""
    for c in coefficients:
        np.multiply(y, x, out=wide)
        np.add(wide, _c(c), out=slim, casting="same_kind")
        y[...] = slim


def _log(x: np.ndarray, s: _Scratch, out: np.ndarray) -> None:
    """Cephes ``logf`` of float32 ``x`` in (0, 1], into ``out``."""
    wide_m, wide_y, wide_t = s.wide
    e, m, z, t = s.slim[2:6]
    bits = s.ints[0]
    np.right_shift(x.view(np.int32), 23, out=bits)
    bits -= 126
    e[...] = bits
    np.bitwise_and(x.view(np.int32), 0x007FFFFF, out=bits)
    np.bitwise_or(bits, 0x3F000000, out=m.view(np.int32))
    low = m < _F(0.707106781186547524)
    e -= low
    np.multiply(m, low, out=t)
    m -= _F(1)
    m += t
    np.multiply(m, m, out=z)
    wide_m[...] = m
    np.multiply(wide_m, _c(_LOG_FIRST[0]), out=wide_t)
    np.add(wide_t, _c(_LOG_FIRST[1]), out=t, casting="same_kind")
    wide_y[...] = t
    _chain(wide_y, wide_m, wide_t, t, _LOG)
    t *= m  # t holds the polynomial in float32
    wide_y[...] = t
    wide_t[...] = z
    wide_y *= wide_t
    np.multiply(e, _F(-2.12194440e-4), out=t)
    wide_y += t
    t[...] = wide_y
    wide_t *= -0.5
    wide_t += t
    t[...] = wide_t
    t += m
    wide_t[...] = e
    wide_t *= 0.693359375
    wide_t += t
    out[...] = wide_t


def _sincos(x: np.ndarray, s: _Scratch, sin: np.ndarray, cos: np.ndarray) -> None:
    """Cephes ``sinf`` and ``cosf`` of float32 ``x`` in [0, 2 pi); ``x`` is overwritten."""
    wide_x, wide_z, wide_t = s.wide
    z, t = s.slim[4], s.slim[5]
    octant, flip = s.ints
    np.multiply(x, _F(1.27323954473516), out=t)
    octant[...] = t
    octant += 1
    octant &= ~1
    t[...] = octant
    wide_z[...] = t
    wide_x[...] = x
    for c in _REDUCE:
        np.multiply(wide_z, _c(c), out=wide_t)
        np.add(wide_t, wide_x, out=x, casting="same_kind")
        wide_x[...] = x
    np.multiply(x, x, out=z)
    wide_z[...] = z
    for (first, *rest), target in ((_COS, cos), (_SIN, sin)):
        np.multiply(wide_z, _c(first), out=wide_t)
        np.add(wide_t, _c(rest[0]), out=target, casting="same_kind")
        np.multiply(wide_z, target, out=wide_t)
        np.add(wide_t, _c(rest[1]), out=target, casting="same_kind")
        target *= z
    np.multiply(cos, wide_z, out=wide_t)  # cos = fma(cos, z, -z/2) + 1
    z *= _F(0.5)
    np.subtract(wide_t, z, out=cos, casting="same_kind")
    cos += _F(1)
    np.multiply(sin, wide_x, out=wide_t)  # sin = fma(sin, x, x)
    np.add(wide_t, wide_x, out=sin, casting="same_kind")
    np.bitwise_and(octant, 2, out=flip)
    swap = flip != 0
    t[...] = sin
    np.copyto(sin, cos, where=swap)
    np.copyto(cos, t, where=swap)
    np.left_shift(octant, 29, out=flip)
    flip &= np.int32(-(2**31))
    sin.view(np.int32)[...] ^= flip
    octant -= 2
    np.invert(octant, out=octant)
    octant <<= 29
    octant &= np.int32(-(2**31))
    cos.view(np.int32)[...] ^= octant


def fill_blocks_f32(uniforms: np.ndarray) -> None:
    """Turn float32 uniforms, a multiple of 16 of them, into standard normals in place."""
    if block_filler is not None and block_filler(uniforms):
        return
    blocks = uniforms.reshape(-1, 2, 8)
    step = _CHUNK // 8
    scratch = _Scratch(min(_CHUNK, 8 * len(blocks)))
    for start in range(0, len(blocks), step):
        part = blocks[start : start + step]
        s = scratch.cut(8 * len(part))
        radius, x = s.slim[0], s.slim[1]
        np.subtract(_F(1), part[:, 0], out=x.reshape(-1, 8))
        _log(x, s, radius)
        radius *= _F(-2)
        np.sqrt(radius, out=radius)
        np.multiply(part[:, 1], _F(2 * math.pi), out=x.reshape(-1, 8))
        sin, cos = s.slim[2], s.slim[3]
        _sincos(x, s, sin, cos)
        np.multiply(radius.reshape(-1, 8), cos.reshape(-1, 8), out=part[:, 0])
        np.multiply(radius.reshape(-1, 8), sin.reshape(-1, 8), out=part[:, 1])


def _fill_blocks_f64(uniforms: np.ndarray) -> None:
    blocks = uniforms.reshape(-1, 2, 8)
    radius = np.sqrt(-2 * libm.log(1 - blocks[:, 0]))
    theta = 2 * math.pi * blocks[:, 1]
    blocks[:, 0], blocks[:, 1] = radius * libm.cos(theta), radius * libm.sin(theta)


def fused_f64(x: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """``x * scale + shift`` rounded once, as the fused instruction does: both operations carry their error terms (Dekker, Knuth)."""
    if scale in (0.0, 1.0) or shift == 0.0:
        return x * scale + shift
    if x.size > _CHUNK:  # piece by piece, in the cache
        out = np.empty_like(x)
        for at in range(0, x.size, _CHUNK):
            out[at : at + _CHUNK] = fused_f64(x[at : at + _CHUNK], scale, shift)
        return out
    product = x * scale
    plain = product + shift
    with np.errstate(over="ignore", invalid="ignore"):
        high = x * 134217729.0
        high -= high - x
        low = x - high
        scale_high = scale * 134217729.0
        scale_high -= scale_high - scale
        scale_low = scale - scale_high
        error = ((high * scale_high - product) + high * scale_low + low * scale_high) + low * scale_low
        back = plain - product
        result = plain + (((product - (plain - back)) + (shift - back)) + error)
    return result if np.isfinite(result).all() else np.where(np.isfinite(result), result, plain)


def _uniforms(generator: MT19937, count: int, kind: Any) -> np.ndarray:
    if kind == np.float64:
        return (generator.u64(count) & _LOW53) * 2.0**-53
    values = (generator.u32(count) & _LOW24).astype(_F)
    values *= _F(2**-24)
    return values


def _blocks(generator: MT19937, count: int, kind: Any, mean: float, std: float, halves: bool) -> np.ndarray:
    """``count`` >= 16 samples of kind float32 or float64; the last 16 are drawn anew when the count is no multiple of 16.

    The ``halves`` (16-bit types) are drawn block by block, so their leftover past the last whole block is never drawn twice.
    """
    fill = _fill_blocks_f64 if kind == np.float64 else fill_blocks_f32
    whole = count // 16 * 16
    data = _uniforms(generator, whole if halves else count, kind)
    fill(data[:whole])
    if halves and count % 16:
        data = np.concatenate([data, np.empty(count - whole, kind)])
    if count % 16:
        tail = _uniforms(generator, 16, kind)
        fill(tail)
        data[-16:] = tail
    if mean == 0 and std == 1:
        data += 0.0  # torch's final multiply-add turns -0 into 0
        return data
    if kind == np.float64:
        return fused_f64(data, std, mean)
    result = data * np.float64(_F(std))
    result += np.float64(_F(mean))
    return result.astype(_F)


def standard_pairs(generator: MT19937, count: int) -> np.ndarray:
    """``count`` float64 standard normals, one after the other, through the generator's cached sample."""
    out = np.empty(count)
    start = 0
    if count and generator.next_normal is not None:
        out[0], generator.next_normal, start = generator.next_normal, None, 1
    pairs = (count - start + 1) // 2
    if pairs:
        u = _uniforms(generator, 2 * pairs, np.float64)
        radius, theta = np.sqrt(-2.0 * libm.log1p(-u[1::2])), 2.0 * math.pi * u[0::2]
        both = np.empty(2 * pairs)
        both[0::2], both[1::2] = radius * libm.cos(theta), radius * libm.sin(theta)
        out[start:] = both[: count - start]
        if (count - start) % 2:
            generator.next_normal = float(both[-1])
    return out


def _scaled_pairs(generator: MT19937, count: int, mean: float, std: float) -> np.ndarray:
    return fused_f64(standard_pairs(generator, count), std, mean)


def normal(
    generator: MT19937, shape: Sequence[int], dtype: Any, mean: float = 0.0, std: float = 1.0, strides: Sequence[int] | None = None
) -> np.ndarray:
    """``Tensor.normal_(mean, std)``. A complex dtype shares the variance between its parts."""
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    dtype = np.dtype(dtype)
    if dtype.kind == "c" or dtype.names:
        inner_shape, inner_strides = real_view(shape, strides)
        part = part_of(dtype)
        return to_complex(normal(generator, inner_shape, part, mean, std / math.sqrt(2), inner_strides), dtype)
    count = count_of(shape)
    if count >= 16 and is_contiguous(shape, strides):
        kind = np.float64 if dtype == np.float64 else np.float32
        return cast(_blocks(generator, count, kind, mean, std, dtype.itemsize == 2), dtype).reshape(tuple(shape))
    return arrange(cast(_scaled_pairs(generator, count, mean, std), dtype), shape, strides)


def log_normal(
    generator: MT19937, shape: Sequence[int], dtype: Any, mean: float = 1.0, std: float = 2.0, strides: Sequence[int] | None = None
) -> np.ndarray:
    """``Tensor.log_normal_(mean, std)``: always the float64 pairs, whatever the size."""
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    with np.errstate(over="ignore"):
        return arrange(cast(libm.exp(_scaled_pairs(generator, count_of(shape), mean, std)), dtype), shape, strides)
