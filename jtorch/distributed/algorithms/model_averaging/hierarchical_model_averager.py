"""Averaging in small groups often, and in larger ones more rarely."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from jtorch.distributed._groups import ProcessGroup, get_world_size, new_subgroups

from . import averagers, utils

__all__ = ["HierarchicalModelAverager"]
_log = logging.getLogger(__name__)


class HierarchicalModelAverager(averagers.ModelAverager):
    """``period_group_size_dict``: groups of so many processes average every so many steps, from step ``warmup_steps`` on; where several would, the one of the largest period does.

    ValueError for an empty dict, a period below 1, a last size that is not that of ``process_group``, or negative ``warmup_steps``.
    """

    def __init__(self, period_group_size_dict: dict[int, int] | None = None, warmup_steps: int = 0, process_group: ProcessGroup | None = None) -> None:
        super().__init__(process_group)
        if not period_group_size_dict:
            raise ValueError("Arg ``period_group_size_dict`` must not be empty.")
        self._periods = list(period_group_size_dict)
        if self._periods[0] <= 0:
            raise ValueError("The minimum period in arg ``period_group_size_dict`` must be a positive value.")
        if self._periods[-1] == 1:
            averagers.warn_of_period_one("the maximum period in arg ``period_group_size_dict``")
        whole = get_world_size(self.process_group)
        last = list(period_group_size_dict.values())[-1]
        if last != whole:
            raise ValueError(f"The last value in arg ``period_group_size_dict`` {last} must be equal to the size of arg ``process_group`` {whole}.")
        self.period_process_group_dict: OrderedDict[int, Any] = OrderedDict()
        _log.info("Model averaging hierarchy:")
        for period, size in period_group_size_dict.items():
            _log.info("\tEach group that has %s processes average parameters every %s iterations, if no higher-level averaging.", size, period)
            self.period_process_group_dict[period] = self.process_group if size == whole else new_subgroups(group_size=size, group=self.process_group)[0]
        if warmup_steps < 0:
            raise ValueError("Arg ``warmup_steps`` must be a non-negative number.")
        self.warmup_steps = warmup_steps

    def _find_process_group(self) -> Any:
        return next((self.period_process_group_dict[p] for p in reversed(self._periods) if self.step % p == 0), None)

    def average_parameters(self, params: Iterable[Any]) -> None:
        """Average in the group whose time it is."""
        if self.step >= self.warmup_steps and (group := self._find_process_group()) is not None:
            utils.average_parameters_or_parameter_groups(params, group)
        self.step += 1
