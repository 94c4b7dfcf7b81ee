"""Each program over torch.nn sees the same under torch and under jtorch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from compat import bridge
from compat.nn.programs_training import PROGRAMS

CLOSE = 2e-3


def plain(value: Any) -> Any:
    """What was seen, with the library's name left out of messages."""
    if isinstance(value, str):
        return value.replace("jtorch.", "torch.")
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def same(a: Any, b: Any) -> bool:
    """Equality, with room for the last digits of floats."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= CLOSE * max(1.0, abs(a)) or (a != a and b != b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


LONG = ("language_model_checkpointed", "language_model_saved_on_the_cpu", "packed_lstm")  # others have the model with both, and packing without training


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in sorted(PROGRAMS)])
def test_sees_the_same(name: str) -> None:
    theirs = plain(PROGRAMS[name](torch))
    ours = plain(PROGRAMS[name](bridge.jtorch()))
    assert len(theirs) == len(ours)
    for i, (a, b) in enumerate(zip(theirs, ours, strict=True)):
        assert same(a, b), f"observation {i}\ntorch:  {a}\njtorch: {b}"
