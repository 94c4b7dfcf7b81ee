"""Splitting arguments over devices, copies of a module, and joining results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._namespace import torch

__all__ = ["gather", "parallel_apply", "replicate", "scatter", "scatter_kwargs"]


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


def replicate(network: Any, devices: Sequence[Any], detach: bool = False) -> list[Any]:
    """Copies of ``network`` on the devices; gradients flow back to it unless ``detach``."""
    modules = list(network.modules())
    index = {id(module): i for i, module in enumerate(modules)}
    replicas = []
    for device in map(_device, devices):
        copies = [module._replicate_for_data_parallel() for module in modules]
        moved: dict[int, Any] = {}
        for module, copy in zip(modules, copies):
            for name, param in module._parameters.items():
                if param is None:
                    copy._parameters[name] = None
                    continue
                if id(param) not in moved:
                    moved[id(param)] = (param.detach() if detach else param).to(device)
                # A plain attribute: what was moved is no leaf, so it cannot be a parameter.
                copy.__dict__[name] = moved[id(param)]
            for name, buffer in module._buffers.items():
                copy._buffers[name] = None if buffer is None else buffer.detach().to(device)
            for name, child in module._modules.items():
                copy._modules[name] = None if child is None else copies[index[id(child)]]
        replicas.append(copies[0])
    return replicas


def parallel_apply(
    modules: Sequence[Any], inputs: Sequence[Any], kwargs_tup: Sequence[Any] | None = None, devices: Any = None
) -> list[Any]:
    """Each module on its own arguments (execution is asynchronous, so no threads are needed)."""
    keywords = kwargs_tup if kwargs_tup is not None else ({},) * len(modules)
    results = []
    for module, args, kwargs in zip(modules, inputs, keywords):
        results.append(module(*(args if isinstance(args, (list, tuple)) else (args,)), **kwargs))
    return results


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
