"""Rows of a table whose gradient is sparse: one place for each row that was read, as often as it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._api._sparse import built, host, is_known
from jtorch._core.create import from_array
from jtorch._core.sparse import link
from jtorch._core.tensor import Tensor
from jtorch._core.views import aval_of
from jtorch._namespace import torch

__all__ = ["sparse_bag_rows", "sparse_rows"]


def sparse_rows(weight: Any, input: Any, padding_idx: int | None, by_freq: bool = False) -> Tensor:
    """``weight[input]``. In the gradient the rows are not added up; those of ``padding_idx`` are left out, for which the indices are looked at."""
    with torch.no_grad():
        out = torch.embedding(weight.detach(), input, -1, False)
    size = aval_of(weight).shape
    rows = input.detach()

    def back(g: Any) -> Tensor:
        if by_freq:
            raise RuntimeError("embedding_backward: scale_grad_by_freq not supported with sparse gradients")
        values = g.reshape(-1, size[1])
        if padding_idx is None and not is_known(rows):
            at = rows.reshape(1, -1).to(torch.int64)
        else:
            found = host(rows).reshape(-1).astype(np.int64)
            kept = np.nonzero(found != padding_idx)[0] if padding_idx is not None else np.arange(len(found))
            if len(kept) < len(found):
                found, values = found[kept], values.index_select(0, from_array(kept, device=values.device))
            at = from_array(found[None], device=values.device)
        return built("EmbeddingSparseBackward0", "sparse_coo", (at, values), size)

    return link("EmbeddingBackward0", out, (weight, back))


def sparse_bag_rows(weight: Any, input: Any, padding_idx: int | None, by_freq: bool) -> tuple[Any, Any, int | None]:
    """(table, indices, padding_idx) of the same bags over a table of just the rows that ``input`` names, whose gradient is sparse."""
    n = input.shape[0]
    rows: Any = sparse_rows(weight, input, padding_idx, by_freq)
    order = torch.arange(n, device=input.device)
    if padding_idx is None:
        return rows, order, None
    return torch.cat([rows, torch.zeros_like(rows[:1])]) if n else rows, torch.where(input == padding_idx, n, order), n
