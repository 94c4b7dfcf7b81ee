"""``torch.distributed.nn``: collectives with gradients."""

from __future__ import annotations

from typing import Any

from jtorch.distributed import _names
from jtorch.distributed.nn import functional as functional
from jtorch.distributed.nn.functional import all_gather, all_reduce, all_to_all, all_to_all_single, broadcast, gather, reduce, reduce_scatter, scatter

__all__ = ["all_gather", "all_reduce", "all_to_all", "all_to_all_single", "broadcast", "functional", "gather", "reduce", "reduce_scatter", "scatter"]


def __getattr__(name: str) -> Any:
    if name == "RemoteModule":
        return _names._one(name, "torch.distributed.nn")[1]
    raise AttributeError(f"module 'torch.distributed.nn' has no attribute '{name}'")
