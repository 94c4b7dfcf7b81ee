"""Factories with ``out=`` of another type, layout or device than they are asked for, and the legacy constructors: the same, or the same refusal, as torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from compat import bridge

GIVEN = ("dtype=t.int64", "dtype=t.float64", "dtype=t.float32", "device='meta'", "device='cpu'", "layout=t.sparse_coo", "layout=t.strided", "requires_grad=True")
CALLS = ("zeros((3,), {}, out=o)", "ones((3,), {}, out=o)", "empty((3,), {}, out=o)", "full((3,), 1.0, {}, out=o)", "arange(3, {}, out=o)", "linspace(0, 1, 3, {}, out=o)", "logspace(0, 1, 3, {}, out=o)", "eye(1, 3, {}, out=o)")
LEGACY = """
t.FloatTensor(device="cuda")
t.FloatTensor((2.0, 3.0), device="cuda")
t.FloatTensor(2, device="meta")
t.Tensor(device="cuda")
t.Tensor(t.Size([2]), device="cuda")
t.Tensor(i, device="cpu")
t.Tensor(t.ones(1), device="cpu")
t.Tensor([1], device="cpu")
t.Tensor(i)
t.Tensor(t.ones(2, dtype=t.float64))
t.Tensor(True)
t.Tensor(1.5)
t.LongTensor(i)
i.new(i, device="cpu")
i.new(2, device="cuda").shape
i.new([1], device="cuda")
i.new([1])
t.ones(1, device="meta").new(2, device="cpu")
t.ones(1, device="meta").new(2).device
""".split("\n")[1:-1]


def _outcome(t: Any, expression: str) -> Any:
    o = t.zeros(3)
    try:
        found = eval(expression, {"t": t, "o": o, "i": t.tensor([1])})
    except Exception as error:
        return type(error).__name__, str(error)
    return (found.tolist(), str(found.dtype), found.requires_grad, found is o) if isinstance(found, t.Tensor) else str(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CALLS)
def test_out_as_torch(call: str) -> None:
    for given in GIVEN:
        if "eye" in call:
            expression = f"t.{call.format(given)}".replace("out=o", "out=t.zeros(1, 3)")
        else:
            expression = f"t.{call.format(given)}"
        ours, theirs = [_outcome(t, expression) for t in (bridge.jtorch(), torch)]
        if "empty" in call and "Error" not in str(theirs):  # what it holds is nobody's
            ours, theirs = ours[1:], theirs[1:]
        assert str(ours).replace("jtorch", "torch") == str(theirs), given


@pytest.mark.parametrize("expression", LEGACY)
def test_legacy_constructors_as_torch(expression: str) -> None:
    ours, theirs = [_outcome(t, expression) for t in (bridge.jtorch(), torch)]
    assert str(ours).replace("jtorch", "torch") == str(theirs)
