"""``torch.autograd``: gradients of recorded operators. Source: https://docs.pytorch.org/docs/stable/autograd.html"""

from __future__ import annotations

from jtorch._core.graph.grad_modes import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)

from jtorch._engine.values.thread_state import state

from . import forward_ad, functional, grad_mode, graph, profiler, variable
from ._passes import backward, grad
from ._recording import ACTIVE
from .anomaly import detect_anomaly, set_detect_anomaly
from .function import Function, NestedIOFunction
from .grad_mode import enforce_grad_layout_policy, set_multithreading_enabled
from .gradcheck import gradcheck, gradgradcheck
from .profiler import kineto_available as kineto_available
from jtorch._private.C._autograd import DeviceType as DeviceType
from jtorch._private.C._autograd import SavedTensor as SavedTensor
from .variable import Variable

__all__ = [
    "Function", "backward", "grad", "Variable", "no_grad", "enable_grad", "set_grad_enabled", "inference_mode", "detect_anomaly",
    "set_detect_anomaly", "gradcheck", "gradgradcheck", "functional", "grad_mode", "graph", "forward_ad", "profiler", "set_multithreading_enabled", "variable",
    "NestedIOFunction", "enforce_grad_layout_policy",
]  # fmt: skip


def _profiler_enabled() -> bool:
    """Whether a profiler is recording."""
    return bool(ACTIVE)


def _is_checkpoint_valid() -> bool:
    """Whether a checkpoint may run its second pass: not where gradients of named inputs are asked for."""
    running = state.backward
    return running is None or running.allowed is None
