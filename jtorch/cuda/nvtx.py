"""``torch.cuda.nvtx``: ranges with names in a profile, by ``jax.profiler``. RuntimeError without a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

from jtorch._public import torch

__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]

_open: list[Any] = []
_started: dict[int, Any] = {}


def _need() -> None:
    if not torch.cuda.is_available():  # type: ignore[attr-defined]
        raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")


def _begin(msg: str) -> Any:
    _need()
    made = jax.profiler.TraceAnnotation(msg)
    made.__enter__()
    return made


def range_push(msg: str) -> int:
    """Open a range inside those that are open; how many were."""
    _open.append(_begin(msg))
    return len(_open) - 1


def range_pop() -> int:
    """Close the innermost range; how many are left, less one."""
    _need()
    if _open:
        _open.pop().__exit__(None, None, None)
    return len(_open) - 1


def range_start(msg: str) -> int:
    """Open a range that closes in any order; its number."""
    made = _begin(msg)
    _started[id(made)] = made
    return id(made)


def range_end(range_id: int) -> None:
    """Close a range of :func:`range_start`."""
    _need()
    _started.pop(range_id).__exit__(None, None, None)


def mark(msg: str) -> None:
    """A moment with a name."""
    _begin(msg).__exit__(None, None, None)


@contextlib.contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:  # noqa: A001 - torch's name
    """Inside, a range of this name is open; ``msg`` is formatted with the other arguments."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()
