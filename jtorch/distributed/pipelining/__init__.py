"""``torch.distributed.pipelining``: a model in stages, one a process. Source: https://docs.pytorch.org/docs/stable/distributed.pipelining.html"""

from __future__ import annotations

import enum

from jtorch.distributed._names import refusing, refusing_class

from .microbatch import TensorChunkSpec as TensorChunkSpec
from .schedules import (
    Schedule1F1B,
    ScheduleDualPipeV,
    ScheduleGPipe,
    ScheduleInterleaved1F1B,
    ScheduleInterleavedZeroBubble,
    ScheduleLoopedBFS,
    ScheduleZBVZeroBubble,
)
from .stage import PipelineStage

_HERE = "torch.distributed.pipelining"


class SplitPoint(enum.Enum):
    """Where ``pipeline`` cuts a model."""

    BEGINNING = 1
    END = 2


Pipe = refusing_class("Pipe", _HERE)
build_stage, pipe_split, pipeline = (refusing(name, _HERE) for name in ("build_stage", "pipe_split", "pipeline"))

__all__ = [
    "Pipe", "PipelineStage", "Schedule1F1B", "ScheduleDualPipeV", "ScheduleGPipe", "ScheduleInterleaved1F1B", "ScheduleInterleavedZeroBubble", "ScheduleLoopedBFS", "ScheduleZBVZeroBubble",
    "SplitPoint", "build_stage", "pipe_split", "pipeline",
]  # fmt: skip
