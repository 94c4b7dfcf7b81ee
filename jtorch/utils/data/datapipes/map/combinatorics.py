"""Pipes that change the order of pipes that are indexed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from jtorch._public import torch

from ..datapipe import IterDataPipe, MapDataPipe

__all__ = ["ShufflerIterDataPipe"]


class ShufflerIterDataPipe(IterDataPipe):
    """The elements at ``indices`` (all of them without) in another order, which follows from torch's seed or :meth:`set_seed`."""

    def __init__(self, datapipe: Any, *, indices: list[Any] | None = None) -> None:
        self.datapipe, self.indices = datapipe, list(range(len(datapipe))) if indices is None else indices
        self._enabled = True
        self._seed: int | None = None

    def set_shuffle(self, shuffle: bool = True) -> ShufflerIterDataPipe:
        """Switch it on or off."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed: int) -> ShufflerIterDataPipe:
        """What the next turn's order follows from."""
        self._seed = seed
        return self

    def __iter__(self) -> Iterator[Any]:
        order = self.indices
        if self._enabled:
            seed = int(torch.empty((), dtype=torch.int64).random_().item()) if self._seed is None else self._seed
            self._seed = None
            order = random.Random(seed).sample(self.indices, len(self.indices))[::-1]
        for at in order:
            yield self.datapipe[at]

    def __len__(self) -> int:
        return len(self.datapipe)


MapDataPipe.register_function("shuffle", ShufflerIterDataPipe)
