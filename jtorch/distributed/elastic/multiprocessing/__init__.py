"""``torch.distributed.elastic.multiprocessing``: functions or programs in several processes, whose output goes to files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .api import (
    DefaultLogsSpecs, LogsDest, LogsSpecs, MultiprocessContext, PContext, ProcessFailure, RunProcsResult, SignalException, Std, SubprocessContext, to_map, validate_full_rank,
)  # fmt: skip

__all__ = [
    "DefaultLogsSpecs", "LogsDest", "LogsSpecs", "MultiprocessContext", "PContext", "ProcessFailure", "RunProcsResult", "SignalException", "Std", "SubprocessContext", "start_processes", "to_map",
]  # fmt: skip


def start_processes(
    name: str, entrypoint: Callable[..., Any] | str, args: dict[int, tuple[Any, ...]], envs: dict[int, dict[str, str]], logs_specs: LogsSpecs, log_line_prefixes: dict[int, str] | None = None,
    start_method: str = "spawn", numa_options: Any = None, duplicate_stdout_filters: list[str] | None = None, duplicate_stderr_filters: list[str] | None = None,
) -> PContext:  # fmt: skip
    """Start a function (by ``start_method``) or a program once for each entry of ``args`` and ``envs``, whose keys are 0, 1, ... RuntimeError where they are not."""
    validate_full_rank(args, len(args), "args")
    validate_full_rank(envs, len(args), "envs")
    filters: dict[str, Any] = {"duplicate_stdout_filters": duplicate_stdout_filters, "duplicate_stderr_filters": duplicate_stderr_filters, "numa_options": numa_options}
    context: PContext
    if isinstance(entrypoint, str):
        context = SubprocessContext(name, entrypoint, args, envs, logs_specs, log_line_prefixes, **filters)
    else:
        context = MultiprocessContext(name, entrypoint, args, envs, start_method, logs_specs, log_line_prefixes, **filters)
    try:
        context.start()
    except Exception:
        context.close()
        raise
    return context
