"""Handlers of numbers, by group."""

from __future__ import annotations

import abc
import time
from collections import namedtuple
from collections.abc import Callable
from functools import wraps
from typing import Any

from typing_extensions import deprecated

__all__ = [
    "ConsoleMetricHandler", "MetricData", "MetricHandler", "MetricStream", "MetricsConfig", "NullMetricHandler", "configure", "getStream", "get_elapsed_time_ms", "prof", "profile", "publish_metric",
    "put_metric",
]  # fmt: skip

MetricData = namedtuple("MetricData", ["timestamp", "group_name", "name", "value"])


class MetricsConfig:
    """Parameters of handlers."""

    __slots__ = ["params"]

    def __init__(self, params: dict[str, str] | None = None) -> None:
        self.params = {} if params is None else params


class MetricHandler(abc.ABC):
    """Takes numbers."""

    @abc.abstractmethod
    def emit(self, metric_data: MetricData) -> None:
        """Take one."""


class ConsoleMetricHandler(MetricHandler):
    """Prints them."""

    def emit(self, metric_data: MetricData) -> None:
        """Print one."""
        print(f"[{metric_data.timestamp}][{metric_data.group_name}]: {metric_data.name}={metric_data.value}")


class NullMetricHandler(MetricHandler):
    """Drops them."""

    def emit(self, metric_data: MetricData) -> None:
        """Drop one."""


class MetricStream:
    """A group's numbers on their way to its handler."""

    def __init__(self, group_name: str, handler: MetricHandler) -> None:
        self.group_name, self.handler = group_name, handler

    def add_value(self, metric_name: str, metric_value: int) -> None:
        """One number, of now."""
        self.handler.emit(MetricData(time.time(), self.group_name, metric_name, metric_value))


_handlers: dict[str, MetricHandler] = {}
_default: list[MetricHandler] = [NullMetricHandler()]


def configure(handler: MetricHandler, group: str | None = None) -> None:
    """The handler of a group; without one, of those that have none."""
    if group is None:
        _default[0] = handler
    else:
        _handlers[group] = handler


def getStream(group: str) -> MetricStream:
    """Where a group's numbers go."""
    return MetricStream(group, _handlers.get(group, _default[0]))


def _name_of(fn: Any) -> str:
    name = fn.__qualname__
    return name if "." in name or not fn.__module__ else f"{fn.__module__.split('.')[-1]}.{name}"


def _measured(fn: Callable[..., Any], name: str, group: str) -> Callable[..., Any]:
    @wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.time()
        try:
            result = fn(*args, **kwargs)
            put_metric(f"{name}.success", 1, group)
        except Exception:
            put_metric(f"{name}.failure", 1, group)
            raise
        finally:
            put_metric(f"{name}.duration.ms", get_elapsed_time_ms(start), group)
        return result

    return wrapper


def prof(fn: Any = None, group: str = "torchelastic") -> Any:
    """Tell of each call of a function whether it succeeded and how long it took. Without ``fn``, a decorator."""
    wrap = lambda f: _measured(f, _name_of(f), group)
    return wrap(fn) if fn else wrap


@deprecated("Deprecated, use `@prof` instead", category=FutureWarning)
def profile(group: Any = None) -> Any:
    """The old name of :func:`prof`."""
    return lambda f: _measured(f, f.__name__, group)


def put_metric(metric_name: str, metric_value: int, metric_group: str = "torchelastic") -> None:
    """Tell a number."""
    getStream(metric_group).add_value(metric_name, metric_value)


@deprecated("Deprecated, use `put_metric(metric_group)(metric_name, metric_value)` instead", category=FutureWarning)
def publish_metric(metric_group: str, metric_name: str, metric_value: int) -> None:
    """The old name of :func:`put_metric`."""
    put_metric(metric_name, metric_value, metric_group)


def get_elapsed_time_ms(start_time_in_seconds: float) -> int:
    """Milliseconds since then."""
    return int((time.time() - start_time_in_seconds) * 1000)
