"""``pin_memory``: on the way to an accelerator JAX copies through pinned memory of its own, so batches pass through as they are."""

from __future__ import annotations

import collections.abc
import queue
from typing import Any

from jtorch._public import torch
from jtorch._utils import ExceptionWrapper

from .channel import MP_STATUS_CHECK_INTERVAL
from .collate import _like_mapping, _like_sequence


def pin_memory(data: Any, device: Any = None) -> Any:
    """``data`` with ``.pin_memory()`` called on every tensor and every object that has it, through containers."""
    if isinstance(data, torch.Tensor):
        return data
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, collections.abc.Mapping):
        return _like_mapping(data, lambda: {key: pin_memory(value, device) for key, value in data.items()})
    if isinstance(data, tuple):
        parts = [pin_memory(part, device) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else type(data)(parts)
    if isinstance(data, collections.abc.Sequence):
        return _like_sequence(data, lambda: [pin_memory(part, device) for part in data])
    return data


def _pin_memory_loop(in_queue: Any, out_queue: Any, device_id: Any, done_event: Any, device: Any = None) -> None:
    """What a thread of a loader does that libraries build of these parts: (number, batch) from one queue to the other, pinned."""
    while not done_event.is_set():
        try:
            found = in_queue.get(timeout=MP_STATUS_CHECK_INTERVAL)
        except queue.Empty:
            continue
        number, data = found
        if not isinstance(data, ExceptionWrapper):
            try:
                data = pin_memory(data, device)
            except Exception:
                data = ExceptionWrapper(where=f"in pin memory thread for device {device_id}")
        while not done_event.is_set():
            try:
                out_queue.put((number, data), timeout=MP_STATUS_CHECK_INTERVAL)
                break
            except queue.Full:
                continue
