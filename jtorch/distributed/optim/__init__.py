"""``torch.distributed.optim``: optimizers whose state is spread over processes."""

from __future__ import annotations

from typing import Any

from jtorch.distributed import _names

from .zero_redundancy_optimizer import ZeroRedundancyOptimizer

__all__ = ["ZeroRedundancyOptimizer"]


def __getattr__(name: str) -> Any:
    if name in ("DistributedOptimizer", "PostLocalSGDOptimizer"):
        return _names._one(name, "torch.distributed.optim")[1]
    raise AttributeError(f"module 'torch.distributed.optim' has no attribute '{name}'")
