"""Steps that all ranks take together. What goes wrong on one is raised on all, so nobody waits for a rank that has given up."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from jtorch.distributed import _groups
from jtorch.distributed._objects import all_gather_object

from .api import CheckpointException

__all__ = ["Ranks"]


class Ranks:
    """The ranks that write or read together; one where there is no group."""

    def __init__(self, group: Any, no_dist: bool) -> None:
        self.group = None if no_dist or not _groups.is_initialized() else _groups.resolve(group)
        self.rank = self.group.rank() if self.group is not None else 0
        self.size = self.group.size() if self.group is not None else 1
        self.first = self.rank == 0

    def _shared(self, name: str, mine: Any) -> list[Any]:
        every: list[Any] = [mine]
        if self.size > 1:
            every = [None] * self.size
            all_gather_object(every, mine, self.group)
        failures = {i: (x[1], x[2]) for i, x in enumerate(every) if x[0] == "error"}
        if failures:
            raise CheckpointException(name, failures) from (failures[self.rank][0] if self.rank in failures else None)
        return [x[1] for x in every]

    def each(self, name: str, fn: Callable[[], Any]) -> list[Any]:
        """What ``fn`` gives on every rank."""
        return self._shared(name, _tried(fn))

    def of_first(self, name: str, fn: Callable[[], Any]) -> Any:
        """What ``fn`` gives on the first rank."""
        return self._shared(name, _tried(fn) if self.first else ("fine", None, None))[0]


def _tried(fn: Callable[[], Any]) -> tuple[str, Any, Any]:
    try:
        return "fine", fn(), None
    except Exception as error:
        return "error", error, traceback.extract_tb(error.__traceback__)
