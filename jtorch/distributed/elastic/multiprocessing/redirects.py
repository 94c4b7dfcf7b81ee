"""The output of a process, of its libraries and its children, into a file."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

__all__ = ["get_libc", "redirect"]

_STREAMS = {"stdout", "stderr"}


def get_libc() -> Any:
    """The C library; None on Windows."""
    return None if sys.platform == "win32" else ctypes.CDLL(None)


@contextmanager
def redirect(std: str, to_file: str) -> Iterator[None]:
    """Within, "stdout" or "stderr" goes to this file, which is written anew. ValueError for another stream."""
    if std not in _STREAMS:
        raise ValueError(f"unknown standard stream <{std}>, must be one of {_STREAMS}")
    stream = getattr(sys, std)
    number, libc = stream.fileno(), get_libc()

    def point(at: int) -> None:
        if libc is not None:
            libc.fflush(None)
        stream.flush()
        os.dup2(at, number)

    before = os.dup(number)
    try:
        with open(to_file, "w+b") as file:
            point(file.fileno())
            try:
                yield
            finally:
                point(before)
    finally:
        os.close(before)


redirect_stdout = partial(redirect, "stdout")
redirect_stderr = partial(redirect, "stderr")
