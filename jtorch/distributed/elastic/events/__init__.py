"""What happens in a run, told to loggers."""

from __future__ import annotations

import logging
import os
import socket
import sys
import traceback

from .api import Event, EventMetadataValue, EventSource, NodeState, RdzvEvent
from .handlers import get_logging_handler

__all__ = ["Event", "EventMetadataValue", "EventSource", "NodeState", "RdzvEvent", "construct_and_record_rdzv_event", "get_logging_handler", "record", "record_rdzv_event"]

_loggers: dict[str, logging.Logger] = {}


def _logger(destination: str) -> logging.Logger:
    if destination not in _loggers:
        made = logging.getLogger(f"torchelastic-events-{destination}")
        made.setLevel(os.environ.get("LOGLEVEL", "INFO"))
        made.propagate = False
        made.addHandler(get_logging_handler(destination))
        _loggers[destination] = made
    return _loggers[destination]


def record(event: Event, destination: str = "null") -> None:
    """Tell an event: "console", or "null" for nobody."""
    _logger(destination).info(event.serialize())


def record_rdzv_event(event: RdzvEvent) -> None:
    """Tell an event of a rendezvous."""
    _logger("dynamic_rendezvous").info(event.serialize())


def construct_and_record_rdzv_event(
    run_id: str, message: str, node_state: NodeState, name: str = "", hostname: str = "", pid: int | None = None, master_endpoint: str = "", local_id: int | None = None, rank: int | None = None
) -> None:
    """Tell an event of a rendezvous, if anybody listens."""
    if isinstance(get_logging_handler("dynamic_rendezvous"), logging.NullHandler):
        return
    caller = sys._getframe(1).f_code
    record_rdzv_event(RdzvEvent(
        name=f"{os.path.basename(caller.co_filename)}:{name or caller.co_name}", run_id=run_id, message=message, hostname=hostname or socket.getfqdn(), pid=pid or os.getpid(),
        node_state=node_state, master_endpoint=master_endpoint, rank=rank, local_id=local_id, error_trace=traceback.format_exc() if node_state == NodeState.FAILED else "",
    ))  # fmt: skip
