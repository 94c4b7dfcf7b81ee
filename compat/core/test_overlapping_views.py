"""Writes through views of views that show an element more than once (expand, unfold, as_strided): the element changes, and its gradient goes where torch's goes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

WRITES: dict[str, Any] = {
    "a row": lambda y: y.expand(3, 6)[0].mul_(2),
    "part of the last row": lambda y: y.expand(3, 6)[2, 1:4].sin_(),
    "one element": lambda y: y.expand(3, 6)[1, 2].add_(7),
    "a slice of one row": lambda y: y.expand(3, 6)[1:2].neg_(),
    "assigned": lambda y: y.expand(2, 6)[0].__setitem__(slice(1, 3), y[4:].detach() * 3),
    "a column of columns": lambda y: y.view(6, 1).expand(6, 4)[:, 1].mul_(3),
    "expanded in the middle": lambda y: y.view(3, 1, 2).expand(3, 5, 2)[:, 4].zero_(),
    "transposed, then expanded": lambda y: y.view(2, 3).t()[None].expand(4, 3, 2)[2][:, 1].square_(),
    "a window": lambda y: y.unfold(0, 3, 1)[1].mul_(2),
    "part of a window": lambda y: y.unfold(0, 4, 2)[1][1:].fill_(-1.0),
    "a window by another": lambda y: y.unfold(0, 3, 1)[3].mul_(y[0:3] + 1),
    "as_strided that overlaps": lambda y: y.as_strided((3, 2), (1, 1))[1].add_(10),
    "windows that do not overlap": lambda y: y.unfold(0, 3, 3)[1].mul_(2),
    "twice": lambda y: (y.expand(2, 6)[0].mul_(2), y.expand(2, 6)[1].mul_(y.detach() + 1))[1],
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("grad", [False, True])
def test_write(name: str, grad: bool) -> None:
    def run(lib: Any) -> Any:
        x = lib.arange(1.0, 7.0).requires_grad_(grad)
        y = x * 1
        other = y[2:5]
        WRITES[name](y)
        if grad:
            (y * y).sum().backward()
        return y.tolist(), other.tolist(), x.grad.tolist() if grad else [], y._version

    ours, theirs = run(jtorch), run(torch)
    assert ours[3] == theirs[3]
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        assert a == pytest.approx(b, rel=1e-6)


@pytest.mark.parametrize("lib", [torch, jtorch], ids=["torch", "jtorch"])
def test_what_has_no_elements_overlaps_nothing(lib: Any) -> None:
    x = lib.zeros(4).as_strided((3, 0), (0, 1))
    assert [tuple(t.shape) for t in (x.add_(1), x.zero_(), x.clamp_(0), lib.ceil(lib.empty(3, 0), out=x), lib.vmap(lambda y: y.ceil_())(x))] == [(3, 0)] * 5
    with pytest.raises(RuntimeError, match="single memory location"):
        lib.zeros(4).as_strided((3, 1), (0, 1)).add_(1)
