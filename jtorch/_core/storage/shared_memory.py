"""Memory that several arrays, storages or processes look at: anonymous mappings, and regions of which storages are parts."""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from typing import Any

import numpy as np

from jtorch._core.storage.bare_tensor import Storage

__all__ = ["CAN_SHARE", "Mapping", "Region", "mapping_under"]

CAN_SHARE = hasattr(os, "memfd_create")


_libc: Any = None
if CAN_SHARE:
    _libc = ctypes.CDLL(None, use_errno=True)
    _libc.mmap.restype = ctypes.c_void_p
    _libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    _libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Mapping:
    """Memory of an anonymous file as numpy sees it, unmapped with the last array on it.

    Python's own mmap objects keep the descriptor open, so that a program that keeps its batches would run out of descriptors.
    """

    __slots__ = ("__array_interface__", "__weakref__", "address", "handle", "size")

    def __init__(self, handle: int, size: int) -> None:
        self.handle, self.size = -1, size
        flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
        self.address = _libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, handle, 0)
        if self.address in (None, ctypes.c_void_p(-1).value):
            self.address = None
            raise OSError(ctypes.get_errno(), "mmap failed")
        self.__array_interface__ = {"shape": (size,), "typestr": "|u1", "data": (self.address, False), "version": 3}

    @classmethod
    def new(cls, size: int) -> Mapping:
        """Fresh memory, with its descriptor."""
        handle = os.memfd_create("jtorch", os.MFD_CLOEXEC)
        try:
            os.ftruncate(handle, size)
            mapping = cls(handle, size)
        except BaseException:
            os.close(handle)
            raise
        mapping.handle = handle
        return mapping

    def __del__(self, unmap: Any = _libc and _libc.munmap, close: Any = os.close) -> None:
        # Both kept as defaults: what modules have is gone already when the interpreter ends.
        if self.address is not None:
            unmap(self.address, self.size)
        if self.handle >= 0:
            close(self.handle)


def mapping_under(array: np.ndarray) -> Mapping | None:
    """The shared mapping that an array's memory is in, if it is in one."""
    owner: Any = array
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return owner if isinstance(owner, Mapping) else None


class Region:
    """Bytes of which several storages are parts. ``size`` is the length that the storage that made it is said to have.

    A part whose bytes no other part has is the only one who can write them, unless the memory was given away (``wild``): an address, an array of numpy.
    """

    __slots__ = ("bytes", "size", "wild", "filename", "of_file", "_owner", "_parts")

    def __init__(self, memory: np.ndarray, wild: bool = False, filename: str | None = None, of_file: bool = False) -> None:
        self.bytes, self.size, self.wild, self.filename, self.of_file = memory, memory.nbytes, wild, filename, of_file
        self._owner: weakref.ref[Storage] | None = None
        self._parts: list[tuple[int, int, weakref.ref[Storage]]] = []

    def add(self, part: Storage, start: int, stop: int) -> None:
        """A storage on these bytes."""
        self._parts.append((start, stop, weakref.ref(part)))
        self._owner = self._owner or self._parts[0][2]

    @property
    def owner(self) -> Storage | None:
        """The storage that was added first, which all the bytes belong to, if it is still there."""
        return self._owner() if self._owner is not None else None

    def start_of(self, part: Storage) -> int:
        """Where a part begins."""
        return next(start for start, _, ref in self._parts if ref() is part)

    def alone(self, part: Storage) -> bool:
        """Whether nobody but this part can write its bytes."""
        return not self.wild and not self.overlapped(part)

    def overlapped(self, part: Storage) -> bool:
        """Whether another part has some of the same bytes."""
        self._parts = [entry for entry in self._parts if entry[2]() is not None]
        own = [(start, stop) for start, stop, ref in self._parts if ref() is part]
        return any(ref() is not part and start < end and begin < stop for start, stop, ref in self._parts for begin, end in own)
