"""``torch.utils.mobile_optimizer``: rewrites TorchScript for phones. There is no TorchScript here."""

from __future__ import annotations

from enum import Enum
from typing import Any

from jtorch._errors import not_implemented

__all__ = ["LintCode", "MobileOptimizerType", "generate_mobile_module_lints", "optimize_for_mobile"]


class LintCode(Enum):
    """What a module may be warned about."""

    BUNDLED_INPUT = 1
    REQUIRES_GRAD = 2
    DROPOUT = 3
    BATCHNORM = 4


class MobileOptimizerType(Enum):
    """What is rewritten."""

    CONV_BN_FUSION, INSERT_FOLD_PREPACK_OPS, REMOVE_DROPOUT, FUSE_ADD_RELU, HOIST_CONV_PACKED_PARAMS, CONV_1D_TO_2D, VULKAN_AUTOMATIC_GPU_TRANSFER = range(7)


def optimize_for_mobile(script_module: Any, optimization_blocklist: Any = None, preserved_methods: Any = None, backend: str = "CPU") -> Any:
    """A script module for phones."""
    not_implemented("torch.utils.mobile_optimizer.optimize_for_mobile", "export the model with jax.export")


def generate_mobile_module_lints(script_module: Any) -> Any:
    """What to mind on phones."""
    not_implemented("torch.utils.mobile_optimizer.generate_mobile_module_lints", "there is no TorchScript")
