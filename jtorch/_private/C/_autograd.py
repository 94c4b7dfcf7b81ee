"""``torch._C._autograd``."""

from __future__ import annotations

import enum
from typing import Any

from jtorch._core.graph import saved_tensors
from jtorch._core.graph.saved_tensors import SavedTensor as SavedTensor

__all__ = ["DeviceType", "SavedTensor", "_saved_tensors_hooks_is_enabled", "_top_saved_tensors_default_hooks"]


class DeviceType(enum.Enum):
    """Kinds of devices."""

    CPU, CUDA, MKLDNN, OPENGL, OPENCL, IDEEP, HIP, FPGA, MAIA, XLA, Vulkan, Metal, XPU, MPS, Meta, HPU, VE, Lazy, IPU, MTIA, PrivateUse1 = range(21)


def _top_saved_tensors_default_hooks(ignore_is_tracing: bool) -> Any:
    """The innermost pair of ``saved_tensors_hooks``, None where there is none."""
    return next(iter(reversed(saved_tensors.settings.stack)), None)


def _saved_tensors_hooks_is_enabled() -> bool:
    """Whether ``saved_tensors_hooks`` may be switched on."""
    return saved_tensors.settings.disabled is None
