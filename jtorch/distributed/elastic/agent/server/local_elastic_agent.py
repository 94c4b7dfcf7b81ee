"""The processes of one machine."""

from __future__ import annotations

from typing import Any

from jtorch._errors import not_implemented
from jtorch.distributed._failures import ChildFailedError
from jtorch.distributed.elastic.multiprocessing import LogsSpecs
from jtorch.distributed.launcher.api import LaunchConfig, launch_agent

from .api import ElasticAgent, RunResult, WorkerGroup, WorkerSpec, WorkerState

__all__ = [
    "LocalElasticAgent", "TORCHELASTIC_ENABLE_FILE_TIMER", "TORCHELASTIC_HEALTH_CHECK_PORT", "TORCHELASTIC_TIMER_FILE", "TORCHELASTIC_UNINTERRUPTIBLE_STATE_TIMEOUT",
]  # fmt: skip

TORCHELASTIC_ENABLE_FILE_TIMER = "TORCHELASTIC_ENABLE_FILE_TIMER"
TORCHELASTIC_HEALTH_CHECK_PORT = "TORCHELASTIC_HEALTH_CHECK_PORT"
TORCHELASTIC_TIMER_FILE = "TORCHELASTIC_TIMER_FILE"
TORCHELASTIC_UNINTERRUPTIBLE_STATE_TIMEOUT = "TORCHELASTIC_UNINTERRUPTIBLE_STATE_TIMEOUT"


class LocalElasticAgent(ElasticAgent):
    """Runs what ``spec`` says on this machine, with its output where ``logs_specs`` says."""

    def __init__(
        self, spec: WorkerSpec, logs_specs: LogsSpecs, start_method: str = "spawn", exit_barrier_timeout: float = 300, log_line_prefix_template: str | None = None,
        shutdown_timeout: int = 30, health_check_server: Any = None,
    ) -> None:  # fmt: skip
        if health_check_server is not None:
            not_implemented("torch.distributed.launcher with a health check server", "the agent of one machine answers nobody")
        self._worker_group = WorkerGroup(spec)
        self._logs_specs, self._start_method, self._prefix, self._shutdown_timeout = logs_specs, start_method, log_line_prefix_template, shutdown_timeout

    def get_worker_group(self, role: str = "default") -> WorkerGroup:
        """The group."""
        return self._worker_group

    def run(self, role: str = "default") -> RunResult:
        """Until all are done, or one has failed once too often."""
        spec, group = self._worker_group.spec, self._worker_group
        endpoint = f"{spec.master_addr or 'localhost'}:{spec.master_port}" if spec.master_port is not None else ""
        config = LaunchConfig(
            1, 1, spec.local_world_size, self._logs_specs, spec.rdzv_handler.get_run_id(), spec.role, endpoint, spec.rdzv_handler.get_backend(), max_restarts=spec.max_restarts,
            monitor_interval=spec.monitor_interval, start_method=self._start_method, log_line_prefix_template=self._prefix, local_addr=spec.local_addr, event_log_handler=spec.event_log_handler,
            numa_options=spec.numa_options, duplicate_stdout_filters=spec.duplicate_stdout_filters, duplicate_stderr_filters=spec.duplicate_stderr_filters,
            virtual_local_rank=spec.virtual_local_rank, shutdown_timeout=self._shutdown_timeout,
        )  # fmt: skip
        group.state = WorkerState.HEALTHY
        try:
            results = launch_agent(config, spec.entrypoint, list(spec.args))
        except ChildFailedError as error:
            group.state = WorkerState.FAILED
            return RunResult(group.state, failures=error.failures)
        group.state = WorkerState.SUCCEEDED
        return RunResult(group.state, results)
