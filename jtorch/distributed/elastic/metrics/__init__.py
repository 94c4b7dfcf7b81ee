"""Numbers that a run tells to handlers."""

from __future__ import annotations

from .api import (
    ConsoleMetricHandler, MetricData, MetricHandler, MetricsConfig, NullMetricHandler, configure, get_elapsed_time_ms, getStream, prof, profile, publish_metric, put_metric,
)  # fmt: skip

__all__ = [
    "ConsoleMetricHandler", "MetricData", "MetricHandler", "MetricsConfig", "NullMetricHandler", "configure", "getStream", "get_elapsed_time_ms", "initialize_metrics", "prof", "profile",
    "publish_metric", "put_metric",
]  # fmt: skip


def initialize_metrics(cfg: MetricsConfig | None = None) -> None:
    """Nothing to do: handlers are set by :func:`configure`."""
