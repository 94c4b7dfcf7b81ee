"""Every CPU sampler against real torch, bit for bit, and the generator's state after it.

Not compared, because the bits differ: ``multinomial`` without replacement in the 16-bit types (keys tie, and the choice among
ties is torch's selection algorithm's), and ``trunc_normal_`` far in the tail in the 16-bit types (one in some thousand elements).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from jtorch._random import samplers as S
from jtorch._random.engine import MT19937

NP: dict[torch.dtype, Any] = {
    getattr(torch, name): getattr(np, name)
    for name in "float16 float32 float64 complex64 complex128 bool_ uint8 int8 int16 int32 int64 uint16 uint32 uint64".replace("bool_ ", "").split()
} | {torch.bool: np.bool_, torch.bfloat16: ml_dtypes.bfloat16}
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SIZES = (0, 1, 2, 15, 16, 17, 31, 100, 1003, 20011)
SEEDS = (0, 1, -7, 2**63 + 5)


def host(t: torch.Tensor) -> np.ndarray:
    return t.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if t.dtype == torch.bfloat16 else t.numpy()


def agree(theirs: Callable[[], torch.Tensor], ours: Callable[[MT19937], np.ndarray], seed: int, label: Any = "") -> None:
    torch.manual_seed(seed)
    g = MT19937(seed)
    torch.rand(3), g.u32(3)
    expected, got = host(theirs()), ours(g)
    assert expected.shape == got.shape and expected.dtype == got.dtype, label
    same = np.ascontiguousarray(expected).view(np.uint8) == np.ascontiguousarray(got).view(np.uint8) if expected.size else np.True_
    assert same.all(), f"{label}: {int((expected != got).sum())} of {expected.size} differ"
    assert (torch.get_rng_state().numpy() == g.get_state()).all(), f"{label}: the generators part"


def fills(dt: torch.dtype) -> dict[str, tuple[Callable, Callable]]:
    """name -> (in-place fill of a torch tensor, sampler) for one element type."""
    d = NP[dt]
    table: dict[str, tuple[Callable, Callable]] = {}
    if dt.is_floating_point or dt.is_complex:
        table |= {
            "rand": (lambda t: t.uniform_(), lambda g, *a, **k: S.uniform(g, *a, **k)),
            "uniform": (lambda t: t.uniform_(-3.7, 2.1), lambda g, *a, **k: S.uniform(g, *a, -3.7, 2.1, **k)),
            "randn": (lambda t: t.normal_(), lambda g, *a, **k: S.normal(g, *a, **k)),
            "normal": (lambda t: t.normal_(0.37, 1.3), lambda g, *a, **k: S.normal(g, *a, 0.37, 1.3, **k)),
        }
    if dt.is_floating_point:
        table |= {
            "exponential": (lambda t: t.exponential_(1.7), lambda g, *a, **k: S.exponential(g, *a, 1.7, **k)),
            "log_normal": (lambda t: t.log_normal_(0.3, 0.7), lambda g, *a, **k: S.log_normal(g, *a, 0.3, 0.7, **k)),
            "cauchy": (lambda t: t.cauchy_(0.3, 0.7), lambda g, *a, **k: S.cauchy(g, *a, 0.3, 0.7, **k)),
        }
    if not dt.is_complex:
        table["random_"] = (lambda t: t.random_(), lambda g, *a, **k: S.random_full(g, *a, **k))
        table["bernoulli_"] = (lambda t: t.bernoulli_(0.3), lambda g, *a, **k: S.bernoulli(g, *a, 0.3, **k))
        if d is not np.bool_:
            table["geometric"] = (lambda t: t.geometric_(0.3), lambda g, *a, **k: S.geometric(g, *a, 0.3, **k))
            table["random_(0, 100)"] = (lambda t: t.random_(0, 100), lambda g, *a, **k: S.random_from_to(g, *a, 0, 100, **k))
    return table


FILL_TYPES = [*FLOATS, torch.complex64, torch.complex128, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
FILL_CASES = [(dt, name) for dt in FILL_TYPES for name in fills(dt)]


@pytest.mark.parametrize(("dt", "name"), FILL_CASES, ids=lambda v: str(v).removeprefix("torch."))
def test_fills(dt: torch.dtype, name: str) -> None:
    theirs, ours = fills(dt)[name]
    for seed in SEEDS:
        for n in SIZES:
            agree(lambda: theirs(torch.empty(n, dtype=dt)), lambda g: ours(g, (n,), NP[dt]), seed, (name, dt, n, seed))


@pytest.mark.parametrize(("dt", "name"), FILL_CASES, ids=lambda v: str(v).removeprefix("torch."))
def test_fills_of_memory_that_is_not_contiguous(dt: torch.dtype, name: str) -> None:
    theirs, ours = fills(dt)[name]
    targets: list[Callable[[], torch.Tensor]] = [
        lambda: torch.empty(5, 7, dtype=dt).t(),
        lambda: torch.empty(40, dtype=dt)[::2],
        lambda: torch.empty(2, 3, 4, 5, dtype=dt).permute(2, 0, 3, 1),
        lambda: torch.empty(2, 3, 4, 5, dtype=dt).contiguous(memory_format=torch.channels_last),
        lambda: torch.empty(6, 8, dtype=dt)[1:5, 2:7],
        lambda: torch.empty(4, 1, 6, dtype=dt).transpose(0, 2),
    ]
    for k, make in enumerate(targets):
        like = make()
        agree(lambda: theirs(make()), lambda g: ours(g, tuple(like.shape), NP[dt], strides=like.stride()), 3, (name, dt, k))


RANGES = [
    (0, 100, torch.int64), (-5, 17, torch.int64), (0, 1, torch.int64), (0, 64, torch.int64), (0, 2**28 - 1, torch.int64), (0, 2**28, torch.int64),
    (-(2**40), 2**41, torch.int64), (-(2**63), 2**63 - 1, torch.int64), (0, 2**31 - 1, torch.int32), (0, 255, torch.uint8), (-128, 127, torch.int8),
    (-100, 100, torch.float32), (0, 2**24, torch.float32), (-3, 9, torch.float64), (0, 100, torch.float16), (0, 100, torch.bfloat16),
    (0, 2, torch.bool), (0, 60000, torch.uint16), (0, 2**32 - 1, torch.uint32), (5, 2**62, torch.uint64),
]  # fmt: skip


@pytest.mark.parametrize(("low", "high", "dt"), RANGES)
def test_randint(low: int, high: int, dt: torch.dtype) -> None:
    for seed in SEEDS:
        for n in SIZES[:-1]:
            agree(lambda: torch.randint(low, high, (n,), dtype=dt), lambda g: S.random_from_to(g, (n,), NP[dt], low, high), seed)


@pytest.mark.filterwarnings("ignore:.*is out of bounds.*")
def test_random_open_ranges() -> None:
    agree(lambda: torch.empty(99, dtype=torch.int64).random_(-(2**63), None), lambda g: S.random_from_to(g, (99,), np.int64, -(2**63), 2**63), 1)
    agree(lambda: torch.empty(99, dtype=torch.int32).random_(5, None), lambda g: S.random_from_to(g, (99,), np.int32, 5, 2**31), 1)
    for dt, low, high in ((torch.float16, 0, 65504), (torch.bfloat16, -1000, 1000), (torch.float32, 0, 2**24 + 1), (torch.float16, -2049, 3), (torch.float32, 7, None)):
        bounds = S.float_random_bounds(NP[dt], low, high)
        agree(lambda: torch.empty(500, dtype=dt).random_(low, high), lambda g: S.random_from_to(g, (500,), NP[dt], *bounds), 2, (dt, low, high))


@pytest.mark.parametrize("dt", [torch.int64, torch.int32, torch.float32], ids=str)
def test_randperm(dt: torch.dtype) -> None:
    for n in (0, 1, 2, 3, 511, 512, 513, 10007, 200003):
        agree(lambda: torch.randperm(n, dtype=dt), lambda g: S.randperm(g, n, NP[dt]), 11, n)


@pytest.mark.parametrize("dt", [*FLOATS, torch.int64, torch.bool], ids=str)
@pytest.mark.parametrize("p_type", FLOATS, ids=str)
def test_bernoulli_of_probabilities(dt: torch.dtype, p_type: torch.dtype) -> None:
    for n in SIZES:
        p = torch.linspace(0, 1, n).to(p_type)
        agree(lambda: torch.empty(n, dtype=dt).bernoulli_(p), lambda g: S.bernoulli_tensor(g, (n,), NP[dt], host(p)), 4, n)


def test_dropout_masks() -> None:
    for p in (0.0, 0.1, 0.3, 0.5, 0.9, 1.0):
        agree(lambda: torch.empty(3, 4, 5).bernoulli_(1 - p) != 0, lambda g: S.dropout_mask(g, (3, 4, 5), p), 2)
    for p in (0.1, 0.3, 0.5, 0.9):
        agree(lambda: torch.dropout(torch.ones(1003), p, True) != 0, lambda g: S.dropout_mask(g, (1003,), p), 2, p)
        agree(
            lambda: torch.feature_dropout(torch.ones(4, 5, 6, 7), p, True)[:, :, :1, :1] != 0, lambda g: S.dropout_mask(g, (4, 5, 6, 7), p, feature=True), 2, p
        )
        kept = torch.alpha_dropout(torch.full((500,), 3.0), p, True)
        agree(
            lambda: torch.alpha_dropout(torch.full((500,), 3.0), p, True) == kept.max(), lambda g: S.dropout_mask(g, (500,), p), 2, p
        )


@pytest.mark.parametrize("dt", [torch.float32, torch.float64], ids=str)
def test_gamma_dirichlet_poisson_binomial(dt: torch.dtype) -> None:
    for seed in SEEDS[:3]:
        for n in (0, 1, 3, 64, 1003):
            for alpha in (0.0, 0.05, 0.5, 1.0, 1.5, 3.0, 20.0):
                a = torch.full((n,), alpha, dtype=dt)
                agree(lambda: torch._standard_gamma(a), lambda g: S.standard_gamma(g, a.numpy()), seed, ("gamma", alpha, n))
            a = torch.linspace(0.01, 5, n, dtype=dt)
            agree(lambda: torch._standard_gamma(a), lambda g: S.standard_gamma(g, a.numpy()), seed, ("gammas", n))
            b = torch.linspace(0.01, 5, n * 4, dtype=dt).reshape(n, 4)
            agree(lambda: torch._sample_dirichlet(b), lambda g: S.sample_dirichlet(g, b.numpy()), seed, ("dirichlet", n))
            for rate in (0.0, 0.5, 3.0, 9.99, 10.0, 35.0, 1e4):
                a = torch.full((n,), rate, dtype=dt)
                agree(lambda: torch.poisson(a), lambda g: S.poisson(g, a.numpy()), seed, ("poisson", rate, n))
            a = torch.linspace(0, 40, n, dtype=dt)
            agree(lambda: torch.poisson(a), lambda g: S.poisson(g, a.numpy()), seed, ("poissons", n))
            for count, prob in ((0, 0.5), (3, 0.2), (30, 0.9), (30, 0.5), (1000, 0.3), (1000, 0.7), (10, 1.0), (10, 0.0)):
                c, p = torch.full((n,), count, dtype=dt), torch.full((n,), prob, dtype=dt)
                agree(lambda: torch.binomial(c, p), lambda g: S.binomial(g, c.numpy(), p.numpy()), seed, ("binomial", count, prob, n))
            c, p = torch.arange(n, dtype=dt), torch.linspace(0, 1, n, dtype=dt)
            agree(lambda: torch.binomial(c, p), lambda g: S.binomial(g, c.numpy(), p.numpy()), seed, ("binomials", n))


@pytest.mark.parametrize("dt", FLOATS, ids=str)
def test_multinomial(dt: torch.dtype) -> None:
    for n in (1, 2, 7, 100, 1003):
        p = torch.linspace(0.01, 1, n, dtype=torch.float64).to(dt)
        q = torch.stack([p, p.flip(0), p * 0 + 1])
        for w in (p, q):
            agree(lambda: torch.multinomial(w, 50, True), lambda g: S.multinomial(g, host(w), 50, True), 5, n)
            if dt in (torch.float32, torch.float64):
                agree(lambda: torch.multinomial(w, (n + 1) // 2), lambda g: S.multinomial(g, host(w), (n + 1) // 2), 5, n)
                agree(lambda: torch.multinomial(w, 1, True), lambda g: S.multinomial(g, host(w), 1, True), 5, n)


@pytest.mark.parametrize("dt", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_rrelu_and_trunc_normal(dt: torch.dtype) -> None:
    for n in (1, 15, 16, 17, 1003):
        x = torch.linspace(-1, 1, n).to(dt)

        def noise() -> torch.Tensor:
            out = torch.empty_like(x)
            torch._C._nn.rrelu_with_noise(x, out, 0.1, 0.3, True)
            return out

        agree(noise, lambda g: S.rrelu_noise(g, host(x), 0.1, 0.3), 6, n)
        for a, b in ((-1.0, 1.2), (1.2, 1.5)) if dt != torch.bfloat16 else ((-1.0, 1.2),):
            agree(
                lambda: torch.nn.init.trunc_normal_(torch.empty(n, dtype=dt), 0.1, 0.7, a, b),
                lambda g: S.trunc_normal(g, (n,), NP[dt], 0.1, 0.7, a, b), 6, (n, a, b),
            )  # fmt: skip


def test_states_cross_in_both_directions() -> None:
    for k in (0, 1, 2, 623, 624, 625, 1248, 5000):
        for odd in (0, 1):
            theirs = torch.Generator().manual_seed(-7)
            torch.rand(k, generator=theirs), torch.randn(odd, generator=theirs)
            ours = MT19937()
            ours.set_state(theirs.get_state().numpy())
            assert (ours.get_state() == theirs.get_state().numpy()).all()
            back = torch.Generator()
            back.set_state(torch.from_numpy(ours.get_state()))
            assert back.initial_seed() == ours.initial_seed() == 2**64 - 7
            assert (torch.randn(7, generator=back).numpy() == S.normal(ours, (7,), np.float32)).all()
            assert (torch.rand(700, generator=back).numpy() == S.uniform(ours, (700,), np.float32)).all()
            assert (back.get_state().numpy() == ours.get_state()).all()


def test_seeds_and_their_errors() -> None:
    for seed in (-1, 2**63, 2**64 - 1, -(2**63), 0):
        assert torch.Generator().manual_seed(seed).initial_seed() == MT19937(seed).initial_seed()
    assert torch.Generator().initial_seed() == MT19937().initial_seed()
    for seed in (2**64, -(2**63) - 1):
        for make in (torch.manual_seed, MT19937):
            with pytest.raises(ValueError, match="Overflow when unpacking long long"):
                make(seed)
    for bad in (np.zeros(10, np.uint8), np.zeros(5056, np.uint8)):
        with pytest.raises(RuntimeError) as theirs:
            torch.Generator().set_state(torch.from_numpy(bad))
        with pytest.raises(RuntimeError) as ours:
            MT19937().set_state(bad)
        assert str(theirs.value) == str(ours.value)
