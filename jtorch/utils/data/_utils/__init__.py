"""The parts behind the DataLoader: collation, fetching, worker processes and their transport."""

from __future__ import annotations

MP_STATUS_CHECK_INTERVAL = 5.0
"""Seconds between looks at whether the other process is still there."""

from . import collate, fetch, pin_memory, worker  # noqa: E402

__all__ = ["MP_STATUS_CHECK_INTERVAL", "collate", "fetch", "pin_memory", "worker"]
