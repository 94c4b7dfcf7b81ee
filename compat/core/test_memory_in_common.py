"""What is written shares memory with what is read: which writes torch refuses, which it computes, and which of them go backward."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from compat import bridge

_AT = (0, 1)
WRITES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "index_put_": lambda t, x, y: x.index_put_((t.tensor(_AT),), y), "setitem": lambda t, x, y: x.__setitem__(t.tensor(_AT), y), "setslice": lambda t, x, y: x.__setitem__(slice(0, 2), y),
    "index_add_": lambda t, x, y: x.index_add_(0, t.tensor(_AT), y), "index_copy_": lambda t, x, y: x.index_copy_(0, t.tensor(_AT), y), "index_fill_": lambda t, x, y: x.index_fill_(0, t.tensor(_AT), y[0]),
    "scatter_": lambda t, x, y: x.scatter_(0, t.tensor(_AT), y), "scatter_add_": lambda t, x, y: x.scatter_add_(0, t.tensor(_AT), y), "put_": lambda t, x, y: x.put_(t.tensor(_AT), y),
    "index_reduce_": lambda t, x, y: x.index_reduce_(0, t.tensor(_AT), y, "prod"), "masked_fill_": lambda t, x, y: x.masked_fill_(t.tensor([True, True]), y[0]), "add_": lambda t, x, y: x.add_(y),
    "copy_": lambda t, x, y: x.copy_(y), "lerp_": lambda t, x, y: x.lerp_(y, 0.5), "addcmul_": lambda t, x, y: x.addcmul_(y, y), "add out": lambda t, x, y: t.add(y, 1, out=x),
    "index_select out": lambda t, x, y: t.index_select(y, 0, t.tensor(_AT), out=x), "maximum of others out": lambda t, x, y: t.maximum(y, t.ones(3, 1), out=x),
}  # fmt: skip


def _outcome(t: Any, write: Callable[[Any, Any, Any], Any], how: str) -> Any:
    whole = t.tensor([1.0, 2.0, 3.0])
    x = whole[:2] if how != "shared elements" else t.tensor([1.0]).expand(2)
    y = {"itself": x, "the same": whole[:2], "a part": whole[1:], "shared elements": t.tensor([1.0, 2.0])}[how]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            write(t, x, y)
        except Exception as error:
            return type(error).__name__, str(error), whole.tolist()
    return x.tolist(), whole.tolist(), x._version


@pytest.mark.parametrize("how", ["itself", "the same", "a part", "shared elements"])
def test_writes(how: str) -> None:
    for name, write in WRITES.items():
        assert _outcome(bridge.jtorch(), write, how) == _outcome(torch, write, how), name


# Torch's formulas keep a result, places or sizes, so what went in may be written before going backward.
FREE: dict[str, Callable[[Any, Any], Any]] = {
    "relu": lambda t, x: x.relu(), "relu module": lambda t, x: t.nn.ReLU()(x), "max": lambda t, x: x.max(1)[0], "min": lambda t, x: x.min(0)[0], "sort": lambda t, x: x.sort(1)[0], "topk": lambda t, x: x.topk(2)[0],
    "msort": lambda t, x: x.msort(), "reciprocal": lambda t, x: x.reciprocal(), "rdiv": lambda t, x: 2 / x, "polar": lambda t, x: t.polar(x, x).real, "inv": lambda t, x: t.linalg.inv(x), "cov": lambda t, x: x.cov(),
    "trapezoid": lambda t, x: t.trapezoid(x, x), "pairwise_distance": lambda t, x: t.nn.functional.pairwise_distance(x, x[0]), "ndtr": lambda t, x: t.special.ndtr(x), "exp": lambda t, x: x.exp(), "sum": lambda t, x: x.sum(),
}  # fmt: skip
KEPT: dict[str, Callable[[Any, Any], Any]] = {
    "square": lambda t, x: x.square(), "sin": lambda t, x: x.sin(), "mul": lambda t, x: x * x, "prod": lambda t, x: x.prod(), "log": lambda t, x: x.log(), "gelu": lambda t, x: t.nn.functional.gelu(x),
}  # fmt: skip


def _gradient(t: Any, f: Callable[[Any, Any], Any]) -> Any:
    leaf = t.tensor([[2.0, 1.0, 0.5], [0.25, 3.0, 1.5], [1.0, 0.75, 4.0]], requires_grad=True)
    x = leaf.clone()
    y = f(t, x)
    with t.no_grad():
        x.zero_()
    try:
        y.sum().backward()
    except RuntimeError as error:
        return str(error)
    return leaf.grad


@pytest.mark.parametrize("name", FREE)
def test_what_is_not_kept_may_be_written(name: str) -> None:
    ours, theirs = _gradient(bridge.jtorch(), FREE[name]), _gradient(torch, FREE[name])
    torch.testing.assert_close(torch.from_numpy(ours.numpy()), theirs)


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_may_not(name: str) -> None:
    assert _gradient(bridge.jtorch(), KEPT[name]) == _gradient(torch, KEPT[name])


SAID: dict[str, Callable[[Any], Any]] = {  # in torch's order: the shape of what is written, then types, then kernels; and by the name that was called
    "shape before kernel": lambda t: t.ones(1, 3).atan2_(t.ones(2, 3, dtype=t.complex64)), "shape before zero": lambda t: t.ones(1, 3, dtype=t.int64).floor_divide_(t.zeros(2, 3, dtype=t.int64)),
    "copy_ of more dims": lambda t: t.ones(3).copy_(t.ones(1, 3)), "out is an operand": lambda t: t.maximum(t.ones(2, 3), w := t.tensor(1.0), out=w), "atan2_": lambda t: t.ones(2).atan2_(1), "add_": lambda t: t.ones(2).add_("a"),
    "mm": lambda t: t.mm(t.ones(2, 2), 1), "bmm": lambda t: t.ones(2).bmm(1), "index_add_": lambda t: t.ones(2).index_add_(0, 1, 2), "slice": lambda t: t.tensor(1.0)[1:], "index": lambda t: t.tensor(1.0)[-1],
    "movedim": lambda t: t.movedim(t.tensor(1.0), 1, 0), "nonzero": lambda t: t.eye(3).nonzero().view(-1),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_is_said(name: str) -> None:
    texts = []
    for t in (bridge.jtorch(), torch):
        with pytest.raises(Exception) as caught:
            SAID[name](t)
        texts.append((caught.type.__name__, str(caught.value).replace("jtorch", "torch")))
    assert texts[0] == texts[1]


def test_small_things() -> None:
    seen = []
    for t in (bridge.jtorch(), torch):
        x, y = t.tensor([1.0, 2.0]), t.tensor(2.0, requires_grad=True)
        x.copy_(x)
        z = y.movedim(0, -1)
        seen.append([x._version, z.item(), z.grad_fn.name(), x.sum_to_size(2) is x, [t.ones(n, m).nonzero().stride() for n, m in ((2, 3), (1, 1), (0, 2))], t.argwhere(t.eye(2)).stride()])
    assert seen[0] == seen[1]
