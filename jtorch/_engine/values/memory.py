"""The C library's memory: how much it has given out (what compiled programs cost is measured by it), giving back what it keeps, and keeping what the next step takes again.

Its own ways are for small objects. A program's room for intermediate results, and each large result, it asks of the system and gives back, so that every step meets the same
pages for the first time: a fault each, of 0.2 to 5 us for 4 KiB (on a virtual machine with the dear ones a step of a small ResNet took 82 ms, and 48 without).
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

from jtorch import _config

__all__ = ["give_back", "in_use", "keep_freed"]

_FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class _Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


@functools.cache
def _libc(name: str) -> Any:
    """A function of glibc, None elsewhere."""
    try:
        found = getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None
    found.restype = _Info if name == "mallinfo2" else ctypes.c_int
    if name == "mallopt":
        found.argtypes = ctypes.c_int, ctypes.c_int
    return found


def in_use() -> int:
    """Bytes that are allocated in this process; 0 where that is not known."""
    look = _libc("mallinfo2")
    if look is None:
        return 0
    info = look()
    return int(info.uordblks + info.hblkhd)


def give_back() -> None:
    """Give the system the pages that nothing is in: freed memory stays with the C library otherwise, torn in pieces by what the compiler left behind."""
    trim = _libc("malloc_trim")
    if trim is not None:
        trim(ctypes.c_size_t(0))


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def keep_freed() -> None:
    """Have the C library keep what is freed, in blocks of up to ``JTORCH_FREE_MB``, and take the next results from it.

    64 MiB: twice what it comes to by itself, with time. Where blocks are larger, what lies between them grows, too (with 1 GiB, a net of 32 layers held 330 MiB
    where 210 do). Each thread keeps its own heap: one for all holds a tenth less, but XLA's compiler, on several threads, waits for it (a third longer). Those heaps are
    pieces of 64 MiB, and the last one goes back to the system as soon as nothing is in it, unless what is free in the one before is less than the pad: a result of
    16 MiB (softmax's gradient of 4096 x 1024) was new pages in every call, 8 ms of 10. The pad is half of a piece: with all of it an LSTM's steps rose to 700 to 1,050 MiB,
    with half to 670 to 710, as with none. Whoever has set up the C library's memory by its own variables
    (``MALLOC_ARENA_MAX=``, ``GLIBC_TUNABLES=``) is left alone, and ``JTORCH_FREE_MB=0`` leaves everything as it is.
    """
    kept = _config.FREE_BYTES
    own = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    setting = _libc("mallopt")
    if setting is None or own or kept <= 0:
        return
    for name, value in ((_TRIM_THRESHOLD, 4 * kept), (_TOP_PAD, kept // 2), (_MMAP_THRESHOLD, kept)):
        setting(name, min(value, (1 << 31) - 1))
