"""The lines of the user's program that led here."""

from __future__ import annotations

import linecache
import os
import sys
from typing import Any

__all__ = ["lines", "shown"]

_HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def lines(most: int) -> list[tuple[str, int, str]]:
    """File, line number and function of the frames that are not jtorch's own, innermost first, ``most`` of them at most."""
    found: list[tuple[str, int, str]] = []
    frame: Any = sys._getframe(1)
    while frame is not None and len(found) < most:
        code = frame.f_code
        path = code.co_filename
        if not path.startswith(_HERE) and not path.startswith("<"):
            found.append((path, frame.f_lineno, code.co_name))
        frame = frame.f_back
    return found


def shown(found: list[tuple[str, int, str]]) -> str:
    """These lines as a traceback shows them, the innermost last."""
    out = ""
    for path, number, name in reversed(found):
        text = linecache.getline(path, number).strip()
        out += f'  File "{path}", line {number}, in {name}\n' + (f"    {text}\n" if text else "")
    return out
