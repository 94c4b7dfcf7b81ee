"""Modules on several devices, each on its part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["parallel_apply"]


def parallel_apply(
    modules: Sequence[Any], inputs: Sequence[Any], kwargs_tup: Sequence[Any] | None = None, devices: Any = None
) -> list[Any]:
    """Each module on its own arguments (execution is asynchronous, so no threads are needed)."""
    keywords = kwargs_tup if kwargs_tup is not None else ({},) * len(modules)
    results = []
    for module, args, kwargs in zip(modules, inputs, keywords):
        results.append(module(*(args if isinstance(args, (list, tuple)) else (args,)), **kwargs))
    return results
