"""A number that is part of an operator's structure may change from call to call: what is compiled does not grow with it, and each value counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest

import jtorch as torch
import jtorch.nn.functional as F
from compat import counting
from jtorch._engine.recording import templates
from jtorch._engine.recording.executables import Executable


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether each program since was compiled for itself."""
    with counting.programs(monkeypatch) as seen:
        yield seen


X = np.linspace(0.5, 2, 6, dtype=np.float32)
CASES: list[tuple[Callable[[Any, float], Any], Callable[[np.ndarray, float], Any]]] = [
    (lambda x, s: x**s, lambda x, s: x**s),
    (lambda x, s: torch.linalg.vector_norm(x, s), lambda x, s: (x**s).sum() ** (1 / s)),
    (lambda x, s: F.layer_norm(x, (6,), eps=s), lambda x, s: (x - x.mean()) / np.sqrt(x.var() + s)),
    # exp: without it numpy would do it, and nothing is compiled
    (lambda x, s: F.softshrink(torch.exp(x), s), lambda x, s: np.where(np.exp(x) > s, np.exp(x) - s, 0)),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(CASES)))
def test_ever_new_numbers_are_two_programs(case: int, compiled: list[bool]) -> None:
    ours, theirs = CASES[case]
    for i in range(8):
        s = 1.13 + i * 0.07
        np.testing.assert_allclose(ours(torch.tensor(X), s).numpy(), theirs(X.astype(np.float64), s), rtol=2e-5, atol=1e-6)
        if i == 2:
            compiled.clear()
    assert compiled
    assert not any(compiled)


def test_in_whole_programs_with_gradients(compiled: list[bool]) -> None:
    w = torch.tensor(X, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.0)
    for i in range(8):
        s = 1.53 + i * 0.1
        optimizer.zero_grad()
        (w**s).sum().backward()
        optimizer.step()
        assert w.grad is not None
        np.testing.assert_allclose(w.grad.numpy(), s * X.astype(np.float64) ** (s - 1), rtol=2e-5)
        if i == 3:
            compiled.clear()
    assert compiled
    assert not any(compiled)


def test_one_thread_compiles_while_another_lowers_the_first() -> None:
    """What comes with another number meanwhile is not taken for the first: the third run, with the first's number, computed with the other."""

    def traced(number: float, meanwhile: Callable[[], Any] = lambda: None) -> Any:
        made = jax.jit(lambda x: x * number + 1, keep_unused=True).trace(*given)

        class Traced:
            jaxpr, out_info = made.jaxpr, made.out_info

            def lower(self) -> Any:
                meanwhile()
                return made.lower()

        return Traced()

    def run(what: Any) -> Any:
        return np.asarray(jax.tree.leaves(templates.called(what)(X))[0])

    def compiled(what: Any) -> Any:
        return templates.compiled(what, (), given, lambda lowered: templates.at_once(lambda: Executable(lowered.compile(), None)), None)

    given = [jax.ShapeDtypeStruct(X.shape, X.dtype)]
    others: list[Any] = []
    begun, done = threading.Event(), threading.Event()

    def other() -> None:
        others.append(compiled(traced(4.0, lambda: (begun.set(), done.wait(60)))))
        begun.set()

    thread = threading.Thread(target=other)
    first = compiled(traced(2.0, lambda: (thread.start(), begun.wait(60))))
    done.set()
    thread.join()
    third = compiled(traced(2.0))
    for what, number in ((first, 2), (others[0], 4), (third, 2), (compiled(traced(8.0)), 8)):
        np.testing.assert_allclose(run(what), X * number + 1, rtol=1e-6)
