"""``torch.profiler.itt``: ranges with names for Intel's tools, by ``jax.profiler``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

__all__ = ["is_available", "range_push", "range_pop", "mark", "range"]

_open: list[Any] = []


def is_available() -> bool:
    """True: ranges go into traces of ``jax.profiler``."""
    return True


def range_push(msg: str) -> int:
    """Begin a range; its depth."""
    made = jax.profiler.TraceAnnotation(msg)
    made.__enter__()
    _open.append(made)
    return len(_open) - 1


def range_pop() -> int:
    """End the innermost range; its depth."""
    if _open:
        _open.pop().__exit__(None, None, None)
    return len(_open)


def mark(msg: str) -> None:
    """A range of no length."""
    with jax.profiler.TraceAnnotation(msg):
        pass


@contextlib.contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """A range around what is inside."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()
