"""A pool of processes that sends tensors as :mod:`torch.multiprocessing` does."""

from __future__ import annotations

import gc
import multiprocessing.pool
from typing import Any

from .queue import SimpleQueue

__all__ = ["Pool", "clean_worker"]


def clean_worker(*args: Any, **kwargs: Any) -> None:
    """A process of the pool, which at its end frees what it has."""
    multiprocessing.pool.worker(*args, **kwargs)  # type: ignore[attr-defined]
    gc.collect()


class Pool(multiprocessing.pool.Pool):
    """As multiprocessing's."""

    def _setup_queues(self) -> None:
        context = self._ctx  # type: ignore[attr-defined]
        self._inqueue, self._outqueue = SimpleQueue(ctx=context), SimpleQueue(ctx=context)
        self._quick_put, self._quick_get = self._inqueue._writer.send, self._outqueue._reader.recv
