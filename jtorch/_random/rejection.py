"""Samplers that reject: gamma and Dirichlet (Marsaglia & Tsang 2000), Poisson and binomial (Hormann 1993, inversion).

How many draws an element takes depends on the draws before it, so these go element by element in Python (about 2 µs each),
except where all elements share their parameters and a whole block of attempts can be judged at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jtorch._random import libm
from jtorch._random.engine import MT19937
from jtorch._random.layout import arrange, cast, in_fill_order

__all__ = ["binomial", "poisson", "sample_dirichlet", "standard_gamma"]

_LOW53 = np.uint64((1 << 53) - 1)
_F = np.float32
# ln(k!) minus Stirling's formula, for k = 0..9
_TAIL = (
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211,
    0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.00925546218271273, 0.00833056343336287,
)  # fmt: skip
_THIRD = float(_F(1.0) / _F(3.0))
_SQUEEZE = float(_F(0.0331))


class _Stream:
    """float64 uniforms one at a time: drawn ahead in blocks, the generator put back to what was used at :meth:`close`."""

    def __init__(self, generator: MT19937, expected: int) -> None:
        self.generator, self.taken = generator, 0
        self.block = max(expected, 64)
        # a snapshot costs as much as some forty single draws
        self.mark = generator.snapshot() if expected >= 64 else None
        self.ready: list[float] = []
        self.at = 0
        self.uniform: Callable[[], float] = self._next if self.mark else generator.uniform

    def _next(self) -> float:
        if self.at == len(self.ready):
            self.taken += self.at
            self.ready = ((self.generator.u64(self.block) & _LOW53) * 2.0**-53).tolist()
            self.at = 0
            self.block = max(64, self.block // 4)
        self.at += 1
        return self.ready[self.at - 1]

    def normal(self) -> float:
        spare = self.generator.next_normal
        if spare is not None:
            self.generator.next_normal = None
            return spare
        u1, u2 = self.uniform(), self.uniform()
        radius, theta = math.sqrt(-2.0 * math.log1p(-u2)), 2.0 * math.pi * u1
        self.generator.next_normal = radius * math.sin(theta)
        return radius * math.cos(theta)

    def close(self) -> None:
        if self.mark:
            self.generator.rewind(self.mark)
            self.generator.skip(2 * (self.taken + self.at))


def _gamma_constants(alpha: np.ndarray, single: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each alpha: the exponent of the boost (0: none), and the method's ``d`` and ``c``; float32 where torch has float32."""
    alpha = alpha.astype(_F if single else np.float64)
    kind = alpha.dtype.type
    with np.errstate(divide="ignore", invalid="ignore"):
        boost = np.where(alpha < 1, kind(1) / alpha, kind(0)).astype(np.float64)
        raised = np.where(alpha < 1, alpha + kind(1), alpha)
        d = (raised - kind(_THIRD)).astype(np.float64)
        return boost, d, 1.0 / np.sqrt(9.0 * d)


def _gamma_one(stream: _Stream, boost: float, d: float, c: float) -> float:
    scale = 1.0
    if boost:
        if boost == math.inf:  # alpha = 0
            return 0.0
        scale = math.pow(1 - stream.uniform(), boost)
    if d != d:
        return math.nan
    normal, uniform, log = stream.normal, stream.uniform, math.log
    while True:
        x = normal()
        y = 1.0 + c * x
        while y <= 0:
            x = normal()
            y = 1.0 + c * x
        v = y * y * y
        u = 1 - uniform()
        xx = x * x
        if u < 1.0 - _SQUEEZE * xx * xx or log(u) < 0.5 * xx + d * (1.0 - v + log(v)):
            return scale * d * v


