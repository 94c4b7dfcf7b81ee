"""The parts behind the DataLoader: collation, fetching, worker processes and their transport."""

from __future__ import annotations

from . import collate, fetch, pin_memory, worker
from .channel import MP_STATUS_CHECK_INTERVAL

__all__ = ["MP_STATUS_CHECK_INTERVAL", "collate", "fetch", "pin_memory", "worker"]
