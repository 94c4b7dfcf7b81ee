"""``smm``, ``hspmm`` and ``sspaddmm``: what they give, and in torch's words what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch


def results(library: Any, name: str) -> list[Any]:
    sparse = library.tensor([[0, 1.0, 0], [2, 0, 3]]).to_sparse()
    dense = library.arange(12.0).reshape(3, 4)
    first = (library.zeros(2, 4).to_sparse(),) if name in ("sspaddmm", "saddmm") else ()
    found: list[Any] = []
    for a, b in (
        (sparse, dense), (sparse.to_dense(), dense), (sparse, dense.to_sparse()), (sparse, dense[:2]), (sparse, dense[0]), (sparse, dense[None]),
        (sparse, dense.double()), (sparse.to(library.int64), dense.long()), (sparse.to_sparse_csr(), dense),
    ):  # fmt: skip
        try:
            out = getattr(library, name)(*first, a, b)
            found.append((str(out.layout).partition(".")[2], tuple(out.shape), out.sparse_dim(), out.to_dense().tolist()))
        except (RuntimeError, NotImplementedError) as e:
            found.append((type(e), str(e) if type(e) is RuntimeError else ""))
    return found


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("name", ["smm", "hspmm", "hsmm", "sspaddmm", "saddmm"])
def test_like_torch(name: str) -> None:
    assert results(jtorch, name) == results(torch, name)
