"""``torch.distributed.optim``: optimizers whose state is spread over processes, and optimizers for loops of several processes."""

from __future__ import annotations

import importlib
from typing import Any

from jtorch._install import loaded_late
from jtorch.distributed import _names

from .zero_redundancy_optimizer import ZeroRedundancyOptimizer

__all__ = ["PostLocalSGDOptimizer", "ZeroRedundancyOptimizer", "as_functional_optim"]

_LATER = {
    "PostLocalSGDOptimizer": "post_localSGD_optimizer", "as_functional_optim": "utils", "_apply_optimizer_in_backward": "apply_optimizer_in_backward",
    "_get_in_backward_optimizers": "apply_optimizer_in_backward",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LATER:
        found = globals()[name] = getattr(importlib.import_module(f"jtorch.distributed.optim.{_LATER[name]}"), name)
        loaded_late()
        return found
    if name == "DistributedOptimizer":
        return _names._one(name, "torch.distributed.optim")[1]
    kinds = name.startswith("_Functional") and importlib.import_module("jtorch.distributed.optim._functional").FUNCTIONAL
    for kind in kinds.values() if kinds else ():
        if kind.__name__ == name:
            return kind
    raise AttributeError(f"module 'torch.distributed.optim' has no attribute '{name}'")
