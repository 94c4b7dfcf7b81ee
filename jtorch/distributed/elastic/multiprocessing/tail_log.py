"""Files of output that are shown while they grow."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any, TextIO

__all__ = ["TailLog", "tail_logfile"]
_log = logging.getLogger(__name__)


def tail_logfile(header: str, file: str, dst: TextIO, finished: Event, interval_sec: float, log_line_filter: Callable[[str], bool] | None = None) -> None:
    """Write each line of ``file`` that passes the filter to ``dst``, with ``header`` before it, until it is ``finished``. The file need not be there yet."""
    while not os.path.exists(file):
        if finished.is_set():
            return
        time.sleep(interval_sec)
    with open(file, errors="replace") as source:
        while True:
            line = source.readline()
            if line:
                if log_line_filter and log_line_filter(line):
                    dst.write(f"{header}{line}")
            elif finished.is_set():
                return
            else:
                time.sleep(interval_sec)


class TailLog:
    """Shows files, by number, with ``[name number]:`` before each line, or what ``log_line_prefixes`` says."""

    def __init__(
        self, name: str, log_files: dict[int, str], dst: TextIO, log_line_prefixes: dict[int, str] | None = None, interval_sec: float = 0.1,
        log_line_filter: Callable[[str], bool] = lambda _: True,
    ) -> None:  # fmt: skip
        self._threadpool = ThreadPoolExecutor(max_workers=len(log_files), thread_name_prefix=f"{type(self).__qualname__}_{name}") if log_files else None
        self._name, self._dst, self._log_files, self._log_line_prefixes, self._log_line_filter = name, dst, log_files, log_line_prefixes, log_line_filter
        self._finished_events = {i: Event() for i in log_files}
        self._futs: list[Future[Any]] = []
        self._interval_sec, self._stopped = interval_sec, False

    def start(self) -> TailLog:
        """Begin."""
        if self._threadpool and self._dst:
            for i, file in self._log_files.items():
                header = (self._log_line_prefixes or {}).get(i, f"[{self._name}{i}]:")
                self._futs.append(self._threadpool.submit(tail_logfile, header, file, self._dst, self._finished_events[i], self._interval_sec, self._log_line_filter))
        return self

    def stop(self) -> None:
        """Show what there is, and end."""
        for finished in self._finished_events.values():
            finished.set()
        for i, f in enumerate(self._futs):
            try:
                f.result()
            except Exception as error:
                _log.exception("error in log tailer for %s%s. %s", self._name, i, type(error).__qualname__)
        if self._threadpool:
            self._threadpool.shutdown(wait=True)
        self._stopped = True

    def stopped(self) -> bool:
        """Whether it has ended."""
        return self._stopped
