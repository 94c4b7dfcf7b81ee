"""torch's CPU samplers: each takes ``(generator, shape, dtype, parameters, strides=None)`` and returns a numpy array.

``dtype`` is a numpy (or ml_dtypes) type; ``strides`` those of a target that is not contiguous (:mod:`jtorch._random.layout`).
The draws, their order and the arithmetic are torch 2.13's on x86-64, so one seed gives torch's bits. Where they can differ:
``multinomial`` without replacement among categories whose keys tie (probabilities of zero; often in the 16-bit types), where
torch's choice depends on its selection algorithm; and builds of torch without AVX2 (see :mod:`jtorch._random.normal`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jtorch._random import libm
from jtorch._random.engine import MT19937
from jtorch._random.layout import arrange, cast, count_of, in_fill_order, part_of, real_view, to_complex
from jtorch._random.normal import fused_f64, log_normal, normal
from jtorch._random.rejection import binomial, poisson, sample_dirichlet, standard_gamma

__all__ = [
    "bernoulli", "bernoulli_tensor", "binomial", "cauchy", "dropout_mask", "exponential", "geometric", "log_normal", "multinomial",
    "normal", "poisson", "random_from_to", "random_full", "randperm", "rrelu_noise", "sample_dirichlet", "standard_gamma", "trunc_normal",
    "uniform",
]  # fmt: skip

_F = np.float32
Strides = Sequence[int] | None
_LOW24, _LOW53 = np.uint32((1 << 24) - 1), np.uint64((1 << 53) - 1)
_HALF_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
_INT64_MAX = 2**63 - 1


def _wide(generator: MT19937, count: int) -> np.ndarray:
    """float64 uniforms of [0, 1), two outputs of the generator each."""
    return (generator.u64(count) & _LOW53) * 2.0**-53


def uniform(
    generator: MT19937, shape: Sequence[int], dtype: Any, low: float = 0.0, high: float = 1.0, strides: Strides = None
) -> np.ndarray:
    """``Tensor.uniform_(low, high)``; 16-bit types are drawn in float32. The bounds are the caller's to check."""
    dtype = np.dtype(dtype)
    if dtype.kind == "c" or dtype.names:
        inner_shape, inner_strides = real_view(shape, strides)
        part = part_of(dtype)
        return to_complex(uniform(generator, inner_shape, part, low, high, inner_strides), dtype)
    count = count_of(shape)
    plain = low == 0 and high == 1
    if dtype == np.float64:
        values = _wide(generator, count)
        if not plain:
            values = fused_f64(values, high - low, low)
    elif plain and dtype == np.float32:
        values = (generator.u32(count) & _LOW24).astype(_F)
        values *= _F(2**-24)
    else:  # one multiply-add of float32 numbers, rounded once: exact product in float64
        first, last = _F(low), _F(high)
        values = (generator.u32(count) & _LOW24).astype(np.float64)
        values *= float(last - first) * 2.0**-24
        values += float(first)
        values = values.astype(_F)
    if not (plain and dtype.itemsize >= 4):
        values = cast(values, dtype)
        top, bottom = (cast(np.asarray(v, np.float64), dtype) for v in (high, low))
        np.copyto(values, bottom, where=values == top)  # rounding may reach the open end
    return arrange(values, shape, strides)


def _mod(values: np.ndarray, divisor: int) -> np.ndarray:
    """``values % divisor`` for unsigned arrays; numpy divides by a constant much faster than it takes remainders."""
    by = values.dtype.type(divisor)
    if divisor & (divisor - 1) == 0:
        return values & values.dtype.type(divisor - 1)
    whole = values // by
    whole *= by
    return np.subtract(values, whole, out=whole)


def _store_ints(values: np.ndarray, dtype: Any, shape: Sequence[int], strides: Sequence[int] | None) -> np.ndarray:
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return arrange(values != 0, shape, strides)
    if dtype.itemsize == 2 and dtype.kind not in "iu":
        values = values.astype(_F)
    return arrange(values.astype(dtype), shape, strides)


