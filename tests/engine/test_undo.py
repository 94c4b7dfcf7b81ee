"""A guard that fails undoes what was written since: the program is as if the exception had come at the line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jtorch as torch
import jtorch.nn.functional as F
from jtorch._engine.values.thread_state import state

table = torch.arange(8.0).reshape(4, 2)


def computed(*values: int) -> Any:
    return torch.tensor(values) + 0


def test_only_what_depends_on_it_raises() -> None:
    good, bad = table.sum() + 1, F.embedding(computed(9), table)
    late = bad.relu() * 2
    assert good.item() == 29
    with pytest.raises(IndexError):
        late.sum().item()
    assert not state.undo
    assert not state.runs


def test_writes_come_back_and_so_do_views_shared_memory_and_versions_go_on() -> None:
    plain, array = torch.zeros(3), np.zeros(3, "f4")
    shared, part = torch.from_numpy(array), torch.zeros(2, 2)
    version = plain._version
    bad = F.embedding(computed(0, 7), table)
    plain.add_(1)
    plain.mul_(2)
    shared += 3
    part[0] = 5
    with pytest.raises(IndexError):
        bad.sum().item()
    assert plain.tolist() == shared.tolist() == array.tolist() == [0, 0, 0]
    assert part.tolist() == [[0, 0], [0, 0]]
    assert plain._version > version


def test_what_came_before_stays_where_several_wait() -> None:
    x = torch.zeros(2)
    first = F.embedding(computed(1), table)
    x.add_(1)
    second = F.embedding(computed(8), table)
    x.add_(10)
    assert first.sum().item() == 5
    with pytest.raises(IndexError):
        (second.sum() + x.sum()).item()
    assert x.tolist() == [1, 1]


def test_generators_and_gradients() -> None:
    w = torch.ones(4, 2, requires_grad=True)
    own = torch.Generator().manual_seed(3)
    torch.manual_seed(5)
    torch.rand(2), torch.rand(2, generator=own)  # noqa: B018
    expected = None
    for attempt in range(2):
        if attempt == 0:
            out = F.embedding(computed(4), w)
            torch.rand(3), torch.rand(3, generator=own)  # noqa: B018
            out.sum().backward()
            with pytest.raises(IndexError):
                out.sum().item()
            assert w.grad is None
        else:
            expected = torch.rand(2), torch.rand(2, generator=own)
    torch.manual_seed(5)
    again = torch.Generator().manual_seed(3)
    torch.rand(2), torch.rand(2, generator=again)  # noqa: B018
    assert expected is not None
    assert [t.tolist() for t in expected] == [torch.rand(2).tolist(), torch.rand(2, generator=again).tolist()]


@pytest.mark.parametrize("accumulating", [False, True])
def test_a_batch_that_is_skipped_has_trained_nothing(accumulating: bool) -> None:
    def train(caught: bool) -> list[Any]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Embedding(10, 6), torch.nn.Flatten(), torch.nn.BatchNorm1d(12), torch.nn.Dropout(0.3), torch.nn.Linear(12, 2))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        batches, skipped = [torch.randint(0, 7, (5, 2)) + 20 * (k % 3 == 1) for k in range(7)], 0
        for k, ids in enumerate(batches):
            if k % 3 == 1 and not caught:
                continue
            try:
                if not accumulating:
                    optimizer.zero_grad()
                loss = model((ids.float() + 2.5).long()).pow(2).mean()
                loss.backward()
                optimizer.step()
                loss.item()
            except IndexError:
                skipped += 1
        assert skipped == (2 if caught else 0)
        state = [v for s in optimizer.state.values() for v in s.values()]
        return [t.tolist() for t in (*model.state_dict().values(), *state, torch.rand(2))]

    assert train(True) == train(False)
