"""Which data pipes a data pipe reads from."""

from __future__ import annotations

import warnings
from typing import Any

from .datapipes import IterDataPipe, MapDataPipe

__all__ = ["traverse", "traverse_dps"]

Graph = dict[int, tuple[Any, Any]]


def traverse_dps(datapipe: Any) -> Graph:
    """``{id(pipe): (pipe, the same of those it reads from)}``."""
    return _traverse(datapipe, frozenset())


def traverse(datapipe: Any, only_datapipe: bool | None = None) -> Graph:
    """As ``traverse_dps``. Deprecated in torch."""
    warnings.warn("`traverse` function and will be removed after 1.13. Please use `traverse_dps` instead.", FutureWarning, stacklevel=2)
    return traverse_dps(datapipe)


def _traverse(pipe: Any, above: frozenset[int]) -> Graph:
    if not isinstance(pipe, (IterDataPipe, MapDataPipe)):
        raise RuntimeError(f"Expected `IterDataPipe` or `MapDataPipe`, but {type(pipe)} is found")
    if id(pipe) in above:
        return {}
    below: Graph = {}
    for source in _sources(vars(pipe)):
        below.update(_traverse(source, above | {id(pipe)}))
    return {id(pipe): (pipe, below)}


def _sources(value: Any) -> list[Any]:
    """The pipes in the attributes of a pipe, and in containers and functions among them."""
    if isinstance(value, (IterDataPipe, MapDataPipe)):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    elif callable(value):
        value = [*(c.cell_contents for c in getattr(value, "__closure__", None) or ()), getattr(value, "__self__", None)]
    return [found for v in value for found in _sources(v)] if isinstance(value, (list, tuple, set)) else []
