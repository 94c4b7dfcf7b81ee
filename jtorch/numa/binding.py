"""``torch.numa.binding``: what a launcher may be told about memory. Processes are not bound: the runtime of the accelerator does that."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["AffinityMode", "NumaOptions"]


class AffinityMode(str, enum.Enum):  # noqa: UP042 - as torch has it, which prints otherwise
    """Which processors a worker would be bound to."""

    NODE = "node"
    SOCKET = "socket"
    EXCLUSIVE = "exclusive"
    CORE_COMPLEX = "core-complex"


@dataclass(frozen=True)
class NumaOptions:
    """How a launcher binds its workers."""

    affinity_mode: AffinityMode
    should_fall_back_if_binding_fails: bool = False
