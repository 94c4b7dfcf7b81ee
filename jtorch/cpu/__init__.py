"""``torch.cpu``: what device-agnostic code asks of every device, for the cpu. Source: https://docs.pytorch.org/docs/stable/cpu.html"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jtorch._engine.recording import guards
from jtorch._engine.recording.trace import flush

__all__ = [
    "is_available", "is_initialized", "synchronize", "current_device", "current_stream", "stream", "set_device", "device_count", "Stream",
    "StreamContext", "Event", "get_capabilities",
]  # fmt: skip


@functools.lru_cache(None)
def get_capabilities() -> Mapping[str, Any]:
    """What the processor can do: {name of a set of instructions: whether it has it}, with ``"architecture"`` and a few numbers."""
    from ._capabilities import capabilities

    return MappingProxyType(capabilities())


def _is_avx2_supported() -> bool:
    return bool(get_capabilities().get("avx2"))


def _is_avx512_supported() -> bool:
    return all(get_capabilities().get(f"avx512_{part}") for part in ("f", "vl", "bw", "dq"))


def _is_avx512_bf16_supported() -> bool:
    return bool(get_capabilities().get("avx512_bf16"))


def _is_vnni_supported() -> bool:
    return bool(get_capabilities().get("avx512_vnni"))


def _is_amx_tile_supported() -> bool:
    return bool(get_capabilities().get("amx_tile"))


def _is_amx_fp16_supported() -> bool:
    return bool(get_capabilities().get("amx_fp16"))


def _init_amx() -> bool:
    return _is_amx_tile_supported()


def is_available() -> bool:
    """True."""
    return True


def is_initialized() -> bool:
    """True."""
    return True


def synchronize(device: Any = None) -> None:
    """Run what is recorded."""
    flush("look")
    guards.look()


def current_device() -> str:
    """``"cpu"``."""
    return "cpu"


def set_device(device: Any) -> None:
    """There is one cpu: nothing to choose."""


def device_count() -> int:
    """1."""
    return 1


class Stream:
    """An order of work. The cpu has one."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Nothing to wait for."""

    def record_event(self, event: Any = None) -> Any:
        """An event: what comes before it is done when it is asked."""
        return event or Event()

    def wait_event(self, event: Any) -> None:
        """Nothing to wait for."""


class Event:
    """A mark in a stream."""

    def query(self) -> bool:
        """Whether what came before it is done."""
        return True

    def record(self, stream: Any = None) -> None:
        """Nothing to note."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for."""


_stream = Stream()


def current_stream(device: Any = None) -> Stream:
    """The cpu's stream."""
    return _stream


class StreamContext(contextlib.AbstractContextManager[None]):
    """Inside, a stream is the current one."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.before = stream, _stream

    def __enter__(self) -> None:
        global _stream
        if self.stream is not None:
            self.before, _stream = _stream, self.stream

    def __exit__(self, *args: object) -> None:
        global _stream
        if self.stream is not None:
            _stream = self.before


def stream(stream: Any) -> StreamContext:
    """Inside, ``stream`` is the current one."""
    return StreamContext(stream)
