"""Modules on several devices, each on its part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._public import torch

__all__ = ["get_a_var", "parallel_apply"]


def get_a_var(obj: Any) -> Any:
    """The first tensor in an object (lists, tuples and dicts are gone through), None without one."""
    if isinstance(obj, torch.Tensor):
        return obj
    parts = obj if isinstance(obj, (list, tuple)) else obj.items() if isinstance(obj, dict) else ()
    return next((found for part in parts if (found := get_a_var(part)) is not None), None)


def parallel_apply(
    modules: Sequence[Any], inputs: Sequence[Any], kwargs_tup: Sequence[Any] | None = None, devices: Any = None
) -> list[Any]:
    """Each module on its own arguments (execution is asynchronous, so no threads are needed)."""
    keywords = kwargs_tup if kwargs_tup is not None else ({},) * len(modules)
    results = []
    for module, args, kwargs in zip(modules, inputs, keywords):
        results.append(module(*(args if isinstance(args, (list, tuple)) else (args,)), **kwargs))
    return results
