"""Learning rate schedules: objects that set ``lr`` in an optimizer's parameter groups, a step at a time."""

from __future__ import annotations

from ._base import EPOCH_DEPRECATION_WARNING, LRScheduler, _LRScheduler
from ._closed import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from ._composed import ChainedScheduler, SequentialLR
from ._cyclic import CyclicLR, OneCycleLR
from ._plateau import ReduceLROnPlateau

__all__ = [
    "LambdaLR", "MultiplicativeLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "SequentialLR",
    "CosineAnnealingLR", "ChainedScheduler", "ReduceLROnPlateau", "CyclicLR", "CosineAnnealingWarmRestarts", "OneCycleLR",
    "PolynomialLR", "LRScheduler",
]  # fmt: skip

_also = (EPOCH_DEPRECATION_WARNING, _LRScheduler)

for _name in __all__:
    globals()[_name].__module__ = __name__
