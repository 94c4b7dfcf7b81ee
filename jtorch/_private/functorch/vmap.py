"""``torch._functorch.vmap``: helpers of torch's own vmap."""

from __future__ import annotations

from typing import Any

from jtorch._private.C._functorch import _add_batch_dim as _add_batch_dim
from jtorch._private.C._functorch import _remove_batch_dim as _remove_batch_dim
from jtorch._public import torch
from jtorch.utils._pytree import _broadcast_to_and_flatten as _broadcast_to_and_flatten
from jtorch.utils._pytree import tree_flatten, tree_map, tree_unflatten

__all__ = ["Tensor", "tree_flatten", "tree_map", "tree_unflatten"]

Tensor = torch.Tensor


def _get_name(func: Any) -> str:
    """A function's name, for messages."""
    return func.__name__ if hasattr(func, "__name__") else repr(func)


def _maybe_remove_batch_dim(name: str, batched_output: Any, vmap_level: int, batch_size: int, out_dim: int | None) -> Any:
    """Show a hidden dim again."""
    if out_dim is None:
        return batched_output
    return _remove_batch_dim(batched_output, vmap_level, batch_size, out_dim)
