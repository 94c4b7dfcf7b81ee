"""What torch says of a tensor that was written after backward had kept it: its shape as torch keeps it, which operator it comes from now, and its versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from compat import bridge


def _stepped(make: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[[Any, Any], None]:
    """Backward twice with an optimizer's step between: what everybody meets who trains two networks by one graph."""

    def run(t: Any, x: Any) -> None:
        layer, y = make(t, x)
        loss = (y * y).sum()
        loss.backward(retain_graph=True)
        t.optim.SGD(layer.parameters(), 0.1).step()
        loss.backward()

    return run


def _of(cls: str, *args: Any, read: Callable[[Any], Any] = lambda h: h, **kwargs: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    def make(t: Any, x: Any) -> tuple[Any, Any]:
        layer = getattr(t.nn, cls)(*args, **kwargs)
        return layer, layer(read(x.relu()))

    return make


LAYERS = {
    "linear": _of("Linear", 3, 1), "linear without bias": _of("Linear", 3, 2, bias=False), "linear of three dims": _of("Linear", 3, 1, read=lambda h: h[None]),
    "linear of one dim": _of("Linear", 3, 2, read=lambda h: h[0]), "conv": _of("Conv1d", 3, 2, 1, read=lambda h: h.t()[None]), "layer norm": _of("LayerNorm", 3), "batch norm": _of("BatchNorm1d", 3),
}  # fmt: skip
WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "an element": lambda t, h: h.__setitem__(0, 1), "a row by a row": lambda t, h: h.__setitem__(0, h[1]), "a column": lambda t, h: h[:, 0].mul_(2), "transposed": lambda t, h: h.t().add_(1),
    "flat": lambda t, h: h.view(-1).__setitem__(0, 2), "whole": lambda t, h: h.zero_(), "of a detached": lambda t, h: h.detach().__setitem__(0, 1), "copied": lambda t, h: h.copy_(t.ones(2, 3)),
    "of data": lambda t, h: h.data.__setitem__(0, 2),
}  # fmt: skip


def _said(t: Any, run: Callable[[Any, Any], None]) -> str | None:
    t.manual_seed(0)
    try:
        run(t, t.randn(2, 3, requires_grad=True))
    except RuntimeError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_was_stepped(name: str) -> None:
    theirs = _said(torch, _stepped(LAYERS[name]))
    assert theirs is not None
    assert _said(bridge.jtorch(), _stepped(LAYERS[name])) == theirs


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("read", ["itself", "a view"])
def test_an_input_that_was_written(name: str, read: str) -> None:
    def run(t: Any, x: Any) -> None:
        h = x.relu()
        kept = h if read == "itself" else h.t()
        y = kept * kept
        WRITES[name](t, h)
        y.sum().backward()

    assert _said(bridge.jtorch(), run) == _said(torch, run)
