"""Rows of a table whose gradient is sparse: one place for each row that was read, as often as it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._api._sparse import built, host, is_known
from jtorch._core.graph.sparse_history import link
from jtorch._core.graph.sparse_values import make_loose
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.tensor.creation import from_array
from jtorch._namespace import torch

__all__ = ["sparse_bag_rows", "sparse_rows"]


def sparse_rows(weight: Any, input: Any, padding_idx: int | None, by_freq: bool = False) -> Tensor:
    """``weight[input]``. In the gradient the rows are not added up; those of ``padding_idx`` are left out once somebody looks at it."""
    with torch.no_grad():
        out = torch.embedding(weight.detach(), input, -1, False)
    size = aval_of(weight).shape
    rows = input.detach()

    def back(g: Any) -> Tensor:
        if by_freq:
            raise RuntimeError("embedding_backward: scale_grad_by_freq not supported with sparse gradients")
        values = g.reshape(-1, size[1])
        at = from_array(host(rows).reshape(1, -1).astype(np.int64)) if is_known(rows) else rows.reshape(1, -1).to(torch.int64)
        if padding_idx is None:
            return built("EmbeddingSparseBackward0", "sparse_coo", (at, values), size)

        def exact() -> tuple[Any, Any]:
            found = host(at)
            kept = np.nonzero(found[0] != padding_idx)[0]
            return from_array(found[:, kept], device=values.device), values.index_select(0, from_array(kept, device=values.device))

        if g.requires_grad:
            return built("EmbeddingSparseBackward0", "sparse_coo", exact(), size)
        return make_loose((at, torch.where((at[0] == padding_idx).unsqueeze(1), 0, values)), size, exact)

    return link("EmbeddingBackward0", out, (weight, back))


def sparse_bag_rows(weight: Any, input: Any, padding_idx: int | None, by_freq: bool) -> tuple[Any, Any, int | None]:
    """(table, indices, padding_idx) of the same bags over a table of just the rows that ``input`` names, whose gradient is sparse."""
    n = input.shape[0]
    rows: Any = sparse_rows(weight, input, padding_idx, by_freq)
    order = torch.arange(n, device=input.device)
    if padding_idx is None:
        return rows, order, None
    return torch.cat([rows, torch.zeros_like(rows[:1])]) if n else rows, torch.where(input == padding_idx, n, order), n
