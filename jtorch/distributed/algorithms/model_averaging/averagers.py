"""What averages a model over processes, and when."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from jtorch.distributed._groups import ProcessGroup, resolve

from . import utils

__all__ = ["ModelAverager", "PeriodicModelAverager"]


def warn_of_period_one(what: str) -> None:
    """Averaging at each step is what ``DistributedDataParallel`` does with less."""
    warnings.warn(
        f"When {what} is 1, no need to use model averaging because the communication cost of all-reducing parameters will be no less than the cost of all-reducing gradients "
        "by DistributedDataParallel in the backward pass. Therefore, only DistributedDataParallel should be used for this case.",
        stacklevel=3,
    )


class ModelAverager(ABC):
    """The base: a process group (None: the world) and the number of the step."""

    def __init__(self, process_group: ProcessGroup | None = None) -> None:
        self.process_group: ProcessGroup = resolve(process_group)
        self.step = 0

    @abstractmethod
    def average_parameters(self, params: Iterable[Any]) -> None:
        """To be called after each step with the parameters, or an optimizer's groups of them."""
        raise NotImplementedError


class PeriodicModelAverager(ModelAverager):
    """Averages every ``period`` steps from step ``warmup_steps`` on. ValueError for a period below 1 or a negative ``warmup_steps``."""

    def __init__(self, period: int, warmup_steps: int = 0, process_group: ProcessGroup | None = None) -> None:
        super().__init__(process_group)
        if warmup_steps < 0:
            raise ValueError("Arg ``warmup_steps`` must be a non-negative number.")
        self.warmup_steps = warmup_steps
        if period < 1:
            raise ValueError("Arg ``period`` must be a positive value.")
        if period == 1:
            warn_of_period_one("period")
        self.period = period

    def average_parameters(self, params: Iterable[Any]) -> None:
        """Average, if it is time."""
        if self.step >= self.warmup_steps and (self.step - self.warmup_steps) % self.period == 0:
            utils.average_parameters_or_parameter_groups(params, self.process_group)
        self.step += 1
