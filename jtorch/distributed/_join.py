"""``Join``: processes with different numbers of inputs. Source: https://docs.pytorch.org/docs/stable/distributed.algorithms.join.html"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, NamedTuple

from ._work import agree

__all__ = ["Join", "JoinHook", "Joinable"]


class JoinHook:
    """What a process does for a :class:`Joinable` when it has no more inputs."""

    def main_hook(self) -> None:
        """Called in every turn of the others: takes part in their collectives."""

    def post_hook(self, is_last_joiner: bool) -> None:
        """Called once all have joined."""


class _Config(NamedTuple):
    enable: bool
    throw: bool
    is_first: bool


class Joinable(ABC):
    """Something whose turns have collectives in them."""

    _join_config = _Config(False, False, False)

    @abstractmethod
    def join_hook(self, **kwargs: Any) -> JoinHook:
        """A hook for this context."""

    @property
    @abstractmethod
    def join_device(self) -> Any:
        """Where its collectives' tensors are."""

    @property
    @abstractmethod
    def join_process_group(self) -> Any:
        """The group of its collectives."""


class Join:
    """A context around a loop. Each joinable calls :meth:`notify_join_context` at the begin of its turn."""

    def __init__(self, joinables: list[Joinable], enable: bool = True, throw_on_early_termination: bool = False, **kwargs: Any) -> None:
        if not joinables:
            raise ValueError("The join context manager requires at least one joinable")
        groups = {id(j.join_process_group): j.join_process_group for j in joinables}
        if len(groups) > 1:
            raise ValueError("Using join context manager with multiple process groups")
        self._joinables, self._enable, self._throw = joinables, enable, throw_on_early_termination
        self._hooks = [j.join_hook(**kwargs) for j in joinables]
        self._group = next(iter(groups.values()))

    def __enter__(self) -> Join:
        if self._enable:
            for i, j in enumerate(self._joinables):
                j._join_config = _Config(True, self._throw, i == 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._enable:
            return
        try:
            if error is None:
                self._shadow()
        finally:
            for j in self._joinables:
                j._join_config = _Config(False, False, False)

    def _shadow(self) -> None:
        """Take part in the others' turns until all are done."""
        last, turns = True, 0
        while True:
            going_on = agree(self._group, "join: turn", b"0")
            if b"1" not in going_on:
                break
            if self._throw:
                raise RuntimeError(f"Rank {self._group.rank()} exhausted all inputs.")
            last = False
            turns += 1
            if turns == 1000:
                warnings.warn(f"Detected uneven input skew of greater than 1000. This means that rank {self._group.rank()} has at least 1000 fewer inputs than other currently-active ranks. This level of skew could lead to performance degradation during training.")
            for j in self._joinables:
                self._authority(j, going_on)
            for hook in self._hooks:
                hook.main_hook()
        for hook in self._hooks:
            hook.post_hook(last)

    @staticmethod
    def _authority(joinable: Any, going_on: list[bytes]) -> None:
        joinable._authoritative = max(i for i, x in enumerate(going_on) if x == b"1")

    @staticmethod
    def notify_join_context(joinable: Joinable) -> Any:
        """This process has another turn. RuntimeError if the context is to end everywhere when one process is done."""
        config = joinable._join_config
        if not config.enable or not config.is_first:
            return None
        going_on = agree(joinable.join_process_group, "join: turn", b"1")
        if b"0" in going_on and config.throw:
            raise RuntimeError("Detected at least one rank that exhausted inputs. Throwing across all ranks.")
        Join._authority(joinable, going_on)
        return None
