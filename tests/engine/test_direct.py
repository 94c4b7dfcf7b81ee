"""An optimizer's updates as one node, and run at once: nothing that somebody else holds is overwritten, every alias sees the new values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jtorch as torch
from jtorch._engine.recording.bundle import Bundle, expanded
from jtorch._engine.running.executor import stats


def _stepped(params: list[Any], steps: int = 3, **options: Any) -> list[np.ndarray]:
    optimizer = torch.optim.SGD(params, lr=0.25, **options)
    for _ in range(steps):
        optimizer.zero_grad()
        sum((p * p).sum() for p in params).backward()
        optimizer.step()
    return [p.detach().numpy().copy() for p in params]


def _expected(start: np.ndarray, steps: int = 3) -> np.ndarray:
    for _ in range(steps):
        start = start - np.float32(0.25) * (start + start)
    return start


def test_parameters_that_start_as_one_value() -> None:
    zero = torch.full((4, 4), 0.25)
    params = [torch.nn.Parameter(zero.clone()) for _ in range(3)] + [torch.nn.Parameter(zero)]
    for got in _stepped(params):
        np.testing.assert_array_equal(got, _expected(np.full((4, 4), 0.25, "f4")))
    assert zero.tolist() == params[-1].tolist()  # a Parameter shares its memory


def test_who_holds_the_old_value_keeps_it() -> None:
    params = [torch.nn.Parameter(torch.full((3,), 2.0 + i)) for i in range(3)]
    _stepped(params, 1)
    pending = params[0] * 10  # reads the value; not run yet
    alias = params[1].detach()
    before, shared = params[0].tolist(), alias.tolist()
    _stepped(params, 1)
    assert pending.tolist() == [10 * x for x in before]
    assert alias.tolist() == params[1].tolist() != shared


def test_parameters_in_memory_of_numpy_and_views() -> None:
    array = np.full((2, 3), 3.0, "f4")
    whole = torch.full((2, 3), 3.0)
    params = [torch.nn.Parameter(torch.from_numpy(array)), torch.nn.Parameter(whole[0]), torch.nn.Parameter(torch.full((3,), 3.0))]
    _stepped(params)
    np.testing.assert_array_equal(array, _expected(np.full((2, 3), 3.0, "f4")))
    assert whole[0].tolist() == params[1].tolist()
    assert whole[1].tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam", "RMSprop", "Adagrad", "ASGD", "Adamax"])
def test_one_by_one_and_together_are_the_same(name: str) -> None:
    def run(apart: bool) -> list[list[float]]:
        torch.manual_seed(0)
        params = [torch.nn.Parameter(torch.randn(3, 2)) for _ in range(3)]
        groups = [[p] for p in params] if apart else [params]
        optimizers = [getattr(torch.optim, name)(g, lr=0.1) for g in groups]
        for _ in range(3):
            for p in params:
                p.grad = p.detach() * 0.5 + 1
            for optimizer in optimizers:
                optimizer.step()
        return [p.flatten().tolist() for p in params]

    assert run(True) == run(False)


def test_a_step_with_gradients_there_is_one_execution() -> None:
    params = [torch.nn.Parameter(torch.randn(4)) for _ in range(5)]
    optimizer = torch.optim.AdamW(params, lr=0.1)
    for p in params:
        p.grad = torch.ones(4)
    for _ in range(3):
        optimizer.step()
    before = stats.executions
    optimizer.step()
    assert stats.executions == before + 1


def test_expanded_keeps_positions() -> None:
    class Part:
        def __init__(self, n: int) -> None:
            self.outs, self.inputs, self.device = (None,) * n, (), None

    parts = tuple(Part(2) for _ in range(3))
    bundle = Bundle.__new__(Bundle)
    bundle.parts, bundle.width, bundle.count = parts, 2, 3
    plain = (Part(1), 0)
    nodes = [plain, (bundle, 10, 11, 12, 20, 21, 22, -99), plain]
    assert expanded(nodes) == [plain, (parts[0], 10, 20, -99), (parts[1], 11, 21, -99), (parts[2], 12, 22, -99), plain]
