"""FlopCounterMode counts what torch counts: in all, forward and backward, by module."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from compat import bridge

# (library, a maker of random tensors that require gradients) -> a tensor
CASES: dict[str, Callable[[Any, Any], Any]] = {
    "mm": lambda t, r: r(2, 3) @ r(3, 4),
    "mm with a constant": lambda t, r: t.ones(2, 3) @ r(3, 4),
    "linear": lambda t, r: t.nn.functional.linear(r(5, 3), r(4, 3), r(4)),
    "linear of a constant": lambda t, r: t.nn.functional.linear(t.ones(5, 3), r(4, 3), r(4)),
    "linear, 3d": lambda t, r: t.nn.functional.linear(r(2, 5, 3), r(4, 3)),
    "linear, 1d": lambda t, r: t.nn.functional.linear(r(3), r(4, 3), r(4)),
    "bmm": lambda t, r: t.bmm(r(2, 3, 4), r(2, 4, 5)),
    "baddbmm": lambda t, r: t.baddbmm(r(2, 3, 5), r(2, 3, 4), r(2, 4, 5)),
    "addmm": lambda t, r: t.addmm(r(3, 5), r(3, 4), r(4, 5)),
    "matmul, folded": lambda t, r: r(2, 3, 4) @ r(4, 5),
    "matmul, 4d": lambda t, r: r(2, 3, 4, 5) @ r(2, 3, 5, 6),
    "matrix times vector": lambda t, r: r(3, 4) @ r(4),
    "vector times matrix": lambda t, r: r(4) @ r(4, 3),
    "batch times vector": lambda t, r: r(2, 3, 4) @ r(4),
    "dot": lambda t, r: r(4) @ r(4),
    "einsum": lambda t, r: t.einsum("bij,bjk->bik", r(2, 3, 4), r(2, 4, 5)),
    "einsum, row by row": lambda t, r: t.einsum("ij,ij->i", r(3, 4), r(3, 4)),
    "einsum, outer": lambda t, r: t.einsum("i,j->ij", r(3), r(4)),
    "tensordot": lambda t, r: t.tensordot(r(3, 4), r(4, 5), 1),
    "conv1d": lambda t, r: t.nn.functional.conv1d(r(2, 3, 8), r(4, 3, 3)),
    "conv2d": lambda t, r: t.nn.functional.conv2d(r(2, 3, 8, 8), r(4, 3, 3, 3), r(4), 2, 1),
    "conv2d of a constant": lambda t, r: t.nn.functional.conv2d(t.ones(2, 3, 8, 8), r(4, 3, 3, 3), r(4)),
    "conv2d in groups": lambda t, r: t.nn.functional.conv2d(r(2, 4, 8, 8), r(4, 2, 3, 3), None, 1, 1, 1, 2),
    "conv2d without a batch": lambda t, r: t.nn.functional.conv2d(r(3, 8, 8), r(4, 3, 3, 3)),
    "conv_transpose2d": lambda t, r: t.nn.functional.conv_transpose2d(r(2, 3, 8, 8), r(3, 4, 3, 3)),
    "attention": lambda t, r: t.nn.functional.scaled_dot_product_attention(r(3, 6, 8), r(3, 7, 8), r(3, 7, 8)),
    "attention with dropout": lambda t, r: t.nn.functional.scaled_dot_product_attention(r(2, 3, 6, 8), r(2, 3, 6, 8), r(2, 3, 6, 8), dropout_p=0.5),
    "MultiheadAttention": lambda t, r: t.nn.MultiheadAttention(8, 2, batch_first=True)(r(2, 5, 8), r(2, 5, 8), r(2, 5, 8))[0],
}


def _mode(t: Any, **options: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.utils.flop_counter").FlopCounterMode(display=False, **options)


@pytest.mark.parametrize("name", CASES)
def test_totals(name: str) -> None:
    for backward in (False, True):
        found = []
        for t in (torch, bridge.jtorch()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mode = _mode(t)
                with mode:
                    y = CASES[name](t, lambda *shape, t=t: t.randn(*shape, requires_grad=True))
                    if backward:
                        y.sum().backward()
            found.append(mode.get_total_flops())
        assert found[0] == found[1]


def test_by_module_and_operator() -> None:
    found = []
    for t in (torch, bridge.jtorch()):
        net = t.nn.Sequential(t.nn.Conv2d(1, 2, 3), t.nn.ReLU(), t.nn.Flatten(), t.nn.Sequential(t.nn.Linear(72, 4), t.nn.Linear(4, 5, bias=False)))
        mode = _mode(t, depth=3)
        with mode:
            net(t.ones(2, 1, 8, 8)).sum().backward()
        found.append({module: {str(op): n for op, n in counts.items()} for module, counts in mode.get_flop_counts().items()})
    assert found[0] == found[1]
    assert "Sequential.3.1" in mode.get_table() and "100.00%" in mode.get_table()  # torch's own needs a package for it


def test_custom_mapping() -> None:
    for t in (torch, bridge.jtorch()):
        with _mode(t, custom_mapping={t.ops.aten.sin: lambda shape, out_shape=None, **_: 7 * shape[0]}) as mode:
            t.sin(t.ones(3))
        assert mode.get_total_flops() == 21
