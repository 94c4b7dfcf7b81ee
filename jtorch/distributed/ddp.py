"""``DistributedDataParallel``, which needs a process group."""

from __future__ import annotations

from typing import Any

from jtorch.distributed import no_group
from jtorch.nn.modules.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """A module whose gradients are averaged over the processes of a group. ValueError, as in torch, where there is none: see ``jtorch.distributed``."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        no_group()
