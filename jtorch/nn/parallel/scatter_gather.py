"""Splitting arguments over devices, and joining results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._public import torch

__all__ = ["gather", "scatter", "scatter_kwargs"]


def _device(which: Any) -> Any:
    if isinstance(which, int):
        return torch.device("cpu") if which < 0 else torch.device("cuda", which)
    return torch.device(which)


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """Tensors in ``inputs`` (nested) split along ``dim``, one part per device; other objects are repeated."""
    count = len(target_gpus)

    def split(obj: Any) -> list[Any]:
        if isinstance(obj, torch.Tensor):
            return [part.to(_device(d)) for part, d in zip(torch.chunk(obj, count, dim), target_gpus)]
        if isinstance(obj, tuple) and hasattr(obj, "_fields"):
            return [type(obj)(*parts) for parts in zip(*map(split, obj))]
        if isinstance(obj, tuple) and obj:
            return list(zip(*map(split, obj)))
        if isinstance(obj, list) and obj:
            return [list(parts) for parts in zip(*map(split, obj))]
        if isinstance(obj, dict) and obj:
            return [type(obj)(zip(obj, parts)) for parts in zip(*map(split, obj.values()))]
        return [obj for _ in target_gpus]

    return split(inputs)


def scatter_kwargs(
    inputs: tuple[Any, ...], kwargs: dict[str, Any] | None, target_gpus: Sequence[Any], dim: int = 0
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """:func:`scatter` of positional and keyword arguments, with as many parts of both."""
    parts: list[Any] = scatter(inputs, target_gpus, dim) if inputs else []
    keywords: list[Any] = scatter(kwargs, target_gpus, dim) if kwargs else []
    parts.extend(() for _ in range(len(keywords) - len(parts)))
    keywords.extend({} for _ in range(len(parts) - len(keywords)))
    return tuple(parts), tuple(keywords)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """Results of several devices (nested alike) joined along ``dim`` on one."""
    device = _device(target_device)
    first = outputs[0]
    if isinstance(first, torch.Tensor):
        if all(out.dim() == 0 for out in outputs):
            return torch.stack([out.to(device) for out in outputs])
        return torch.cat([out.to(device) for out in outputs], dim)
    if first is None:
        return None
    if isinstance(first, dict):
        if not all(len(first) == len(out) for out in outputs):
            raise ValueError("All dicts must have the same number of keys")
        return type(first)((key, gather([out[key] for out in outputs], target_device, dim)) for key in first)
    joined = [gather(parts, target_device, dim) for parts in zip(*outputs)]
    return type(first)(*joined) if hasattr(first, "_fields") else type(first)(joined)
