"""``torch.utils.data.graph_settings``: settings for every pipe that a data pipe reads from."""

from __future__ import annotations

from typing import Any

from jtorch._public import torch

from .graph import Graph, traverse_dps

__all__ = ["apply_random_seed", "apply_sharding", "apply_shuffle_seed", "apply_shuffle_settings", "get_all_graph_pipes"]


def get_all_graph_pipes(graph: Graph) -> list[Any]:
    """Every pipe of a graph, once."""
    found: dict[int, Any] = {}

    def walk(part: Graph) -> None:
        for key, (pipe, below) in part.items():
            found.setdefault(key, pipe)
            walk(below)

    walk(graph)
    return list(found.values())


def apply_sharding(datapipe: Any, num_of_instances: int, instance_id: int, sharding_group: Any = None) -> Any:
    """Tell the pipes that share the data out which share is theirs."""
    for pipe in get_all_graph_pipes(traverse_dps(datapipe)):
        if callable(getattr(pipe, "apply_sharding", None)):
            pipe.apply_sharding(num_of_instances, instance_id, *(() if sharding_group is None else (sharding_group,)))
    return datapipe


def apply_shuffle_settings(datapipe: Any, shuffle: bool | None = None) -> Any:
    """Switch shuffling on or off."""
    if shuffle is not None:
        for pipe in get_all_graph_pipes(traverse_dps(datapipe)):
            if callable(getattr(pipe, "set_shuffle", None)) and callable(getattr(pipe, "set_seed", None)):
                pipe.set_shuffle(shuffle)
    return datapipe


def apply_random_seed(datapipe: Any, rng: Any) -> Any:
    """Give each pipe that draws random numbers a seed drawn from ``rng``."""
    for pipe in get_all_graph_pipes(traverse_dps(datapipe)):
        if callable(getattr(pipe, "set_seed", None)):
            pipe.set_seed(int(torch.empty((), dtype=torch.int64).random_(generator=rng).item()))
    return datapipe


def apply_shuffle_seed(datapipe: Any, rng: Any) -> Any:
    """The older name."""
    return apply_random_seed(datapipe, rng)
