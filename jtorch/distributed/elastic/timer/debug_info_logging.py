"""What is told of timers whose time is over."""

from __future__ import annotations

from jtorch.distributed.elastic.utils.logging import get_logger

__all__ = ["log_debug_info_for_expired_timers"]
_log = get_logger(__name__)


def log_debug_info_for_expired_timers(run_id: str, expired_timers: dict[int, list[str]]) -> None:
    """Tell of them, where the level is INFO."""
    if expired_timers:
        _log.info("Timers expired for run:[%s] [%s].", run_id, expired_timers)
