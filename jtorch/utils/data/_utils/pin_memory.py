"""``pin_memory``: on the way to an accelerator JAX copies through pinned memory of its own, so batches pass through as they are."""

from __future__ import annotations

import collections.abc
from typing import Any

from jtorch._public import torch

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
