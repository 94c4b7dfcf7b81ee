"""``torch.profiler``. Source: https://docs.pytorch.org/docs/stable/profiler.html"""

from __future__ import annotations

from jtorch.autograd.profiler import KinetoStepTracker as KinetoStepTracker, kineto_available as kineto_available, record_function

from . import itt as itt, profiler as profiler
from .profiler import (
    DeviceType,
    ExecutionTraceObserver,
    ProfilerAction,
    ProfilerActivity,
    _KinetoProfile as _KinetoProfile,
    profile,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

__all__ = [
    "profile", "schedule", "supported_activities", "tensorboard_trace_handler", "ProfilerAction", "ProfilerActivity", "kineto_available", "DeviceType",
    "record_function", "ExecutionTraceObserver",
]  # fmt: skip
