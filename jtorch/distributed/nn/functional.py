"""Collectives with gradients. Source: https://docs.pytorch.org/docs/stable/distributed.html"""

from __future__ import annotations

from typing import Any

from jtorch.distributed import _differentiable as d
from jtorch.distributed._groups import get_group_rank, resolve
from jtorch.distributed._reduce_op import ReduceOp

__all__ = ["all_gather", "all_reduce", "all_to_all", "all_to_all_single", "broadcast", "gather", "reduce", "reduce_scatter", "scatter"]


def broadcast(tensor: Any, src: int, group: Any = None) -> Any:
    """What process ``src`` has, as a new tensor."""
    g = resolve(group)
    return d.broadcast(tensor, get_group_rank(g, src), g)


def gather(tensor: Any, dst: int = 0, group: Any = None) -> tuple[Any, ...]:
    """At ``dst`` what each has, elsewhere zeros."""
    g = resolve(group)
    return d.gather(tensor, get_group_rank(g, dst), g)


def scatter(tensors: Any, src: int = 0, group: Any = None) -> Any:
    """This process's tensor of those of ``src``."""
    g = resolve(group)
    return d.scatter(tensors, get_group_rank(g, src), g)


def reduce(tensor: Any, dst: int, op: Any = ReduceOp.SUM, group: Any = None) -> Any:
    """At ``dst`` what all have, reduced."""
    g = resolve(group)
    return d.reduce(tensor, get_group_rank(g, dst), op, g)


def reduce_scatter(output: Any, input_list: Any, op: Any = ReduceOp.SUM, group: Any = None) -> Any:
    """This process's tensor of those that all have, reduced."""
    return d.reduce_scatter(input_list, op, resolve(group))


def all_gather(tensor: Any, group: Any = None) -> tuple[Any, ...]:
    """What each has."""
    return d.all_gather(tensor, resolve(group))


def _all_gather_base(output_tensor: Any, input_tensor: Any, group: Any = None) -> Any:
    return d.all_gather_one(input_tensor, resolve(group)).reshape(output_tensor.shape)


def all_to_all(output_tensor_list: Any, input_tensor_list: Any, group: Any = None) -> tuple[Any, ...]:
    """The i-th tensor to process i."""
    return d.exchange(input_tensor_list, output_tensor_list, resolve(group))


def all_to_all_single(output: Any, input: Any, output_split_sizes: Any = None, input_split_sizes: Any = None, group: Any = None) -> Any:
    """Parts along the first dim to the processes."""
    return d.exchange_one(input, output_split_sizes, input_split_sizes, resolve(group))


def all_reduce(tensor: Any, op: Any = ReduceOp.SUM, group: Any = None) -> Any:
    """What all have, reduced."""
    return d.all_reduce(tensor, op, resolve(group))
