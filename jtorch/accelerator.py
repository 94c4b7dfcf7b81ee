"""``torch.accelerator``: the accelerator that is there, whatever its kind. Source: https://docs.pytorch.org/docs/stable/accelerator.html

RuntimeError where there is none, except of the questions whether there is one.
"""

from __future__ import annotations

import sys
from typing import Any

from jtorch import _device, cuda

__path__: list[str] = []  # torch has a package here; what is below it stands in the table of _private/machinery.py
__all__ = [
    "current_accelerator", "current_device_idx", "current_device_index", "current_stream", "device_count", "device_index", "empty_cache", "get_device_capability",
    "get_memory_info", "is_available", "max_memory_allocated", "max_memory_reserved", "memory_allocated", "memory_reserved", "memory_stats",
    "reset_accumulated_memory_stats", "reset_peak_memory_stats", "set_device_idx", "set_device_index", "set_stream", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether JAX found a GPU."""
    return cuda.is_available()


def device_count() -> int:
    """How many."""
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> Any:
    """The kind of accelerator, as a device without an index; None if there is none."""
    return _device.device("cuda") if is_available() else None


def _there() -> Any:
    if not is_available():
        raise RuntimeError("Cannot access accelerator device when none is available.")
    return cuda


def current_device_index() -> int:
    """The index of the current accelerator."""
    return int(_there().current_device())


def set_device_index(device: Any) -> None:
    """Make an accelerator the current one."""
    _there().set_device(device)


current_device_idx, set_device_idx = current_device_index, set_device_index


class device_index:  # noqa: N801 - torch's name
    """Inside, the accelerator of this index is the current one; None changes nothing."""

    def __init__(self, device: int | None) -> None:
        self.inner = cuda.device(-1 if device is None else device)

    def __enter__(self) -> None:
        if self.inner.index >= 0:
            _there()
        self.inner.__enter__()

    def __exit__(self, *error: object) -> None:
        self.inner.__exit__(*error)


def current_stream(device: Any = None) -> Any:
    """The stream that work goes to."""
    return _there().current_stream(device)


def set_stream(stream: Any) -> None:
    """Make a stream the current one. TypeError for what is none."""
    if not isinstance(stream, cuda.streams.Stream):
        raise TypeError(f"set_stream(): argument 'stream' must be torch.Stream, not {type(stream).__name__}")


def synchronize(device: Any = None) -> None:
    """Run what is recorded and wait for it."""
    _there().synchronize(device)


def get_device_capability(device: Any = None) -> dict[str, Any]:
    """What an accelerator can do: the element types that it computes with."""
    from jtorch import _dtypes

    _there()
    return {"supported_dtypes": {k for k in _dtypes.ALL.values() if k.np is not None}}


def empty_cache() -> None:
    """XLA keeps its own pool; there is nothing to give back."""
    _there().empty_cache()


def memory_stats(device_index: Any = None, /) -> Any:
    """torch's names for what XLA counts."""
    return _there().memory_stats(device_index)


def memory_allocated(device_index: Any = None, /) -> int:
    """Bytes in use."""
    return int(_there().memory_allocated(device_index))


def max_memory_allocated(device_index: Any = None, /) -> int:
    """The most bytes that were in use."""
    return int(_there().max_memory_allocated(device_index))


def memory_reserved(device_index: Any = None, /) -> int:
    """Bytes of XLA's pool."""
    return int(_there().memory_reserved(device_index))


def max_memory_reserved(device_index: Any = None, /) -> int:
    """The most bytes that the pool had."""
    return int(_there().max_memory_reserved(device_index))


def reset_accumulated_memory_stats(device_index: Any = None, /) -> None:
    """XLA counts on."""
    _there().reset_accumulated_memory_stats(device_index)


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """Peaks count from here."""
    _there().reset_peak_memory_stats(device_index)


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """(free, total) bytes."""
    found: tuple[int, int] = _there().mem_get_info(device_index)
    return found


memory = sys.modules[__name__]  # torch keeps the functions of memory in a module of that name as well
