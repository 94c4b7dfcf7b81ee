"""torch.multiprocessing: Python's multiprocessing, and :func:`spawn`. Tensors travel between processes by value.

A forked child computes on the CPU with numpy (see ``jtorch/_engine/host/host_executor.py``); a spawned one has XLA of its own.
"""

from __future__ import annotations

import multiprocessing as _python
import threading
from multiprocessing import *  # noqa: F403
from multiprocessing import context as context
from pathlib import Path
from typing import Any

from . import reductions as reductions
from .reductions import init_reductions
from .spawn import ProcessContext, ProcessException, ProcessExitedException, ProcessRaisedException, SpawnContext, spawn, start_processes

_strategy = "file_descriptor"


def get_all_sharing_strategies() -> set[str]:
    """The names that :func:`set_sharing_strategy` takes."""
    return {"file_descriptor", "file_system"}


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted and without effect: memory of large batches is always passed as a descriptor. AssertionError for unknown names."""
    global _strategy
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"unknown sharing strategy {new_strategy!r}")
    _strategy = new_strategy


def get_sharing_strategy() -> str:
    """The name that was set."""
    return _strategy


def _set_thread_name(name: str) -> None:
    """Name this thread, as the system shows it."""
    try:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name[:15])
    except OSError:  # another system
        threading.current_thread().name = name


def _get_thread_name() -> str:
    """The name of this thread, as the system shows it."""
    try:
        return Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text().rstrip("\n")
    except OSError:
        return threading.current_thread().name


def __getattr__(name: str) -> Any:
    return getattr(_python, name)


__all__ = [
    *_python.__all__, "ProcessContext", "ProcessException", "ProcessExitedException", "ProcessRaisedException", "SpawnContext",
    "get_all_sharing_strategies", "get_sharing_strategy", "init_reductions", "reductions", "set_sharing_strategy", "spawn", "start_processes",
]  # fmt: skip
