"""``torch.multiprocessing.reductions``: how tensors travel between processes. They pickle themselves; :class:`StorageWeakRef` knows when memory is gone."""

from __future__ import annotations

import weakref
from multiprocessing.reduction import *  # noqa: F403
from multiprocessing.reduction import ForkingPickler as ForkingPickler
from typing import Any

from jtorch._core.tensor import process_sharing

__all__ = ["StorageWeakRef", "init_reductions", "reduce_storage", "reduce_tensor"]


class StorageWeakRef:
    """The memory of a storage, without keeping it. Two of the same memory are equal."""

    def __init__(self, storage: Any) -> None:
        memory = getattr(storage, "_untyped_storage", storage)._s
        self.cdata, self._ref = id(memory), weakref.ref(memory)

    def expired(self) -> bool:
        """Whether nobody holds the memory any more."""
        return self._ref() is None

    def __hash__(self) -> int:
        return self.cdata

    def __eq__(self, other: object) -> bool:
        return self is other or isinstance(other, StorageWeakRef) and self.cdata == other.cdata


def reduce_tensor(tensor: Any) -> Any:
    """What pickles a tensor for another process: (function, arguments, ...)."""
    return process_sharing._reduce(tensor)


def reduce_storage(storage: Any) -> Any:
    """As :func:`reduce_tensor`, of a storage."""
    return storage.__reduce_ex__(2)[:2]


def init_reductions() -> None:
    """Nothing to do: tensors pickle themselves."""
