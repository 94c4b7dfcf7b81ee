"""Processes that are watched: what they are to do, and how far they are."""

from __future__ import annotations

import abc
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from jtorch.distributed._failures import ProcessFailure
from jtorch.distributed.elastic.rendezvous import RendezvousHandler

__all__ = ["ElasticAgent", "RunResult", "Worker", "WorkerGroup", "WorkerSpec", "WorkerState"]


@dataclass
class WorkerSpec:
    """What a group of processes is to do. AssertionError for none, or nothing to do."""

    role: str
    local_world_size: int
    rdzv_handler: RendezvousHandler
    fn: Callable[..., Any] | None = None
    entrypoint: Callable[..., Any] | str | None = None
    args: tuple[Any, ...] = ()
    max_restarts: int = 3
    monitor_interval: float = 0.1
    master_port: int | None = None
    master_addr: str | None = None
    local_addr: str | None = None
    event_log_handler: str = "null"
    numa_options: Any = None
    duplicate_stdout_filters: list[str] | None = None
    duplicate_stderr_filters: list[str] | None = None
    virtual_local_rank: bool = False

    def __post_init__(self) -> None:
        if self.local_world_size <= 0 or self.monitor_interval <= 0:
            raise AssertionError
        if self.fn:
            warnings.warn("WorkerSpec.fn will be deprecated, please use WorkerSpec.entrypoint instead", stacklevel=2, category=DeprecationWarning)
            self.entrypoint = self.fn
        if not self.entrypoint:
            raise AssertionError

    def get_entrypoint_name(self) -> str:
        """The function's name, or the program's."""
        return os.path.basename(self.entrypoint) if isinstance(self.entrypoint, str) else self.entrypoint.__qualname__  # type: ignore[union-attr]


class Worker:
    """A process, by its numbers."""

    __slots__ = ["id", "local_rank", "global_rank", "role_rank", "world_size", "role_world_size"]

    def __init__(self, local_rank: int, global_rank: int = -1, role_rank: int = -1, world_size: int = -1, role_world_size: int = -1) -> None:
        self.id: Any = None
        self.local_rank, self.global_rank, self.role_rank, self.world_size, self.role_world_size = local_rank, global_rank, role_rank, world_size, role_world_size

    def __repr__(self) -> str:
        return f"local_rank={self.local_rank},global_rank={self.global_rank},role_rank={self.role_rank},world_size={self.world_size},role_world_size={self.role_world_size}"

    __str__ = __repr__


class WorkerState(str, Enum):  # noqa: UP042 - prints as torch's
    """How far a group of processes is."""

    UNKNOWN = "UNKNOWN"
    INIT = "INIT"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @staticmethod
    def is_running(state: WorkerState) -> bool:
        """Whether its processes are there."""
        return state in {WorkerState.HEALTHY, WorkerState.UNHEALTHY}


class WorkerGroup:
    """Processes with one specification."""

    __slots__ = ["spec", "workers", "store", "group_rank", "group_world_size", "state", "master_addr", "master_port"]

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec, self.state = spec, WorkerState.INIT
        self.workers = [Worker(local_rank=i) for i in range(spec.local_world_size)]
        self.store: Any = None
        self.group_rank: int | None = None
        self.group_world_size: int | None = None
        self.master_addr: str | None = None
        self.master_port: int | None = None


@dataclass
class RunResult:
    """What came of a group: results and failures, by rank."""

    state: WorkerState
    return_values: dict[int, Any] = field(default_factory=dict)
    failures: dict[int, ProcessFailure] = field(default_factory=dict)

    def is_failed(self) -> bool:
        """Whether it failed."""
        return self.state == WorkerState.FAILED


class ElasticAgent(abc.ABC):
    """Runs a group of processes."""

    @abc.abstractmethod
    def run(self, role: str = "default") -> RunResult:
        """Until all are done, or one has failed once too often."""

    @abc.abstractmethod
    def get_worker_group(self, role: str = "default") -> WorkerGroup:
        """The group."""
