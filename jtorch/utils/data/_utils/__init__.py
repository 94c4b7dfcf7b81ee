"""The parts behind the DataLoader: collation, fetching, worker processes and their transport."""

from __future__ import annotations

import atexit

from jtorch._utils import ExceptionWrapper as ExceptionWrapper

from . import collate, fetch, pin_memory, signal_handling as signal_handling, worker
from .channel import MP_STATUS_CHECK_INTERVAL

__all__ = ["MP_STATUS_CHECK_INTERVAL", "collate", "fetch", "pin_memory", "worker"]

HAS_NUMPY = True
python_exit_status = False  # whether the interpreter is going down


def _mark_exit() -> None:
    global python_exit_status
    python_exit_status = True


atexit.register(_mark_exit)
