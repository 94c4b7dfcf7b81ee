"""Processes that failed, and what is told of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["ChildFailedError", "ProcessFailure"]

_NONE = "<N/A>"


@dataclass
class ProcessFailure:
    """Which process failed, and how. What it wrote into ``error_file`` (torch.distributed.elastic.multiprocessing.errors.record does) is its ``message``."""

    local_rank: int
    pid: int
    exitcode: int
    error_file: str = _NONE
    error_file_data: Any = field(init=False)
    message: Any = field(init=False)
    timestamp: int = field(init=False)

    def __post_init__(self) -> None:
        self.error_file_data, self.message, self.timestamp = {"message": ""}, "", int(time.time())
        if os.path.isfile(self.error_file):
            with open(self.error_file) as file:
                self.error_file_data = json.load(file)
            self.message = self.error_file_data["message"]
            self.timestamp = int(self.error_file_data.get("timestamp", 0) if isinstance(self.message, str) else self.message["extraInfo"]["timestamp"])
        else:
            self.error_file = _NONE
        if not self.message:
            if self.exitcode < 0:
                self.message = f"Signal {-self.exitcode} ({self.signal_name()}) received by PID {self.pid}"
            else:
                self.error_file_data["errorTraits"] = {"category": "system_terminated_error", "retryability": "False"}
                self.message = "To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html"

    def signal_name(self) -> str:
        """The signal that ended it."""
        try:
            return signal.Signals(-self.exitcode).name if self.exitcode < 0 else _NONE
        except ValueError:
            return _NONE

    def timestamp_isoformat(self) -> str:
        """When it failed."""
        return datetime.fromtimestamp(self.timestamp).isoformat(sep="_")

    def told(self, number: int, rank: int) -> str:
        """Its lines in a report."""
        why = self.message
        if isinstance(why, dict):
            why = why.get("extraInfo", {}).get("py_callstack", why.get("message", _NONE)).replace("\n", "\n  ")
        name = self.signal_name()
        return (
            f"[{number}]:\n  time      : {self.timestamp_isoformat()}\n  host      : {socket.getfqdn()}\n  rank      : {rank} (local_rank: {self.local_rank})\n"
            f"  exitcode  : {self.exitcode} (pid: {self.pid}){f' ({name})' if name != _NONE else ''}\n  error_file: {self.error_file}\n  traceback : {why}"
        )

    def order(self) -> tuple[int, bool, bool]:
        """The first comes first; of those of the same second, those that were ended from outside come last."""
        return self.timestamp, self.exitcode == -signal.SIGTERM, self.exitcode == -signal.SIGABRT


class ChildFailedError(Exception):
    """Processes failed (by rank); the message has the first and the others."""

    __module__ = "torch.distributed.elastic.multiprocessing.errors"

    def __init__(self, name: str, failures: dict[int, ProcessFailure]) -> None:
        if not failures:
            raise AssertionError
        self.name, self.failures = name, failures
        super().__init__(self.format_msg())

    def get_first_failure(self) -> tuple[int, ProcessFailure]:
        """(rank, failure) of the first that failed."""
        return min(self.failures.items(), key=lambda item: item[1].order())

    def format_msg(self, boarder_delim: str = "=", section_delim: str = "-") -> str:
        """The report."""
        first = self.get_first_failure()[0]
        told = {rank: f.told(i, rank) for i, (rank, f) in enumerate(self.failures.items())}
        width = min(60, max(len(line) for text in (f"{self.name} FAILED", *told.values()) for line in text.split("\n")))
        wide, thin = boarder_delim * width, section_delim * width
        others = "\n".join(text for rank, text in told.items() if rank != first) or "  <NO_OTHER_FAILURES>"
        return f"\n{wide}\n{self.name} FAILED\n{thin}\nFailures:\n{others}\n{thin}\nRoot Cause (first observed failure):\n{told[first]}\n{wide}"


ProcessFailure.__module__ = "torch.distributed.elastic.multiprocessing.errors"
