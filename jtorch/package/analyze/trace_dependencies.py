"""Which modules a call uses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

__all__ = ["trace_dependencies"]


def trace_dependencies(callable: Callable[..., Any], inputs: Iterable[tuple[Any, ...]]) -> list[str]:
    """The names of the modules whose functions are called by ``callable(*args)`` for each of the inputs."""
    used: set[str] = set()

    def look(frame: FrameType, event: str, arg: Any) -> None:
        if event != "call":
            return
        name, found = frame.f_code.co_name, None
        if name in frame.f_globals:
            found = frame.f_globals[name]
        elif name in frame.f_locals:
            found = frame.f_locals[name]
        elif "self" in frame.f_locals:
            found = getattr(frame.f_locals["self"], name, None)
        module = getattr(found, "__module__", None)
        if module:
            used.add(module)

    try:
        sys.setprofile(look)
        for args in inputs:
            callable(*args)
    finally:
        sys.setprofile(None)
    return list(used)
