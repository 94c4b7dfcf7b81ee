"""A function or a program in the processes of a run."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from string import Template
from typing import Any

from jtorch._errors import not_implemented
from jtorch.distributed._failures import ChildFailedError
from jtorch.distributed._stores import TCPStore
from jtorch.distributed.elastic.multiprocessing import DefaultLogsSpecs, LogsSpecs, SignalException, start_processes
from jtorch.distributed.elastic.rendezvous.utils import parse_rendezvous_endpoint
from jtorch.distributed.elastic.utils import macros

__all__ = ["LaunchConfig", "elastic_launch", "launch_agent"]


@dataclass
class LaunchConfig:
    """How many processes, how often they may be started again, and where their output goes. ValueError for a negative ``shutdown_timeout``."""

    min_nodes: int
    max_nodes: int
    nproc_per_node: int
    logs_specs: LogsSpecs | None = None
    run_id: str = ""
    role: str = "default_role"
    rdzv_endpoint: str = ""
    rdzv_backend: str = "etcd"
    rdzv_configs: dict[str, Any] = field(default_factory=dict)
    rdzv_timeout: int = -1
    max_restarts: int = 3
    monitor_interval: float = 0.1
    start_method: str = "spawn"
    log_line_prefix_template: str | None = None
    metrics_cfg: dict[str, str] = field(default_factory=dict)
    local_addr: str | None = None
    event_log_handler: str = "null"
    numa_options: Any = None
    signals_to_handle: str = "SIGTERM,SIGINT,SIGHUP,SIGQUIT"
    duplicate_stdout_filters: list[str] | None = None
    duplicate_stderr_filters: list[str] | None = None
    virtual_local_rank: bool = False
    shutdown_timeout: int | None = None

    def __post_init__(self) -> None:
        if self.rdzv_timeout != -1:
            self.rdzv_configs["timeout"] = self.rdzv_timeout
        else:
            self.rdzv_configs.setdefault("timeout", 900)
        if self.logs_specs is None:
            self.logs_specs = DefaultLogsSpecs()
        if self.shutdown_timeout is None:
            self.shutdown_timeout = int(os.environ.get("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "30"))
        elif self.shutdown_timeout < 0:
            raise ValueError(f"shutdown_timeout must be non-negative, got {self.shutdown_timeout}")


class elastic_launch:
    """``elastic_launch(config, fn)(*args)`` runs ``fn(*args)``, or a program, in each process of a run: what the processes returned, by rank."""

    def __init__(self, config: LaunchConfig, entrypoint: Callable[..., Any] | str | None, health_check_server: Any = None) -> None:
        if health_check_server is not None:
            not_implemented("torch.distributed.launcher with a health check server", "the agent of one machine answers nobody")
        self._config, self._entrypoint = config, entrypoint

    def __call__(self, *args: Any) -> dict[int, Any]:
        return launch_agent(self._config, self._entrypoint, list(args))


def _name(entrypoint: Any, args: list[Any]) -> str:
    if isinstance(entrypoint, str):
        return next((a for a in args if a[0] != "-"), "") if entrypoint == sys.executable else entrypoint
    return entrypoint.__name__ if callable(entrypoint) else ""


def launch_agent(config: LaunchConfig, entrypoint: Callable[..., Any] | str | None, args: list[Any], health_check_server: Any = None) -> dict[int, Any]:
    """The processes of this machine, watched until all are done, and started anew when one fails, at most ``max_restarts`` times: ChildFailedError then.

    Several machines: NotImplementedError (``python -m jtorch torchrun`` on each does that). The processes find each other at ``rdzv_endpoint``, or any port that is free.
    """
    if config.max_nodes > 1:
        not_implemented("torch.distributed.launcher with several machines", "start `python -m jtorch torchrun --nnodes ... --node-rank ...` on each")
    if config.rdzv_backend not in ("static", "c10d"):
        not_implemented("torch.distributed.launcher with another rendezvous", "static and c10d find the processes of one machine")
    if config.virtual_local_rank:
        not_implemented("torch.distributed.launcher with virtual_local_rank", "set CUDA_VISIBLE_DEVICES in the processes")
    if entrypoint is None:
        raise AssertionError("there is nothing to start")
    config.run_id = config.run_id or str(uuid.uuid4().int)
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = config.signals_to_handle
    host, port = parse_rendezvous_endpoint(config.rdzv_endpoint, 0)
    store = TCPStore(host, port, 1, is_master=True, timeout=timedelta(seconds=int(config.rdzv_configs["timeout"])), wait_for_workers=False)
    address = host if config.rdzv_endpoint else config.local_addr or "localhost"
    count, attempt = config.nproc_per_node, 0
    while True:
        envs, given, prefixes = {}, {}, {}
        for i in range(count):
            envs[i] = {
                "LOCAL_RANK": str(i), "RANK": str(i), "GROUP_RANK": "0", "ROLE_RANK": str(i), "ROLE_NAME": config.role, "LOCAL_WORLD_SIZE": str(count), "WORLD_SIZE": str(count),
                "GROUP_WORLD_SIZE": "1", "ROLE_WORLD_SIZE": str(count), "MASTER_ADDR": address, "MASTER_PORT": str(store.port), "TORCHELASTIC_RESTART_COUNT": str(attempt),
                "TORCHELASTIC_MAX_RESTARTS": str(config.max_restarts), "TORCHELASTIC_RUN_ID": config.run_id, "TORCHELASTIC_USE_AGENT_STORE": "True",
                "TORCH_NCCL_ASYNC_ERROR_HANDLING": os.environ.get("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1"),
            }  # fmt: skip
            given[i] = tuple(macros.substitute(args, str(i)))
            if config.log_line_prefix_template:
                told = {"role_name": config.role, "rank": i, "local_rank": i}
                prefixes[i] = Template(config.log_line_prefix_template).safe_substitute(told)
        context = start_processes(
            config.role, entrypoint, given, envs, config.logs_specs, prefixes or None, config.start_method, config.numa_options,  # type: ignore[arg-type]
            config.duplicate_stdout_filters, config.duplicate_stderr_filters,
        )  # fmt: skip
        try:
            found = context.wait(period=config.monitor_interval)
        except SignalException as stopped:
            context.close(stopped.sigval, int(config.shutdown_timeout or 0))
            raise
        except BaseException:
            context.close(timeout=int(config.shutdown_timeout or 0))
            raise
        if found is not None and not found.is_failed():
            return dict(sorted(found.return_values.items()))
        if attempt >= config.max_restarts:
            raise ChildFailedError(_name(entrypoint, args), found.failures if found is not None else {})
        attempt += 1
