"""A view of a view of a view: the steps on the way are results of a program only where somebody has their tensors."""

from __future__ import annotations

import jtorch as torch


def test_steps_without_a_tensor_are_no_results() -> None:
    x = torch.arange(24.0) + 1
    last = x.view(2, 3, 4).transpose(1, 2)[1]
    other = (x + 1).view(2, 12)
    tensor = other.view(2, 3, 4)
    below = tensor.transpose(1, 2)
    assert (last.sum() + below.sum()).item() == sum(range(13, 25)) + sum(range(2, 26))
    step = last._view
    while step is not None:
        assert step is last._view or step.value is None
        step = step.parent
    assert below._view.parent.value is not None and below._view.parent.parent.value is not None


def test_what_a_dead_step_was_is_read_anew_after_a_write() -> None:
    x = torch.zeros(2, 6)
    y = (x + 0).view(2, 3, 2).transpose(0, 1)[1]
    whole = y._base
    assert y.sum().item() == 0
    y.add_(1)
    assert y.tolist() == [[1, 1], [1, 1]] and whole.tolist() == [[0, 0, 1, 1, 0, 0]] * 2
    whole.mul_(3)
    assert y.tolist() == [[3, 3], [3, 3]]
