"""Properties of the generator and the samplers that need no torch to check."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from jtorch._random import libm
from jtorch._random import normal as normal_module
from jtorch._random import samplers as S
from jtorch._random.engine import MT19937, STATE_BYTES
from jtorch._random.layout import arrange, fill_order, in_fill_order, is_contiguous

N = 200_000


def test_libm_ufuncs_answer_as_python_does() -> None:
    x = np.random.default_rng(0).random(1000)
    for name in ("log1p", "log", "cos", "sin", "tan", "exp"):
        assert getattr(libm, name)(x).tolist() == [getattr(math, name)(v) for v in x.tolist()], name
    assert libm._slow(math.cos)(x).tolist() == libm.cos(x).tolist()


def test_known_first_numbers() -> None:
    assert MT19937(5489).u32(2).tolist() == [3499211612, 581869302]  # the published test vector of MT19937
    assert MT19937(0).u64(1)[0] == (MT19937(0).u32(2).astype(np.uint64) << np.array([32, 0], np.uint64)).sum()


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625, 3000])
@pytest.mark.parametrize("odd", [0, 1])
def test_state_round_trip(drawn: int, odd: int) -> None:
    g = MT19937(42)
    g.u32(drawn), S.normal(g, (odd,), np.float64)
    state = g.get_state()
    assert state.shape == (STATE_BYTES,) and state.dtype == np.uint8
    other = MT19937(1)
    other.set_state(state)
    assert (other.get_state() == state).all() and other.initial_seed() == 42
    copy = g.clone()
    for sampler in (lambda r: S.normal(r, (5,), np.float32), lambda r: S.uniform(r, (2000,), np.float64), lambda r: S.normal(r, (100,), np.float32)):
        expected = sampler(g)
        assert (sampler(other) == expected).all() and (sampler(copy) == expected).all()


def test_snapshot_and_skip() -> None:
    g = MT19937(3)
    mark = g.snapshot()
    first = g.u32(5000)
    g.rewind(mark)
    g.skip(100)
    assert (g.u32(10) == first[100:110]).all()


def test_bulk_and_single_draws_are_one_stream() -> None:
    a, b = MT19937(9), MT19937(9)
    assert (a.u32(4000) == np.concatenate([b.u32(1) for _ in range(4000)])).all()
    assert a.uniform() == S.uniform(b, (1,), np.float64)[0]


MOMENTS = [
    ("rand", lambda g: S.uniform(g, (N,), np.float32), 0.5, 1 / 12),
    ("uniform", lambda g: S.uniform(g, (N,), np.float64, -2, 3), 0.5, 25 / 12),
    ("randn", lambda g: S.normal(g, (N,), np.float32), 0, 1),
    ("normal", lambda g: S.normal(g, (N,), np.float64, 1.0, 2.0), 1, 4),
    ("pairs", lambda g: S.normal(g, (N,), np.float64, 1.0, 2.0, strides=(2,)), 1, 4),
    ("bfloat16", lambda g: S.normal(g, (N,), ml_dtypes.bfloat16).astype(np.float32), 0, 1),
    ("bernoulli", lambda g: S.bernoulli(g, (N,), np.float32, 0.3), 0.3, 0.21),
    ("exponential", lambda g: S.exponential(g, (N,), np.float32, 2.0), 0.5, 0.25),
    ("geometric", lambda g: S.geometric(g, (N,), np.float32, 0.4), 2.5, 0.6 / 0.16),
    ("log_normal", lambda g: S.log_normal(g, (N,), np.float64, 0.0, 0.5), math.exp(0.125), (math.exp(0.25) - 1) * math.exp(0.25)),
    ("gamma", lambda g: S.standard_gamma(g, np.full(N, 2.5)), 2.5, 2.5),
    ("gamma below one", lambda g: S.standard_gamma(g, np.full(20000, 0.5)), 0.5, 0.5),
    ("poisson", lambda g: S.poisson(g, np.full(N, 20.0)), 20, 20),
    ("small poisson", lambda g: S.poisson(g, np.full(20000, 2.0)), 2, 2),
    ("binomial", lambda g: S.binomial(g, np.full(20000, 40.0), np.full(20000, 0.6)), 24, 9.6),
    ("binomial by inversion", lambda g: S.binomial(g, np.full(20000, 10.0), np.full(20000, 0.3)), 3, 2.1),
]


@pytest.mark.parametrize(("name", "draw", "mean", "variance"), MOMENTS, ids=[m[0] for m in MOMENTS])
def test_moments(name: str, draw, mean: float, variance: float) -> None:
    x = np.asarray(draw(MT19937(1)), np.float64)
    assert abs(x.mean() - mean) < 6 * math.sqrt(variance / x.size)
    assert abs(x.var() / variance - 1) < 0.1


def test_cephes_functions_are_accurate() -> None:
    u = np.random.default_rng(0).random(1 << 12, dtype=np.float32)
    filled = u.copy()
    normal_module.fill_blocks_f32(filled)
    u1, u2 = u.reshape(-1, 2, 8)[:, 0].astype(np.float64), u.reshape(-1, 2, 8)[:, 1].astype(np.float64)
    expected = np.stack([f(2 * np.pi * u2) * np.sqrt(-2 * np.log1p(-u1)) for f in (np.cos, np.sin)], 1).reshape(-1)
    np.testing.assert_allclose(filled, expected, rtol=2e-5, atol=2e-6)


def test_fused_multiply_add_rounds_once() -> None:
    from fractions import Fraction

    x = np.random.default_rng(0).standard_normal(300)
    for scale, shift in ((1.3, 0.37), (-5.8, -3.7), (1e-3, 7.0)):
        exact = [float(Fraction(v) * Fraction(scale) + Fraction(shift)) for v in x.tolist()]
        assert normal_module.fused_f64(x, scale, shift).tolist() == exact


def test_permutations_are_permutations() -> None:
    for n in (0, 1, 511, 512, 5000):
        assert sorted(S.randperm(MT19937(n), n).tolist()) == list(range(n))
    wanted = S.randperm(MT19937(3), 2000)
    order, jumps = list(range(2000)), MT19937(3).u32(1999)
    for i, r in enumerate(jumps.tolist()):
        j = i + r % (2000 - i)
        order[i], order[j] = order[j], order[i]
    assert wanted.tolist() == order


def test_fill_order() -> None:
    assert is_contiguous((2, 1, 3), (3, 77, 1)) and not is_contiguous((2, 3), (1, 2)) and is_contiguous((0, 3), (1, 9))
    assert fill_order((2, 3), (1, 2)) == [0, 1]
    flat = np.arange(6)
    laid = arrange(flat, (2, 3), (1, 2))
    assert laid.tolist() == [[0, 2, 4], [1, 3, 5]]
    assert (in_fill_order(laid, (1, 2)) == flat).all()


def test_multinomial() -> None:
    g = MT19937(0)
    p = np.array([0.1, 0.2, 0.7])
    share = np.bincount(S.multinomial(g, p, 30000, True), minlength=3) / 30000
    np.testing.assert_allclose(share, p, atol=0.02)
    assert sorted(S.multinomial(g, p, 3).tolist()) == [0, 1, 2]
    with pytest.raises(RuntimeError, match="sum of probabilities <= 0"):
        S.multinomial(g, np.zeros(3), 1)
    with pytest.raises(RuntimeError, match="element < 0"):
        S.multinomial(g, np.array([0.5, -0.1]), 1)


def test_bad_parameters() -> None:
    g = MT19937(0)
    for call in (
        lambda: S.normal(g, (3,), np.float32, 0, -1), lambda: S.exponential(g, (3,), np.float32, 0), lambda: S.geometric(g, (3,), np.float32, 1),
        lambda: S.cauchy(g, (3,), np.float32, 0, 0), lambda: S.log_normal(g, (3,), np.float32, 0, 0), lambda: S.bernoulli(g, (3,), np.float32, 1.5),
        lambda: S.poisson(g, np.array([-1.0])), lambda: S.bernoulli_tensor(g, (1,), np.float32, np.array([2.0])),
    ):  # fmt: skip
        with pytest.raises(RuntimeError):
            call()
