"""Kernels that a program registers for torch's own operators: functions, methods and modules come to them, until they are taken back; the same under both libraries."""

from __future__ import annotations

from typing import Any

import pytest
import torch as real

import jtorch


def _seen(torch: Any) -> list[Any]:
    x, whole = torch.tensor([1.0, 2.0]), torch.tensor([1, 2])
    Library = torch.library.Library
    found: list[Any] = []
    lib = Library("aten", "IMPL")
    lib.impl("sum", lambda *args, **kwargs: args[0].clone(), "CPU")
    for made in (torch.sum(whole), whole.sum(), torch.ops.aten.sum(whole), torch.ops.aten.sum.default(whole)):
        found.append(made.tolist())
    lib._destroy()
    found.append(torch.sum(whole).tolist())
    lib, other = Library("aten", "IMPL"), Library("aten", "IMPL")
    lib.impl("sigmoid", lambda a: a * 10, "CPU")
    other.impl("exp", lambda a: a - 1, "CPU")
    y = x.clone().requires_grad_()
    made = torch.sigmoid(y)
    made.sum().backward()
    found += [made.tolist(), y.grad.tolist(), x.sigmoid().tolist(), torch.nn.Sigmoid()(x).tolist(), torch.nn.functional.sigmoid(x).tolist(), torch.exp(torch.sigmoid(x)).tolist()]
    found += [tuple(torch.nn.Linear(2, 3)(x).shape), torch.relu(x).tolist()]
    lib._destroy()
    found += [torch.exp(x).tolist(), [round(v, 4) for v in torch.sigmoid(x).tolist()]]
    other._destroy()
    return [*found, [round(v, 4) for v in torch.exp(x).tolist()]]


@pytest.mark.filterwarnings("ignore")
def test_functions_come_to_the_kernel() -> None:
    assert _seen(jtorch) == _seen(real)
