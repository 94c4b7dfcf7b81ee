"""Tracebacks that show the program's lines and not ours: what ``python -m jtorch`` and notebooks print of an error that nobody caught.

``JTORCH_TRACEBACK=full`` shows every frame. Frames are hidden from what is printed, not from programs: inside ``except`` the traceback is whole.
"""

from __future__ import annotations

import os
from types import TracebackType

import jax

from jtorch._errors import PACKAGE

__all__ = ["shorten"]

_OURS = (PACKAGE, os.path.dirname(jax.__file__) + os.sep, "<jtorch ")


def shorten(error: BaseException, seen: set[int] | None = None) -> bool:
    """Take jtorch's and jax's frames out of the traceback of ``error`` and of the errors behind it; whether there were any.

    A traceback that has no other frame stays as it is.
    """
    if os.environ.get("JTORCH_TRACEBACK", "") == "full":
        return False
    seen = set() if seen is None else seen
    if id(error) in seen:
        return False
    seen.add(id(error))
    kept = _kept(error.__traceback__)
    hidden = kept is not None and _length(kept) < _length(error.__traceback__)
    if hidden:
        error.__traceback__ = kept
        notes = getattr(error, "__notes__", None)
        if notes:  # what jax adds about the frames that it left out itself
            notes[:] = [note for note in notes if "JAX_TRACEBACK_FILTERING" not in note]
    for behind in (error.__cause__, error.__context__):
        if behind is not None:
            hidden |= shorten(behind, seen)
    return hidden


def _kept(trace: TracebackType | None) -> TracebackType | None:
    frames = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            frames.append(trace)
        trace = trace.tb_next
    out: TracebackType | None = None
    for t in reversed(frames):
        out = TracebackType(out, t.tb_frame, t.tb_lasti, t.tb_lineno)
    return out


def _length(trace: TracebackType | None) -> int:
    n = 0
    while trace is not None:
        trace, n = trace.tb_next, n + 1
    return n
