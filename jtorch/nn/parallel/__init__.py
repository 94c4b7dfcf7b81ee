"""Data parallelism over the devices of one process. For several devices, shard the batch (see ``jtorch.distributed``)."""

from __future__ import annotations

from typing import Any

from .data_parallel import DataParallel, data_parallel
from .parallel_apply import parallel_apply
from .replicate import replicate
from .scatter_gather import gather, scatter

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel", "gather", "parallel_apply", "replicate", "scatter"]


def __getattr__(name: str) -> Any:
    # Looked up late: the distributed package is a layer above this one.
    if name in ("DistributedDataParallel", "distributed"):
        import importlib

        try:
            module = importlib.import_module("jtorch.distributed.ddp")
        except ImportError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        return module if name == "distributed" else module.DistributedDataParallel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
