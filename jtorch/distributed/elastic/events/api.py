"""What happens in a run, as data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Event", "EventSource", "NodeState", "RdzvEvent"]

EventMetadataValue = str | int | float | bool | None


class EventSource(str, Enum):  # noqa: UP042 - prints as torch's
    """Who tells."""

    AGENT = "AGENT"
    WORKER = "WORKER"


class NodeState(str, Enum):  # noqa: UP042
    """What a machine does in a rendezvous."""

    INIT = "INIT"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass
class _Told:
    """What prints itself as JSON."""

    def __str__(self) -> str:
        return self.serialize()

    def serialize(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


@dataclass
class Event(_Told):
    """Something that happened, ``timestamp`` in milliseconds."""

    name: str
    source: EventSource
    timestamp: int = 0
    metadata: dict[str, EventMetadataValue] = field(default_factory=dict)

    @staticmethod
    def deserialize(data: Any) -> Event:
        """From JSON; an event is itself."""
        if isinstance(data, Event):
            return data
        read = json.loads(data)
        return Event(**{**read, "source": EventSource[read["source"]]})


@dataclass
class RdzvEvent(_Told):
    """Something that happened in a rendezvous."""

    name: str
    run_id: str
    message: str
    hostname: str
    pid: int
    node_state: NodeState
    master_endpoint: str = ""
    rank: int | None = None
    local_id: int | None = None
    error_trace: str = ""

    @staticmethod
    def deserialize(data: Any) -> RdzvEvent:
        """From JSON; an event is itself."""
        if isinstance(data, RdzvEvent):
            return data
        read = json.loads(data)
        return RdzvEvent(**{**read, "node_state": NodeState[read["node_state"]]})