def random_from_to(generator: MT19937, shape: Sequence[int], dtype: Any, low: int, high: int, strides: Strides = None) -> np.ndarray:
    """``random_(low, high)`` and ``randint``: integers of [low, high); bounds already checked. ``high`` up to 2**63."""
    span, count = high - low, count_of(shape)
    if span >= 1 << 64:
        return _store_ints(generator.u64(count).view(np.int64), dtype, shape, strides)
    if span >= 1 << 28:  # torch then takes 64 bits, so that the remainder is not skewed
        values = (_mod(generator.u64(count), span) if span < 1 << 64 else generator.u64(count)).view(np.int64)
    else:
        values = _mod(generator.u32(count), span)
        if low == 0 and np.dtype(dtype) == np.int64:
            return arrange(values.astype(np.int64), shape, strides)
        values = values.astype(np.int64)
    if low:
        with np.errstate(over="ignore"):
            values = values + np.int64(low)
    return _store_ints(values, dtype, shape, strides)


def random_full(generator: MT19937, shape: Sequence[int], dtype: Any, strides: Strides = None) -> np.ndarray:
    """``random_()``: integers of [0, largest of the type], or [0, 2**mantissa bits] for floating types."""
    dtype, count = np.dtype(dtype), count_of(shape)
    name = dtype.name
    if name == "bool":
        return arrange((generator.u32(count) & np.uint32(1)).astype(bool), shape, strides)
    if name in ("int64", "float64"):
        span = 1 << 63 if name == "int64" else (1 << 53) + 1
        return _store_ints(_mod(generator.u64(count), span), dtype, shape, strides)
    span = (1 << _HALF_DIGITS[name]) + 1 if name in _HALF_DIGITS else int(np.iinfo(dtype).max) + 1
    values = generator.u32(count)
    return _store_ints(_mod(values, span) if span < 1 << 32 else values, dtype, shape, strides)


def float_random_bounds(dtype: Any, low: int, high: int | None) -> tuple[int, int]:
    """The bounds of ``random_(low, high)`` moved inwards to integers that the floating ``dtype`` can hold."""
    dtype = np.dtype(dtype)
    digits = _HALF_DIGITS[dtype.name]

    def held(value: int) -> int:
        number = cast(np.asarray([value], np.int64), dtype).astype(np.float64)[0]
        if not math.isfinite(number):
            return -(2**63)
        return int(number) if -(2**63) <= number < 2**63 else -(2**63)  # what the C cast gives on x86

    above = held(low + 1)
    if above < low:
        low = above + (1 << (abs(low + 1).bit_length() - 1 - digits + 1))
    if high is None:
        return low, (1 << digits) + 1
    below = held(high - 1)
    if below >= high:
        high = below - (1 << (abs(high - 1).bit_length() - 1 - digits + 1))
    return low, high


