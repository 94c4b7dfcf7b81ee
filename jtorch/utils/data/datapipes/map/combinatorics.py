"""Pipes that change the order of pipes that are indexed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._forms import Seeded
from ..datapipe import MapDataPipe

__all__ = ["ShufflerIterDataPipe"]


class ShufflerIterDataPipe(Seeded):
    """The elements at ``indices`` (all of them without) in another order, which follows from torch's seed or :meth:`set_seed`."""

    def __init__(self, datapipe: Any, *, indices: list[Any] | None = None) -> None:
        self.datapipe, self.indices = datapipe, list(range(len(datapipe))) if indices is None else indices

    def __iter__(self) -> Iterator[Any]:
        for at in self._order().sample(self.indices, len(self.indices))[::-1] if self._enabled else self.indices:
            yield self.datapipe[at]

    def __len__(self) -> int:
        return len(self.datapipe)


MapDataPipe.register_function("shuffle", ShufflerIterDataPipe)
