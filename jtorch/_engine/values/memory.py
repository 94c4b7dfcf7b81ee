"""How much memory the C library has given out, and giving back what it keeps: what compiled programs cost is measured by it."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

__all__ = ["give_back", "in_use"]

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
