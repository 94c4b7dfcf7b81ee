"""Processes that take too long for a piece of work are ended."""

from __future__ import annotations

from .api import TimerClient, TimerRequest, TimerServer, configure, expires
from .local_timer import LocalTimerClient, LocalTimerServer

__all__ = ["LocalTimerClient", "LocalTimerServer", "TimerClient", "TimerRequest", "TimerServer", "configure", "expires"]
