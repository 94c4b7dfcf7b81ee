"""8-bit floats: conversions to the bit, what moves them about, and what refuses them, as under torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from compat import bridge

KINDS = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
NUMBERS = [1.0, -2.0, 3.5, 0.0, 300.0, 1e-3, 464.0, 465.0, 1e4, -1e6, 5.8e4, -0.3, -1e-10, 1.5, -12.0, float("inf"), -float("inf")]

MOVES: dict[str, Callable[[Any, Any], Any]] = {
    "cat": lambda t, y: t.cat([y, y]), "stack": lambda t, y: t.stack([y, y]), "clone": lambda t, y: y.clone(), "index": lambda t, y: y[1:3],
    "mask": lambda t, y: y[y.float() > 0.1], "where": lambda t, y: t.where(y.float() > 0, y, y), "roll": lambda t, y: y.roll(1),
    "repeat": lambda t, y: y.repeat(2), "select": lambda t, y: y.index_select(0, t.tensor([1])), "transposed": lambda t, y: y[:16].view(4, 4).t().contiguous(),
    "fill": lambda t, y: y.clone().fill_(3), "zero": lambda t, y: y.clone().zero_(), "full": lambda t, y: t.full((2,), 2.3, dtype=y.dtype),
    "assigned": lambda t, y: _assigned(y), "flat": lambda t, y: y[:16].view(4, 4).flatten(),
}  # fmt: skip
REFUSED: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda t, y: y + y, "in place": lambda t, y: y.clone().add_(1), "mul": lambda t, y: y * 2, "neg": lambda t, y: -y, "sum": lambda t, y: y.sum(),
    "exp": lambda t, y: y.exp(), "lt": lambda t, y: y < y, "relu": lambda t, y: y.relu(), "sort": lambda t, y: y.sort(), "with float": lambda t, y: y + y.float(),
    "div": lambda t, y: y / y, "max": lambda t, y: y.max(), "cumsum": lambda t, y: y.cumsum(0), "gather": lambda t, y: y.gather(0, t.tensor([1])),
}  # fmt: skip


def _assigned(y: Any) -> Any:
    y = y.clone()
    y[0] = 2.0
    return y


def bits(library: Any, kind: str, make: Callable[[Any, Any], Any] = lambda t, y: y, via: str = "float32") -> Any:
    """The bytes of a result, or the type of the exception."""
    y = library.tensor(NUMBERS).to(getattr(library, via)).to(getattr(library, kind))
    try:
        r = make(library, y)
    except Exception as e:
        return type(e).__name__
    return r.view(library.uint8).tolist() if r.element_size() == 1 and r.dtype != library.bool else r.tolist()


@pytest.mark.parametrize("via", ["float32", "float64", "float16", "bfloat16", "int32"])
@pytest.mark.parametrize("kind", KINDS)
def test_conversions(kind: str, via: str) -> None:
    if via == "int32":
        theirs, ours = (t.tensor([1, -2, 300, 1000, 7]).int().to(getattr(t, kind)).view(t.uint8).tolist() for t in (torch, bridge.jtorch()))
    else:
        theirs, ours = bits(torch, kind, via=via), bits(bridge.jtorch(), kind, via=via)
    assert ours == theirs


@pytest.mark.parametrize("kind", KINDS)
def test_from_python_numbers(kind: str) -> None:
    theirs, ours = (t.tensor(NUMBERS, dtype=getattr(t, kind)).view(t.uint8).tolist() for t in (torch, bridge.jtorch()))
    assert ours == theirs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MOVES)
def test_moves(name: str, kind: str) -> None:
    assert bits(bridge.jtorch(), kind, MOVES[name]) == bits(torch, kind, MOVES[name])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, kind: str) -> None:
    assert bits(bridge.jtorch(), kind, REFUSED[name]) == bits(torch, kind, REFUSED[name])


@pytest.mark.parametrize("kind", KINDS)
def test_comparison_and_gradients(kind: str) -> None:
    def seen(t: Any) -> Any:
        w = t.tensor(NUMBERS[:15], requires_grad=True)
        y = w.to(getattr(t, kind))
        (y.float() * 3).sum().backward()
        return (y == y).tolist(), w.grad.tolist(), repr(y[:3]), t.finfo(y.dtype).resolution

    assert seen(bridge.jtorch()) == seen(torch)
