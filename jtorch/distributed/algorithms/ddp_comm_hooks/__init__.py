"""Communication hooks of ``DistributedDataParallel``. Source: https://docs.pytorch.org/docs/stable/ddp_comm_hooks.html"""

from __future__ import annotations

from enum import Enum
from typing import Any

from jtorch.distributed import _names

from . import debugging_hooks as debugging
from . import default_hooks as default
from . import optimizer_overlap_hooks as optimizer_overlap
from . import powerSGD_hook as powerSGD
from . import quantization_hooks as quantization

__all__ = ["DDPCommHookType", "debugging", "default", "optimizer_overlap", "powerSGD", "quantization", "register_ddp_comm_hook"]


class _Registered:
    """What registers one hook with a model: ``(model, state)``."""

    def __init__(self, hook: Any, rank: int | None = None) -> None:
        self.hook, self.rank = hook, rank

    def __call__(self, model: Any, state: Any) -> None:
        if self.rank is not None:
            state = powerSGD.PowerSGDState(process_group=state, matrix_approximation_rank=self.rank, start_powerSGD_iter=1000)
        model.register_comm_hook(state, self.hook)


class DDPCommHookType(Enum):
    """The hooks by name. ``DDPCommHookType.ALLREDUCE.value(model=model, state=process_group)`` registers one."""

    ALLREDUCE = _Registered(default.allreduce_hook)
    FP16_COMPRESS = _Registered(default.fp16_compress_hook)
    BF16_COMPRESS = _Registered(default.bf16_compress_hook)
    QUANTIZE_PER_TENSOR = _Registered(quantization.quantization_pertensor_hook)
    QUANTIZE_PER_CHANNEL = _Registered(quantization.quantization_perchannel_hook)
    POWER_SGD = _Registered(powerSGD.powerSGD_hook, 1)
    POWER_SGD_RANK2 = _Registered(powerSGD.powerSGD_hook, 2)
    BATCHED_POWER_SGD = _Registered(powerSGD.batched_powerSGD_hook, 1)
    BATCHED_POWER_SGD_RANK2 = _Registered(powerSGD.batched_powerSGD_hook, 2)
    NOOP = _Registered(debugging.noop_hook)


def register_ddp_comm_hook(comm_hook_type: DDPCommHookType, model: Any, state: Any = None) -> None:
    """Register the hook of this name; ``state`` is the process group, the whole world if None."""
    comm_hook_type.value(model=model, state=state)


def __getattr__(name: str) -> Any:
    module = None if name.startswith("__") else _names.found(f"algorithms.ddp_comm_hooks.{name}")
    if module is None:
        raise AttributeError(f"module 'torch.distributed.algorithms.ddp_comm_hooks' has no attribute '{name}'")
    return module
