"""Copies, parts and sums over devices (on the cpu, which real torch's refuses)."""

from __future__ import annotations

import pytest

import jtorch as torch
from jtorch.nn.parallel import comm
from jtorch.nn.parallel.parallel_apply import get_a_var


def test_parts_and_sums() -> None:
    x = torch.arange(6.0).view(3, 2)
    assert [p.tolist() for p in comm.scatter(x, ["cpu", -1])] == [[[0, 1], [2, 3]], [[4, 5]]]
    assert [p.tolist() for p in comm.scatter(x, ["cpu", "cpu"], [1, 2])] == [[[0, 1]], [[2, 3], [4, 5]]]
    assert all(torch.equal(c, x) for c in comm.broadcast(x, ["cpu", -1]))
    assert comm.gather(comm.scatter(x, [-1, -1], dim=1), dim=1).tolist() == x.tolist()
    assert comm.reduce_add([x, x, x]).tolist() == (x * 3).tolist()
    assert [t.tolist() for t in comm.reduce_add_coalesced([[x, x + 1], [x, x]])] == [(x * 2).tolist(), (x * 2 + 1).tolist()]
    into = [torch.empty(1, 2), torch.empty(2, 2)]
    assert comm.scatter(x, out=into)[1] is into[1] and into[1].tolist() == [[2, 3], [4, 5]]
    whole = torch.empty(6, 2)
    assert comm.gather([x, x], out=whole) is whole and whole[3:].tolist() == x.tolist()


def test_what_is_refused() -> None:
    x = torch.ones(2)
    for call in (lambda: comm.broadcast(x), lambda: comm.scatter(x, ["cpu"], out=[x]), lambda: comm.reduce_add([])):
        with pytest.raises(RuntimeError):
            call()
    with pytest.raises(ValueError, match="invalid size"):
        comm.reduce_add([x, torch.ones(3)])


def test_a_tensor_somewhere() -> None:
    x = torch.ones(2)
    assert get_a_var([3, {"a": (x,)}]) is x and get_a_var([3, {}]) is None
