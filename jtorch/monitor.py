"""``torch.monitor``: events and statistics of long runs, handed to whoever registered for them. Source: https://docs.pytorch.org/docs/stable/monitor.html"""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

__all__ = ["Aggregation", "Event", "EventHandlerHandle", "Stat", "TensorboardEventHandler", "data_value_t", "log_event", "register_event_handler", "unregister_event_handler"]

STAT_EVENT = "torch.monitor.Stat"
data_value_t = str | int | float | bool


class Aggregation(enum.Enum):
    """What a :class:`Stat` tells of its samples."""

    VALUE = 0
    MEAN = 1
    COUNT = 2
    SUM = 3
    MAX = 4
    MIN = 5


VALUE, MEAN, COUNT, SUM, MAX, MIN = Aggregation


@dataclass
class Event:
    """Something that happened: a name, a time, and values by name."""

    name: str
    timestamp: datetime
    data: dict[str, data_value_t] = field(default_factory=dict)


class EventHandlerHandle:
    """What :func:`register_event_handler` gives."""

    def __init__(self, handler: Callable[[Event], None]) -> None:
        self.handler = handler


_handlers: list[EventHandlerHandle] = []


def register_event_handler(callback: Callable[[Event], None]) -> EventHandlerHandle:
    """Call ``callback(event)`` for every event from now on."""
    handle = EventHandlerHandle(callback)
    _handlers.append(handle)
    return handle


def unregister_event_handler(handler: EventHandlerHandle) -> None:
    """No longer."""
    if handler in _handlers:
        _handlers.remove(handler)


def log_event(event: Event) -> None:
    """Hand an event to all that registered."""
    for handle in list(_handlers):
        handle.handler(event)


class Stat:
    """Samples over intervals of ``window_size``; each interval's aggregations become an event when the first sample after it comes, or at the end."""

    def __init__(self, name: str, aggregations: Sequence[Aggregation], window_size: timedelta, max_samples: int = 2**63 - 1) -> None:
        self._name, self._aggregations, self._window, self._max = name, list(aggregations), window_size.total_seconds(), max_samples
        self._began = time.monotonic()
        self._clear()

    def _clear(self) -> None:
        self._count, self._sum, self._last, self._most, self._least = 0, 0.0, 0.0, -math.inf, math.inf

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def count(self) -> int:
        """How many samples of this interval are in."""
        return self._count

    def add(self, v: float) -> None:
        """One more sample. It is left out if the interval has ``max_samples``."""
        self._maybe_log()
        if self._count < self._max:
            self._count, self._sum, self._last = self._count + 1, self._sum + v, float(v)
            self._most, self._least = max(self._most, v), min(self._least, v)

    def get(self) -> dict[Aggregation, float]:
        """What this interval has come to."""
        self._maybe_log()
        found = {
            VALUE: self._last, MEAN: self._sum / self._count if self._count else 0.0, COUNT: float(self._count), SUM: self._sum,
            MAX: self._most if self._count else 0.0, MIN: self._least if self._count else 0.0,
        }  # fmt: skip
        return {a: found[a] for a in self._aggregations}

    def _maybe_log(self) -> None:
        if time.monotonic() - self._began >= self._window:
            self._log()
            self._began = time.monotonic()

    def _log(self) -> None:
        if self._count:
            began, self._began = self._began, math.inf  # get() asks no clock
            data: dict[str, data_value_t] = {f"{self._name}.{a.name.lower()}": value for a, value in self.get().items()}
            self._began = began
            self._clear()
            log_event(Event(STAT_EVENT, datetime.now(), data))

    def __del__(self) -> None:
        if getattr(self, "_count", 0):
            self._log()


class TensorboardEventHandler:
    """Writes statistics as scalars: give it to :func:`register_event_handler`."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __call__(self, event: Event) -> None:
        if event.name == STAT_EVENT:
            for name, value in event.data.items():
                self._writer.add_scalar(name, value, walltime=event.timestamp.timestamp())
