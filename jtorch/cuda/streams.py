"""Streams and events. XLA orders its own work, so a stream is a name, and an event a moment on the host."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from jtorch._public import torch

__all__ = ["Event", "ExternalStream", "Stream", "StreamContext", "current_stream", "default_stream", "set_stream", "stream"]


def _need(text: str) -> None:
    if not torch.cuda.is_available():  # type: ignore[attr-defined]
        raise RuntimeError(text)


class Stream:
    """An order of work; every stream is XLA's. RuntimeError without a GPU."""

    cuda_stream = stream_id = 0
    device_type = 1

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        _need("torch.cuda.Stream requires CUDA support")
        self.priority, self.device_index = priority, torch.cuda._index(device)  # type: ignore[attr-defined]

    @property
    def device(self) -> Any:
        """The GPU."""
        return torch.device("cuda", self.device_index)

    def query(self) -> bool:
        """Whether all work is done; what is recorded is not."""
        return False

    def synchronize(self) -> None:
        """Wait for the work."""
        torch.cuda.synchronize()  # type: ignore[attr-defined]

    def wait_stream(self, stream: Any) -> None:
        """XLA knows who needs what."""

    def wait_event(self, event: Any) -> None:
        """XLA knows who needs what."""

    def record_event(self, event: Any = None) -> Any:
        """An event that comes after the work so far."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.device_index == other.device_index

    def __hash__(self) -> int:
        return hash(("cuda stream", self.device_index))

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device=cuda:{self.device_index} cuda_stream=0x0>"


class ExternalStream(Stream):
    """A stream of another library."""

    def __init__(self, stream_ptr: int, device: Any = None, **kwargs: Any) -> None:
        super().__init__(device, **kwargs)


class Event:
    """A moment on the host, after the work recorded before it was waited for. RuntimeError without a GPU."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False, external: bool = False) -> None:
        _need("Tried to instantiate dummy base class Event")
        self.at = 0.0

    def record(self, stream: Any = None) -> None:
        """Now, once the work is done."""
        torch.cuda.synchronize()  # type: ignore[attr-defined]
        self.at = time.perf_counter()

    def wait(self, stream: Any = None) -> None:
        """It was waited for."""

    def query(self) -> bool:
        """Whether it has come: True."""
        return True

    def synchronize(self) -> None:
        """It was waited for."""

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between two events."""
        return (end_event.at - self.at) * 1e3


def current_stream(device: Any = None) -> Stream:
    """XLA's. AssertionError without a GPU."""
    torch.cuda._gpu(device)  # type: ignore[attr-defined]
    return Stream(device)


default_stream = current_stream


def set_stream(stream: Any) -> None:
    """Every stream is XLA's."""


class StreamContext(contextlib.AbstractContextManager[None]):
    """Inside, a stream is the current one, which changes nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def stream(stream: Any) -> StreamContext:
    """A context in which a stream is the current one."""
    return StreamContext(stream)
