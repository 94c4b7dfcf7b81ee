"""The random functions on tensors, without torch to compare with."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import jtorch as torch
from jtorch._api._drawing import internal
from jtorch._core.state import generator as module
from jtorch.random import fork_rng


def test_one_seed_gives_one_stream() -> None:
    def program() -> list[float]:
        return [*torch.rand(3).tolist(), *torch.randn(20).tolist(), *torch.randperm(5).tolist(), *torch.empty(3).exponential_().tolist()]

    torch.manual_seed(7)
    first = program()
    torch.manual_seed(7)
    assert program() == first
    assert program() != first


def test_published_numbers() -> None:
    torch.manual_seed(0)
    np.testing.assert_array_equal(torch.rand(3).numpy(), np.array([0.4962565898895264, 0.7682217955589294, 0.08847743272781372], np.float32))


def test_generators_are_independent() -> None:
    g = torch.Generator().manual_seed(3)
    a = torch.rand(4, generator=g)
    state = g.get_state()
    b = torch.rand(4, generator=g)
    torch.rand(100)
    g.set_state(state)
    assert (torch.rand(4, generator=g) == b).all() and not (a == b).any()
    again = pickle.loads(pickle.dumps(g))
    assert (torch.rand(4, generator=again) == torch.rand(4, generator=g)).all()


def test_fork_leaves_no_trace() -> None:
    torch.manual_seed(1)
    with fork_rng():
        torch.rand(10)
    after = torch.rand(2)
    torch.manual_seed(1)
    assert (torch.rand(2) == after).all()


def test_writing_into_views() -> None:
    base = torch.zeros(4, 6)
    base[1:3, ::2].uniform_(1, 2)
    assert ((base >= 1).sum() == 6) and base._version == 1
    t = torch.zeros(2, 3).t()
    torch.manual_seed(0)
    t.uniform_()
    torch.manual_seed(0)
    assert (t == torch.rand(2, 3).t()).all()


def test_likes_keep_type_shape_and_layout() -> None:
    x = torch.zeros(3, 4, dtype=torch.float64).t()
    for y in (torch.rand_like(x), torch.randn_like(x), torch.randint_like(x, 5)):
        assert y.dtype is torch.float64 and y.shape == (4, 3) and y.stride() == (1, 4)
    assert torch.rand_like(x, dtype=torch.float32).dtype is torch.float32


def test_dropout() -> None:
    x = torch.ones(10000, requires_grad=True)
    y = torch.dropout(x, 0.25, True)
    assert set(y.tolist()) == {0.0, float(np.float32(1) / np.float32(0.75))}
    assert abs(y.mean().item() - 1) < 0.05
    y.sum().backward()
    assert (x.grad == y).all()
    assert torch.dropout(x, 0.25, False) is x and torch.dropout(x, 0.0, True) is x
    channels = torch.feature_dropout(torch.ones(8, 9, 3, 3), 0.5, True)
    assert (channels.amax((2, 3)) == channels.amin((2, 3))).all()
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        torch.dropout(x, 1.5, True)


def test_what_depends_on_pending_values() -> None:
    p = torch.sigmoid(torch.linspace(-2, 2, 1000))
    drawn = torch.bernoulli(p)
    assert set(drawn.tolist()) <= {0.0, 1.0} and abs(drawn.mean().item() - 0.5) < 0.1
    assert torch.poisson(p * 100).mean().item() == pytest.approx(50, rel=0.1)
    assert torch.multinomial(torch.softmax(p, 0), 10).unique().numel() == 10


def test_observers_see_draws_and_can_repeat_them() -> None:
    seen = []
    module.observers.append(lambda value, redraw: seen.append(redraw))
    try:
        a = torch.rand(3)
    finally:
        module.observers.pop()
    assert len(seen) == 1
    b = torch.rand(3)
    torch.manual_seed(4)
    first = torch.rand(3)
    torch.manual_seed(4)
    assert (seen[0]() == first.numpy()).all() and not (a == b).all()


DEVICE = [
    ("uniform", -1.0, 3.0, torch.float32, 1.0), ("normal", 2.0, 0.5, torch.float32, 2.0), ("normal", 0.0, 1.0, torch.bfloat16, 0.0),
    ("normal", 0.0, 1.0, torch.complex64, 0.0), ("bernoulli", 0.3, 0.0, torch.bool, 0.3), ("exponential", 2.0, 0.0, torch.float64, 0.5),
    ("geometric", 0.5, 0.0, torch.float32, 2.0), ("log_normal", 0.0, 0.1, torch.float32, 1.005), ("integers", 3, 7, torch.int64, 4.5),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "a", "b", "dtype", "mean"), DEVICE, ids=lambda v: str(v))
def test_the_samplers_of_accelerators(kind: str, a: float, b: float, dtype: torch.dtype, mean: float) -> None:
    """They are ordinary operators: here they run on the cpu."""
    key = torch.tensor([0, 42], dtype=torch.int64).to(torch.uint32)
    draws = [internal("device_random", key, offset, a, b, (4000,), dtype, kind) for offset in (0, 0, 1)]
    x, same, other = (d.to(torch.complex128 if dtype.is_complex else torch.float64) for d in draws)
    assert draws[0].dtype is dtype
    assert (x == same).all() and not (x == other).all()
    assert abs(x.mean().item() - mean) < 0.12


@pytest.mark.slow
def test_the_other_samplers_of_accelerators() -> None:
    key = torch.tensor([0, 42], dtype=torch.int64).to(torch.uint32)
    x = torch.full((2000,), 3.0)
    for kind in ("poisson", "gamma"):
        assert internal("device_random_from", key, x, x, 0, kind).mean().item() == pytest.approx(3, rel=0.1)
    assert internal("device_random_from", key, x, x * 0 + 0.5, 0, "binomial").mean().item() == pytest.approx(1.5, rel=0.1)
    assert internal("device_random_from", key, x.reshape(500, 4), x, 0, "dirichlet").sum(-1).allclose(torch.ones(500))
    p = torch.tensor([[0.1, 0.0, 0.9]])
    assert set(internal("device_multinomial", key, p, 0, 50, True).unique().tolist()) <= {0, 2}
    assert sorted(internal("device_multinomial", key, p + 0.1, 0, 3, False)[0].tolist()) == [0, 1, 2]
    assert sorted(internal("device_random", key, 0, 0, 0, (6,), torch.int64, "permutation").tolist()) == list(range(6))


def test_meta_draws_nothing() -> None:
    torch.manual_seed(2)
    t = torch.rand(3, 4, device="meta")
    t.normal_()
    assert t.shape == (3, 4) and t.device.type == "meta"
    after = torch.rand(2)
    torch.manual_seed(2)
    assert (torch.rand(2) == after).all()
