"""What is kept of compiled programs is bounded, what is in use stays, and what was forgotten is found out again."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import jax
import pytest

import jtorch as torch
from jtorch import _config
from jtorch._engine.planning import ahead
from jtorch._engine.running import donations, executor, retention


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "PROGRAM_BYTES", 0)
    monkeypatch.setattr(retention, "RECENT", 12)
    monkeypatch.setattr(retention, "LATEST", 1)
    monkeypatch.setattr(retention, "_threshold", 0)
    monkeypatch.setattr(_config, "DYNAMIC", False)  # a program for each shape


def _loss(x: Any, w: Any) -> float:
    y = (x @ w).relu()
    return (y * y).mean().item()


@pytest.mark.usefixtures("tight")
def test_ever_new_shapes_leave_nothing_and_do_not_push_out_the_loop_around_them() -> None:
    w = torch.randn(3, 2, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.0)
    fixed = torch.ones(4, 3)

    def step(x: Any) -> float:
        optimizer.zero_grad()
        loss = (x @ w).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    first = [step(fixed) for _ in range(5)][0]
    programs = [weakref.ref(p) for r in executor._recipes.values() if r.seen > 2 for p in r.programs()]
    counts = []
    for n in range(5, 13):
        assert step(torch.ones(n, 3)) == pytest.approx(first, rel=1e-5)
        before = executor.stats.compilations
        assert step(fixed) == first
        assert executor.stats.compilations == before
        counts.append(len(executor._recipes))
    assert counts[-1] <= counts[2] + 1
    assert any(p() is not None for p in programs)
    assert all(g.recipe in set(executor._recipes.values()) for g in ahead._guesses.values())


@pytest.mark.usefixtures("tight")
def test_a_program_goes_with_the_last_recipe_that_runs_it() -> None:
    w = torch.randn(3, 2)
    expected = [_loss(torch.ones(5, 3), w) for _ in range(3)][0]
    (recipe,) = [r for r in executor._recipes.values() if r.used == executor.stats.executions]
    program = weakref.ref(recipe.programs()[0])
    del recipe
    for n in range(retention.RECENT + 2):
        _loss(torch.ones(n + 6, 3), w)
    gc.collect()
    assert program() is None
    assert _loss(torch.ones(5, 3), w) == expected


@pytest.mark.usefixtures("tight")
def test_graphs_outlive_what_is_forgotten() -> None:
    x = torch.tensor([0.3, 0.6], requires_grad=True)
    y = (x.sin() * x).sum()
    y.item()
    retention.sweep(executor.stats.executions + 1000)
    y.backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, x.detach().cos() * x.detach() + x.detach().sin())
    a = torch.zeros(2, 3)
    b = a.view(3, 2)[1:]
    retention.sweep(executor.stats.executions + 1000)
    b += 1
    assert a.sum().item() == 4


def test_who_else_holds_a_value_does_not_make_programs_without_end() -> None:
    weights = [torch.nn.Parameter(torch.full((n,), 2.0)) for n in (300, 301, 302)]
    optimizer = torch.optim.SGD(weights, lr=0.5)
    others = [torch.ones(n) for n in (310, 311, 312)]
    for w in weights:
        w.grad = torch.ones_like(w)
    programs = [0, 0]
    for i in range(8):
        kept = [t._s.value for b, t in enumerate([*weights, *others]) if i >> b & 1]  # as another thread that just looks at them
        before = executor.stats.compilations
        optimizer.step()
        programs[0] += executor.stats.compilations - before
        held = [t._s.value for b, t in enumerate(others) if i >> b & 1]
        before = executor.stats.compilations
        for t in others:
            t.add_(1).sigmoid_().mul_(2)
        torch.cat(others).tolist()
        programs[1] += executor.stats.compilations - before
        assert all(w.tolist() == [1.5 - i * 0.5] * len(w) for w in weights)
        del kept, held
    assert max(programs) <= donations.MOST + 2, programs  # and none at all; and numbers that turn out to change


@pytest.mark.parametrize("eager", [False, True])
def test_what_jax_traced_for_a_program_goes_when_it_is_compiled(monkeypatch: pytest.MonkeyPatch, eager: bool) -> None:
    given: list[Any] = []
    jit = jax.jit

    def noted(fn: Any, **options: Any) -> Any:
        given.append(weakref.ref(fn))
        return jit(fn, **options)

    x = torch.ones(67, 131 + eager)
    x.sum().item()
    monkeypatch.setattr(_config, "CACHE_DIR", "0")  # compiled here, whatever is on the disk
    monkeypatch.setattr(_config, "EAGER", eager)
    monkeypatch.setattr(jax, "jit", noted)
    y = x
    for _ in range(3):
        y = y.sinh().atan().mul(2.5)
    assert y.sum().item() > 0
    gc.collect()
    assert given
    assert not any([fn() for fn in given])
