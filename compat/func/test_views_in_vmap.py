"""What ``torch.vmap`` returns of a view of its input is a view of that input: written through it, the input has it, in both libraries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

VIEWS: dict[str, Any] = {
    "T": lambda lib, x: x.T,
    "select": lambda lib, x: x[0],
    "slice": lambda lib, x: x[:, 1:].T,
    "diagonal": lambda lib, x: x.diagonal(),
    "reshape": lambda lib, x: x.reshape(-1),
    "chunk": lambda lib, x: x.chunk(2, 1),
    "unsqueeze": lambda lib, x: (x, x.unsqueeze(1)),
    "written": lambda lib, x: x.T.mul_(2),
    "indexed": lambda lib, x: x[lib.tensor([0, 1])],
    "computed": lambda lib, x: x * 2,
    "conj": lambda lib, x: x.conj(),
    "transposed in place": lambda lib, x: x.transpose_(0, 1),
    "unsqueezed in place": lambda lib, x: x.unsqueeze_(1),
    "written and turned": lambda lib, x: x.mul_(2).t_().add_(1),
}


def _written(lib: Any, name: str) -> list[Any]:
    out: list[Any] = []
    for d, to in ((0, 0), (2, 0), (1, 1)):
        shape = [2, 4]
        shape.insert(d, 3)
        x = lib.arange(24.0).reshape(shape)
        found = lib.func.vmap(lambda v: VIEWS[name](lib, v), in_dims=d, out_dims=to)(x)
        found = found if isinstance(found, tuple) else (found,)
        before = [t.tolist() for t in found]
        found[0].add_(1)
        x.mul_(3)
        out += [before, x.tolist(), [t.tolist() for t in found]]
    return out


_QUICK = ("T", "slice", "diagonal", "written", "transposed in place", "unsqueezed in place")


@pytest.mark.parametrize("name", [n if n in _QUICK else pytest.param(n, marks=pytest.mark.slow) for n in VIEWS])
def test_views_are_views(name: str) -> None:
    assert _written(jtorch, name) == _written(torch, name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lib", [torch, jtorch], ids=["torch", "jtorch"])
def test_anomalies_in_lanes(lib: Any) -> None:
    x = lib.tensor([4.0, -1.0])
    with lib.autograd.set_detect_anomaly(True):
        assert lib.vmap(lib.func.grad(lambda x: x * x))(x).tolist() == [8.0, -2.0]
        with pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"):
            lib.vmap(lib.func.grad(lambda x: x.sqrt()))(x)