def _gamma_run(generator: MT19937, d: float, c: float, count: int, limit: int) -> np.ndarray:
    """Up to ``count`` samples of one alpha >= 1, from a block of attempts: pairs of normals, each followed by a uniform.

    Stops early at an attempt whose cube would be negative (such an attempt draws another normal without a uniform, and shifts
    all that follows); the generator is left just before that attempt, or behind the last sample.
    """
    pairs = min(int(count * 0.55) + 16, limit)
    mark = generator.snapshot()
    u = ((generator.u64(4 * pairs) & _LOW53) * 2.0**-53).reshape(pairs, 4)
    radius, theta = np.sqrt(-2.0 * libm.log1p(-u[:, 1])), 2.0 * math.pi * u[:, 0]
    x = np.stack([radius * libm.cos(theta), radius * libm.sin(theta)], 1)
    y = 1.0 + c * x.reshape(-1)
    end = int(np.argmax(y <= 0)) if (y <= 0).any() else len(y)
    v, chance, xx = (y * y * y)[:end], (1 - u[:, 2:].reshape(-1))[:end], (x * x).reshape(-1)[:end]
    good = (chance < 1.0 - _SQUEEZE * xx * xx) | (libm.log(chance) < 0.5 * xx + d * (1.0 - v + libm.log(v)))
    hits = np.flatnonzero(good)
    if len(hits) >= count:
        hits, end = hits[:count], int(hits[count - 1]) + 1
    generator.rewind(mark)
    generator.skip(2 * (4 * (end // 2) + 3 * (end % 2)))
    generator.next_normal = float(x[end // 2, 1]) if end % 2 else None
    return d * v[hits]


def _gammas_alike(generator: MT19937, d: float, c: float, count: int) -> np.ndarray:
    out, have = np.empty(count), 0
    stream = _Stream(generator, 0)
    refused = 0.5 * math.erfc(1.0 / (c * math.sqrt(2.0)))  # the chance of a negative cube
    limit = int(min(1.5 / refused, 1e9)) + 64 if refused else 10**9
    while have < count:
        if generator.next_normal is None:
            values = _gamma_run(generator, d, c, count - have, limit)
            out[have : have + len(values)] = values
            have += len(values)
        if have < count:
            out[have] = _gamma_one(stream, 0.0, d, c)
            have += 1
    return out


def _gammas(generator: MT19937, alpha: np.ndarray, single: bool) -> np.ndarray:
    boost, d, c = _gamma_constants(alpha, single)
    if alpha.size >= 64 and alpha[0] >= 1 and math.isfinite(c[0]) and bool((alpha == alpha[0]).all()):
        return _gammas_alike(generator, float(d[0]), float(c[0]), alpha.size)
    stream = _Stream(generator, int(2.7 * alpha.size))
    result = [_gamma_one(stream, *constants) for constants in zip(boost.tolist(), d.tolist(), c.tolist(), strict=True)]
    stream.close()
    return np.array(result, dtype=np.float64)


def standard_gamma(generator: MT19937, alpha: np.ndarray, strides: Sequence[int] | None = None) -> np.ndarray:
    """``torch._standard_gamma(alpha)``: float32 or float64, never below the smallest normal number of the type."""
    if alpha.dtype not in (np.float32, np.float64):
        raise NotImplementedError(f'"gamma" not implemented for {alpha.dtype}')
    values = _gammas(generator, in_fill_order(alpha, strides), alpha.dtype == np.float32).astype(alpha.dtype)
    return arrange(np.maximum(values, np.finfo(alpha.dtype).tiny), alpha.shape, strides)


def sample_dirichlet(generator: MT19937, alpha: np.ndarray) -> np.ndarray:
    """``torch._sample_dirichlet(alpha)``: float64 gammas divided by their sum over the last dimension."""
    if alpha.dtype not in (np.float32, np.float64):
        raise NotImplementedError(f'"dirichlet" not implemented for {alpha.dtype}')
    gamma = _gammas(generator, alpha.astype(np.float64).reshape(-1), False).reshape(alpha.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (gamma / gamma.sum(-1, keepdims=True)).astype(alpha.dtype)
    kind = alpha.dtype.type
    return np.minimum(np.nextafter(kind(1), kind(0)), np.maximum(np.finfo(alpha.dtype).tiny, share))


def _poisson_one(stream: _Stream, rate: float) -> float:
    uniform = stream.uniform
    if rate >= 10:
        root, log_rate = math.sqrt(rate), math.log(rate)
        b = 0.931 + 2.53 * root
        a = -0.059 + 0.02483 * b
        inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
        v_r = 0.9277 - 3.6224 / (b - 2)
        while True:
            u, v = uniform() - 0.5, uniform()
            us = 0.5 - abs(u)
            k = math.floor((2 * a / us + b) * u + rate + 0.43) if us else -1
            if us >= 0.07 and v <= v_r:
                return k
            if k < 0 or (us < 0.013 and v > us):
                continue
            left = (math.log(v) if v else -math.inf) + math.log(inverse_alpha) - math.log(a / (us * us) + b)
            if left <= -rate + k * log_rate - float(libm.lgamma(float(k + 1))):
                return k
    if rate == 0:
        return 0
    floor, count, product = math.exp(-rate), 0, 1.0
    while True:
        product *= uniform()
        if not product > floor:
            return count
        count += 1


def _poisson_large(generator: MT19937, rate: float, count: int) -> np.ndarray:
    """``count`` samples of one rate >= 10: attempts take two uniforms each, so whole blocks are judged at once."""
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2)
    out, have = np.empty(count), 0
    while have < count:
        mark = generator.snapshot()
        attempts = int((count - have) * 1.25) + 32
        uv = (generator.u64(2 * attempts) & _LOW53) * 2.0**-53
        u, v = uv[0::2] - 0.5, uv[1::2]
        us = 0.5 - np.abs(u)
        with np.errstate(all="ignore"):
            k = np.floor((2 * a / us + b) * u + rate + 0.43)
            good = (us >= 0.07) & (v <= v_r)
            maybe = np.flatnonzero(~good & ~((k < 0) | ((us < 0.013) & (v > us))))
            left = libm.log(v[maybe]) + math.log(inverse_alpha) - libm.log(a / (us[maybe] * us[maybe]) + b)
            good[maybe] = left <= -rate + k[maybe] * log_rate - libm.lgamma(k[maybe] + 1)
        hits = np.flatnonzero(good)[: count - have]
        out[have : have + len(hits)] = k[hits]
        have += len(hits)
        if have == count:
            generator.rewind(mark)
            generator.skip(4 * (int(hits[-1]) + 1))
    return out


def poisson(generator: MT19937, rate: np.ndarray, strides: Sequence[int] | None = None) -> np.ndarray:
    """``torch.poisson(rate)``: counts in the type of ``rate``. RuntimeError for a negative rate."""
    flat = in_fill_order(rate, strides)
    rates = flat.astype(np.float64)
    if not bool((rates >= 0).all()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    if rates.size >= 64 and rates[0] >= 10 and bool((rates == rates[0]).all()):
        values = _poisson_large(generator, float(rates[0]), rates.size)
    else:
        stream = _Stream(generator, int(np.where(rates < 10, rates + 1, 2.4).sum()))
        values = np.array([_poisson_one(stream, r) for r in rates.tolist()], dtype=np.float64)
        stream.close()
    return arrange(cast(values, rate.dtype), rate.shape, strides)


def _tail(k: float) -> float:
    if k < 10:
        return _TAIL[int(k)]
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)


def _binomial_inversion(stream: _Stream, count: float, log_fail: float) -> float:
    total, successes = 0.0, 0
    while True:
        u = stream.uniform()
        total += math.ceil(math.log(u) / log_fail) if u else math.inf
        if total > count:
            return successes
        successes += 1


def _binomial_rejection(stream: _Stream, n: Any, p: Any) -> float:
    """``n`` and ``p`` of the tensor's own type: the coefficients round as torch's do."""
    one = type(n)(1)
    deviation = float(np.sqrt(n * p * (one - p)))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * float(p)
    c, v_r, r = float(n * p) + 0.5, 0.92 - 4.2 / b, float(p / (one - p))
    alpha, m = (2.83 + 5.1 / b) * deviation, math.floor(float((n + one) * p))
    count, log = float(n), math.log
    uniform = stream.uniform
    while True:
        u, v = uniform() - 0.5, uniform()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + c) if us else -1
        if k < 0 or k > count:
            continue
        if us >= 0.07 and v <= v_r:
            return k
        value = v * alpha / (a / (us * us) + b)
        bound = (
            (m + 0.5) * log((m + 1) / (r * (count - m + 1)))
            + (count + 1) * log((count - m + 1) / (count - k + 1))
            + (k + 0.5) * log(r * (count - k + 1) / (k + 1))
            + _tail(m) + _tail(count - m) - _tail(k) - _tail(count - k)
        )  # fmt: skip
        if (log(value) if value else -math.inf) <= bound:
            return k


def _binomial_one(stream: _Stream, n: Any, p: Any) -> float:
    if n <= 0 or p <= 0:
        return 0
    if p >= 1:
        return float(n)
    if p != p:
        return math.nan
    flip = p > 0.5
    if flip:
        p = type(p)(1.0 - float(p))
    if n * p >= 10.0:
        k = _binomial_rejection(stream, n, p)
    else:
        log_fail = float(libm.log1p_f32(-p)) if isinstance(p, np.float32) else math.log1p(-p)
        k = _binomial_inversion(stream, float(n), log_fail)
    return float(n) - k if flip else k


def binomial(generator: MT19937, count: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """``torch.binomial(count, prob)``: float32 or float64, of the two arguments' common shape."""
    count, prob = np.broadcast_arrays(count, prob)
    stream = _Stream(generator, 3 * count.size)
    values = [_binomial_one(stream, n, p) for n, p in zip(count.ravel(), prob.ravel(), strict=True)]
    stream.close()
    return np.array(values, dtype=np.float64).astype(count.dtype).reshape(count.shape)