def bernoulli(generator: MT19937, shape: Sequence[int], dtype: Any, p: float, strides: Strides = None) -> np.ndarray:
    """``bernoulli_(p)`` with a number: a float64 uniform below ``p`` is a one."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    bits = generator.u64(count_of(shape))
    bits &= _LOW53
    hit = bits < np.uint64(math.ceil(p * 2.0**53))  # the same comparison in integers: no conversion to float
    return arrange(hit if np.dtype(dtype) == np.bool_ else hit.astype(dtype), shape, strides)


def bernoulli_tensor(
    generator: MT19937, shape: Sequence[int], dtype: Any, p: np.ndarray, strides: Strides = None
) -> np.ndarray:
    """``bernoulli_(p)`` and ``bernoulli(p)`` with a tensor of probabilities, broadcast to ``shape``."""
    flat = in_fill_order(np.broadcast_to(p, tuple(shape)), strides)
    if flat.size and not bool(((flat >= 0) & (flat <= 1)).all()):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be improved?  "
                           "If so, please report an enhancement request to PyTorch.)")  # fmt: skip
    if flat.dtype == np.float64:
        hit = _wide(generator, flat.size) < flat
    else:
        values = (generator.u32(flat.size) & _LOW24).astype(_F)
        values *= _F(2**-24)
        hit = values < flat.astype(_F)
    return arrange(hit if np.dtype(dtype) == np.bool_ else hit.astype(dtype), shape, strides)


def dropout_mask(generator: MT19937, shape: Sequence[int], p: float, feature: bool = False, strides: Strides = None) -> np.ndarray:
    """Which elements ``dropout(x, p)`` keeps (bool). ``feature``: one decision per (batch, channel), shape (N, C, 1, ...)."""
    if feature:
        if len(shape) < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        shape, strides = (*shape[:2], *(1 for _ in shape[2:])), None
    return bernoulli(generator, shape, np.bool_, 1 - p, strides)


def exponential(generator: MT19937, shape: Sequence[int], dtype: Any, lambd: float = 1.0, strides: Strides = None) -> np.ndarray:
    """``exponential_(lambd)``: ``-log1p(-u) / lambd`` in float64."""
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    values = _wide(generator, count_of(shape))
    np.negative(values, out=values)
    libm.log1p(values, out=values)
    values *= -1.0 / lambd
    return arrange(cast(values, dtype), shape, strides)


def geometric(generator: MT19937, shape: Sequence[int], dtype: Any, p: float, strides: Strides = None) -> np.ndarray:
    """``geometric_(p)``: the number of trials up to the first success."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    with np.errstate(divide="ignore"):
        values = libm.log(_wide(generator, count_of(shape)))
    values /= math.log1p(-p)
    np.ceil(values, out=values)
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":  # C truncates by way of int64
        values = values.astype(np.int64)
    return arrange(cast(values, dtype), shape, strides)


def cauchy(
    generator: MT19937, shape: Sequence[int], dtype: Any, median: float = 0.0, sigma: float = 1.0, strides: Strides = None
) -> np.ndarray:
    """``cauchy_(median, sigma)``."""
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    values = _wide(generator, count_of(shape))
    values -= 0.5
    values *= math.pi
    libm.tan(values, out=values)
    return arrange(cast(fused_f64(values, sigma, median), dtype), shape, strides)


def randperm(generator: MT19937, n: int, dtype: Any = np.int64) -> np.ndarray:
    """``randperm(n)``: Fisher-Yates, from the front."""
    wide = n >= (2**32 - 1) // 20  # torch then draws 64 bits a step
    steps = max(n - 1, 0)
    left = np.arange(n, 1, -1, dtype=np.uint64 if wide else np.uint32)
    jumps = (generator.u64(steps) if wide else generator.u32(steps)) % left
    if n < 512:
        order = list(range(n))
        for i, jump in enumerate(jumps.tolist()):
            j = i + jump
            order[i], order[j] = order[j], order[i]
        return np.array(order, dtype=np.int64).astype(dtype)
    return _swap_rows(n, jumps).astype(dtype)


def _swap_rows(n: int, jumps: np.ndarray) -> np.ndarray:
    """Exchange element i with element i + jumps[i], in order: LAPACK's row interchanges do just that, at C speed."""
    pivots = np.arange(n, dtype=np.int64)
    pivots[: n - 1] += jumps.astype(np.int64)
    try:
        from scipy.linalg.lapack import dlaswp  # scipy comes with jax

        if n < 2**31:
            column = np.asfortranarray(np.arange(n, dtype=np.float64)[:, None])
            return dlaswp(column, pivots.astype(np.int32), overwrite_a=1)[:, 0]
    except ImportError:
        pass
    order = list(range(n))
    for i, j in enumerate(pivots.tolist()):
        order[i], order[j] = order[j], order[i]
    return np.array(order)


