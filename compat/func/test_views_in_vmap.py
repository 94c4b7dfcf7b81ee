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


_QUICK = ("T", "slice", "diagonal", "written")


@pytest.mark.parametrize("name", [n if n in _QUICK else pytest.param(n, marks=pytest.mark.slow) for n in VIEWS])
def test_views_are_views(name: str) -> None:
    assert _written(jtorch, name) == _written(torch, name)
