"""torch.profiler: counts, nesting, schedules and files are torch's; times are real."""

from __future__ import annotations

import pytest
import torch
import torch.profiler

import jtorch
import jtorch.profiler
from compat.profiler.snippets import SNIPPETS
from compat.programs_of_text import run


@pytest.mark.parametrize("name", SNIPPETS)
def test_prints_what_torch_prints(name: str) -> None:
    assert run(jtorch, SNIPPETS[name]) == run(torch, SNIPPETS[name])


def test_modules_have_rows_of_their_own() -> None:
    model = jtorch.nn.Sequential(jtorch.nn.Linear(3, 4), jtorch.nn.Linear(4, 2))
    with jtorch.profiler.profile(with_modules=True) as p:
        model(jtorch.ones(2, 3))
    found = {e.key: e for e in p.key_averages()}
    assert {"nn.Module: Sequential_0", "nn.Module: Linear_0", "nn.Module: Linear_1"} <= set(found)
    inner = [e for e in p.events() if e.name == "aten::linear"]
    assert [e.module_hierarchy for e in inner] == ["Sequential_0.Linear_0", "Sequential_0.Linear_1"]
    assert found["nn.Module: Sequential_0"].cpu_time_total >= sum(e.cpu_time_total for e in inner) > 0


def test_a_slow_operator_takes_longer() -> None:
    """What an operator costs is its own time, not that of whoever looks at the result."""
    big, small = jtorch.ones(700, 700), jtorch.ones(4, 4)
    for a in (big, small):
        (a @ a).sum().item()  # compiled before
    with jtorch.profiler.profile(record_shapes=True) as p:
        for _ in range(3):
            small @ small
        big @ big
    times = {str(e.input_shapes[0]): e.cpu_time for e in p.key_averages(group_by_input_shape=True) if e.key == "aten::matmul"}
    assert times["[700, 700]"] > times["[4, 4]"]


def test_nothing_is_watched_afterwards() -> None:
    from jtorch._core.graph import grad_modes
    from jtorch._engine.values.thread_state import state

    with jtorch.profiler.profile():
        (jtorch.ones(2, requires_grad=True) * 2).sum().backward()
    assert not state.mode & grad_modes.COUNTED and not grad_modes.told.after and not grad_modes.told.before