def multinomial(generator: MT19937, p: np.ndarray, num_samples: int, replacement: bool = False, strides: Strides = None) -> np.ndarray:
    """``multinomial(p, num_samples, replacement)``: int64 indices, ``p`` of one or two dimensions, weights as they come."""
    if not replacement or num_samples == 1:
        return _multinomial_by_keys(generator, p, num_samples, strides)
    rows = p.reshape(-1, p.shape[-1])
    real = rows.astype(_F) if p.dtype.itemsize == 2 else rows
    if bool((real < 0).any()):
        raise RuntimeError("invalid multinomial distribution (encountering probability entry < 0)")
    if not bool(np.isfinite(real).all()):
        raise RuntimeError("invalid multinomial distribution (encountering probability entry = infinity or NaN)")
    if bool((real.sum(-1) == 0).any()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    work = rows.astype(np.float64 if p.dtype == np.float64 else _F)
    cumulative = np.empty_like(work)
    running = np.zeros(len(rows), work.dtype)
    # numpy's cumsum adds one after the other in the array's own type, as torch's loop does
    np.cumsum(work, axis=-1, out=cumulative)
    running = cumulative[:, -1:].copy()
    cumulative /= running
    cumulative[:, -1] = 1
    draws = _wide(generator, len(rows) * num_samples).reshape(len(rows), num_samples)
    picked = np.empty(draws.shape, np.int64)
    for row, (steps, values) in enumerate(zip(cumulative.astype(np.float64), draws, strict=True)):
        picked[row] = np.searchsorted(steps, values, side="left")
    return picked.reshape((*p.shape[:-1], num_samples))


def _check_weights(p: np.ndarray) -> None:
    values = p.astype(_F) if p.dtype.itemsize == 2 else p
    least, most = np.minimum.reduce(values, axis=None), np.maximum.reduce(values, axis=None)  # nan if one is
    if not (least >= 0 and most < math.inf):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if least == 0 and bool((values.sum(-1) == 0).any()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


def _multinomial_by_keys(generator: MT19937, p: np.ndarray, num_samples: int, strides: Strides) -> np.ndarray:
    """Without replacement: the largest keys ``p / q`` with exponential ``q`` (the Gumbel trick without logarithms)."""
    _check_weights(p)
    q = exponential(generator, p.shape, p.dtype, 1.0, strides)
    with np.errstate(divide="ignore", invalid="ignore"):
        keys = (p.astype(_F) / q.astype(_F)).astype(p.dtype) if p.dtype.itemsize == 2 else p / q
    if num_samples == 1:
        return keys.argmax(-1, keepdims=True)
    keys = keys.astype(np.float64)
    return np.argsort(-keys, axis=-1, kind="stable")[..., :num_samples]


def rrelu_noise(generator: MT19937, x: np.ndarray, lower: float, upper: float) -> np.ndarray:
    """The slopes of ``rrelu`` in training: one where ``x`` is positive, else uniform of [lower, upper), drawn only there."""
    noise = np.ones(x.shape, x.dtype)
    hit = (x.astype(_F) if x.dtype.name == "bfloat16" else x) <= 0
    values = _wide(generator, int(hit.sum()))
    if x.dtype != np.float64:
        lower, upper = float(_F(lower)), float(_F(upper))
    values *= upper - lower
    values += lower
    noise[hit] = cast(values, x.dtype)
    return noise


def trunc_normal(generator: MT19937, shape: Sequence[int], dtype: Any, mean: float, std: float, a: float, b: float) -> np.ndarray:
    """``nn.init.trunc_normal_``: normals redrawn while outside [a, b], or uniform proposals where that is rarely inside."""
    dtype = np.dtype(dtype)

    def inside(x: float) -> float:
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    def real(x: np.ndarray) -> np.ndarray:
        return x.astype(_F) if x.dtype.itemsize == 2 else x

    if inside((b - mean) / std) - inside((a - mean) / std) > 0.3:
        low, high = (cast(np.asarray(v, np.float64), dtype) for v in (a, b))
        result = normal(generator, shape, dtype, mean, std)
        while True:
            outside = (result < low) | (result > high)
            if not outside.any():
                return result
            result = np.where(outside, normal(generator, shape, dtype, mean, std), result)
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    result, pending = None, None
    while True:
        candidates = uniform(generator, shape, dtype, a, b)
        result = candidates if pending is None else np.where(pending, candidates, result)
        density = real(candidates)
        for step in (lambda v: v - mean, lambda v: v / std, np.square, lambda v: v * -0.5, lambda v: v - peak):
            density = real(cast(step(density), dtype))
        with np.errstate(divide="ignore"):
            refused = real(cast(np.log(real(uniform(generator, shape, dtype))), dtype)) > density
        pending = refused if pending is None else pending & refused
        if not pending.any():
            return result
