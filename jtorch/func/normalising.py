"""``torch.func``'s helpers beside the transformations: norms that keep no statistics, and what a transformation made of a tensor."""

from __future__ import annotations

from typing import Any

from jtorch._core.backward.levels import leave_lanes
from jtorch._core.storage.view_steps import read
from jtorch._engine.values.lanes import innermost
from jtorch._public import torch
from jtorch.utils._pytree import tree_map

__all__ = ["debug_unwrap", "replace_all_batch_norm_modules_"]


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Every BatchNorm in ``root`` loses its running statistics and normalises by the batch. In place; returns ``root``."""
    for module in root.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.track_running_stats:
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def debug_unwrap(obj: Any, *, recurse: bool = True) -> Any:
    """Tensors as they are outside the ``vmap`` that is under way (all of them with ``recurse``): with all lanes, along a first dim. For debugging alone."""

    def one(t: Any) -> Any:
        while isinstance(t, torch.Tensor) and (level := innermost([read(t)])) is not None:
            (t,) = leave_lanes([t.detach()], level, level.since)
            if not recurse:
                break
        return t

    return tree_map(one, obj)
