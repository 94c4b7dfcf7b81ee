"""Timers of pieces of work: a client in each process, a server that ends processes whose time is over."""

from __future__ import annotations

import abc
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["RequestQueue", "TimerClient", "TimerRequest", "TimerServer", "configure", "expires"]
_log = logging.getLogger(__name__)


class TimerRequest:
    """A timer of a process (``worker_id``) for a piece of work; a negative time ends it."""

    __slots__ = ["worker_id", "scope_id", "expiration_time"]

    def __init__(self, worker_id: Any, scope_id: str, expiration_time: float) -> None:
        self.worker_id, self.scope_id, self.expiration_time = worker_id, scope_id, expiration_time

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimerRequest) and (self.worker_id, self.scope_id, self.expiration_time) == (other.worker_id, other.scope_id, other.expiration_time)

    __hash__ = None  # type: ignore[assignment]


class TimerClient(abc.ABC):
    """Asks the server for timers."""

    @abc.abstractmethod
    def acquire(self, scope_id: str, expiration_time: float) -> None:
        """A timer for a piece of work, until a time."""

    @abc.abstractmethod
    def release(self, scope_id: str) -> None:
        """The work is done."""


class RequestQueue(abc.ABC):
    """What was asked and not looked at yet."""

    @abc.abstractmethod
    def size(self) -> int:
        """How much there is, or more."""

    @abc.abstractmethod
    def get(self, size: int, timeout: float) -> list[TimerRequest]:
        """At most so many, within so many seconds."""


class TimerServer(abc.ABC):
    """A thread that looks for timers whose time is over."""

    def __init__(self, request_queue: RequestQueue, max_interval: float, daemon: bool = True) -> None:
        super().__init__()
        self._request_queue, self._max_interval, self._daemon = request_queue, max_interval, daemon
        self._watchdog_thread: threading.Thread | None = None
        self._stop_signaled = False

    @abc.abstractmethod
    def register_timers(self, timer_requests: list[TimerRequest]) -> None:
        """Timers that begin, and those that end."""

    @abc.abstractmethod
    def clear_timers(self, worker_ids: set[Any]) -> None:
        """Forget all timers of processes."""

    @abc.abstractmethod
    def get_expired_timers(self, deadline: float) -> dict[Any, list[TimerRequest]]:
        """By process, timers whose time is over then."""

    @abc.abstractmethod
    def _reap_worker(self, worker_id: Any) -> bool:
        """End a process; whether that worked."""

    def _reap_worker_no_throw(self, worker_id: Any) -> bool:
        try:
            return self._reap_worker(worker_id)
        except Exception:
            _log.exception("Uncaught exception thrown from _reap_worker(), check that the implementation correctly catches exceptions")
            return True

    def _watchdog_loop(self) -> None:
        while not self._stop_signaled:
            try:
                self._run_watchdog()
            except Exception:
                _log.exception("Error running watchdog")

    def _run_watchdog(self) -> None:
        self.register_timers(self._request_queue.get(max(1, self._request_queue.size()), self._max_interval))
        reaped = set()
        for worker_id, expired in self.get_expired_timers(time.time()).items():
            _log.info("Reaping worker_id=[%s]. Expired timers: %s", worker_id, [r.scope_id for r in expired])
            if self._reap_worker_no_throw(worker_id):
                reaped.add(worker_id)
            else:
                _log.error("Error reaping worker=[%s]. Will retry on next watchdog.", worker_id)
        self.clear_timers(reaped)

    def start(self) -> None:
        """Begin to look."""
        self._watchdog_thread = threading.Thread(target=self._watchdog_loop, daemon=self._daemon)
        self._watchdog_thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop_signaled = True
        if self._watchdog_thread:
            self._watchdog_thread.join(self._max_interval)
            self._watchdog_thread = None


_client: list[TimerClient | None] = [None]


def configure(timer_client: TimerClient) -> None:
    """The client that :func:`expires` asks."""
    _client[0] = timer_client


@contextmanager
def expires(after: float, scope: str | None = None, client: TimerClient | None = None) -> Iterator[None]:
    """What is done within takes less than so many seconds, or this process may be ended. RuntimeError without a client."""
    client = client or _client[0]
    if client is None:
        raise RuntimeError("Configure timer client before using countdown timers.")
    if scope is None:
        caller = sys._getframe(2)
        scope = f"{caller.f_code.co_filename}#{caller.f_lineno}"
    client.acquire(scope, time.time() + after)
    try:
        yield
    finally:
        client.release(scope)
