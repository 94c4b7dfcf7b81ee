"""Hooks that join ``DistributedDataParallel`` with ``ZeroRedundancyOptimizer(overlap_with_ddp=True)``, which is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._errors import not_implemented

__all__ = ["hook_with_zero_step", "hook_with_zero_step_interleaved"]

_WHY = "step() after backward() does the same"


def hook_with_zero_step(hook: Callable[..., Any], ddp: Any, zero: Any, shard_buckets: bool = False) -> Callable[..., Any]:
    """NotImplementedError."""
    not_implemented("ZeroRedundancyOptimizer with overlap_with_ddp", _WHY)


def hook_with_zero_step_interleaved(hook: Callable[..., Any], ddp: Any, zero: Any, shard_buckets: bool = False) -> Callable[..., Any]:
    """NotImplementedError."""
    not_implemented("ZeroRedundancyOptimizer with overlap_with_ddp", _WHY)
