"""Communication hooks of ``DistributedDataParallel``."""

from __future__ import annotations

from typing import Any

from jtorch.distributed import _names


def __getattr__(name: str) -> Any:
    module = None if name.startswith("__") else _names.found(f"algorithms.ddp_comm_hooks.{name}")
    if module is None:
        raise AttributeError(f"module 'torch.distributed.algorithms.ddp_comm_hooks' has no attribute '{name}'")
    return module
