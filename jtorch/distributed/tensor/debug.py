"""``torch.distributed.tensor.debug``."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from jtorch._engine.values import heard
from jtorch._errors import not_implemented
from jtorch._public import torch

__all__ = ["CommDebugMode"]


class CommDebugMode:
    """Counts the collectives of what is done within, by torch's operators. Where each process has its part these are those that are sent off; where one process sees all devices, those that operators on
    DTensors imply by how their operands lie (which XLA may put together). A collective of one process's alone, or of a dim of a mesh that has one device, is counted as far as it is called.
    """

    def __init__(self) -> None:
        self.comm_counts: dict[Any, int] = defaultdict(int)
        self.comm_module_counts: dict[str, Any] = {}

    def _heard(self, name: str) -> None:
        space, _, operator = name.partition(".")
        self.comm_counts[getattr(getattr(torch.ops, space), operator)] += 1

    def __enter__(self) -> CommDebugMode:
        self.comm_counts.clear()
        heard.listeners.append(self._heard)
        return self

    def __exit__(self, *args: Any) -> None:
        heard.listeners.remove(self._heard)

    def get_comm_counts(self) -> dict[Any, int]:
        """How often each was called, by operator (``torch.ops.c10d_functional.all_reduce``, ``torch.ops.c10d.allreduce_`` and so on)."""
        return self.comm_counts

    def get_total_counts(self) -> int:
        """How many there were."""
        return sum(self.comm_counts.values())

    def _by_module(self) -> Any:
        not_implemented("torch.distributed.tensor.debug.CommDebugMode by modules", "what a module's call holds is not followed; count around its call")

    def get_parameter_info(self) -> dict[str, Any]:
        """NotImplementedError: modules are not followed."""
        return self._by_module()  # type: ignore[no-any-return]

    def get_sharding_info(self) -> dict[str, Any]:
        """NotImplementedError: modules are not followed."""
        return self._by_module()  # type: ignore[no-any-return]

    def generate_comm_debug_tracing_table(self, noise_level: int = 3) -> str:
        """NotImplementedError: modules are not followed."""
        return self._by_module()  # type: ignore[no-any-return]

    def generate_json_dump(self, file_name: str = "comm_mode_log.json", noise_level: int = 3) -> None:
        """NotImplementedError: modules are not followed."""
        self._by_module()

    def log_comm_debug_tracing_table_to_file(self, file_name: str = "comm_mode_log.txt", noise_level: int = 3) -> None:
        """NotImplementedError: modules are not followed."""
        self._by_module()
