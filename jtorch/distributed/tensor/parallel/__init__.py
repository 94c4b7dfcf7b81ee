"""``torch.distributed.tensor.parallel``: modules that share their work. Source: https://docs.pytorch.org/docs/stable/distributed.tensor.parallel.html"""

from __future__ import annotations

from .api import parallelize_module
from .loss import loss_parallel
from .style import ColwiseParallel, ParallelStyle, PrepareModuleInput, PrepareModuleInputOutput, PrepareModuleOutput, RowwiseParallel, SequenceParallel

__all__ = [
    "ColwiseParallel", "ParallelStyle", "PrepareModuleInput", "PrepareModuleInputOutput", "PrepareModuleOutput", "RowwiseParallel", "SequenceParallel", "loss_parallel", "parallelize_module",
]  # fmt: skip
