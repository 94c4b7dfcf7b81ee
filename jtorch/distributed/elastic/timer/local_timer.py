"""Timers of the processes of one machine, asked for through a queue of multiprocessing."""

from __future__ import annotations

import logging
import os
import signal
import time
from queue import Empty
from typing import Any

from .api import RequestQueue, TimerClient, TimerRequest, TimerServer

__all__ = ["LocalTimerClient", "LocalTimerServer", "MultiprocessingRequestQueue"]
_log = logging.getLogger(__name__)


class LocalTimerClient(TimerClient):
    """Asks through a queue, as the process with this id."""

    def __init__(self, mp_queue: Any) -> None:
        super().__init__()
        self._mp_queue = mp_queue

    def acquire(self, scope_id: str, expiration_time: float) -> None:
        """A timer."""
        self._mp_queue.put(TimerRequest(os.getpid(), scope_id, expiration_time))

    def release(self, scope_id: str) -> None:
        """Its end."""
        self._mp_queue.put(TimerRequest(os.getpid(), scope_id, -1))


class MultiprocessingRequestQueue(RequestQueue):
    """A queue of multiprocessing."""

    def __init__(self, mp_queue: Any) -> None:
        super().__init__()
        self._mp_queue = mp_queue

    def size(self) -> int:
        """How much there is."""
        return int(self._mp_queue.qsize())

    def get(self, size: int, timeout: float) -> list[TimerRequest]:
        """At most so many, within so many seconds."""
        found: list[TimerRequest] = []
        until = time.time() + timeout
        while len(found) < size and (not found or time.time() < until):
            try:
                found.append(self._mp_queue.get(block=True, timeout=max(0.0, until - time.time())))
            except Empty:
                break
        return found


class LocalTimerServer(TimerServer):
    """Kills processes of this machine whose time is over."""

    def __init__(self, mp_queue: Any, max_interval: float = 60, daemon: bool = True) -> None:
        super().__init__(MultiprocessingRequestQueue(mp_queue), max_interval, daemon)
        self._timers: dict[tuple[Any, str], TimerRequest] = {}

    def register_timers(self, timer_requests: list[TimerRequest]) -> None:
        """Timers that begin, and those that end."""
        for r in timer_requests:
            if r.expiration_time < 0:
                self._timers.pop((r.worker_id, r.scope_id), None)
            else:
                self._timers[(r.worker_id, r.scope_id)] = r

    def clear_timers(self, worker_ids: set[int]) -> None:
        """Forget those of processes."""
        for key in [k for k in self._timers if k[0] in worker_ids]:
            self._timers.pop(key)

    def get_expired_timers(self, deadline: float) -> dict[Any, list[TimerRequest]]:
        """By process, timers whose time is over then."""
        found: dict[Any, list[TimerRequest]] = {}
        for r in self._timers.values():
            if r.expiration_time <= deadline:
                found.setdefault(r.worker_id, []).append(r)
        return found

    def _reap_worker(self, worker_id: int) -> bool:
        try:
            os.kill(worker_id, signal.SIGKILL)
        except ProcessLookupError:
            _log.info("Process with pid=%s does not exist. Skipping", worker_id)
        except Exception:
            _log.exception("Error terminating pid=%s", worker_id)
            return False
        return True
