"""What watches the processes of one machine."""

from __future__ import annotations

from .api import ElasticAgent, RunResult, Worker, WorkerGroup, WorkerSpec, WorkerState
from .local_elastic_agent import LocalElasticAgent

__all__ = ["ElasticAgent", "LocalElasticAgent", "RunResult", "Worker", "WorkerGroup", "WorkerSpec", "WorkerState"]
