"""``torch.distributed._functional_collectives``: collectives that give new tensors. Those called ``..._autograd`` and ``all_reduce`` have gradients.

They are waited for when they are called, so that :func:`wait_tensor` has nothing to do.
"""

from __future__ import annotations

import functools
from typing import Any

from jtorch._engine.values import heard
from jtorch._public import torch
from jtorch.library import collectives as operators

from . import _differentiable as d
from ._groups import get_global_rank, get_group_rank, group_of
from ._reduce_op import ReduceOp

__all__ = ["AsyncCollectiveTensor", "all_gather_single", "all_gather_tensor", "all_gather_tensor_autograd", "all_reduce", "all_to_all_single", "all_to_all_single_autograd", "broadcast", "permute_tensor", "reduce_scatter_single", "reduce_scatter_tensor", "reduce_scatter_tensor_autograd", "wait_tensor"]


class AsyncCollectiveTensor:
    """What torch gives while a collective is under way. Nothing here is one."""


def wait_tensor(tensor: Any) -> Any:
    """The tensor."""
    return tensor


def _counts(name: str) -> Any:
    """What the function does counts as the operator of this name."""

    def declare(fn: Any) -> Any:
        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not heard.listeners:
                return fn(*args, **kwargs)
            with heard.as_one(f"c10d_functional.{name}"):
                return fn(*args, **kwargs)

        return call

    return declare


def _op(name: str) -> Any:
    found = getattr(ReduceOp, name.upper(), None)
    if found is None:
        raise RuntimeError(f"Unrecognized reduce_op: {name}")
    return found


@_counts("broadcast")
def broadcast(self: Any, src: int, group: Any, tag: str = "") -> Any:
    """What process ``src`` of the world has."""
    g = group_of(group)
    return d.broadcast(self, get_group_rank(g, src), g)


@_counts("all_reduce")
def all_reduce(self: Any, reduceOp: str, group: Any, tag: str = "") -> Any:
    """What all have, reduced by "sum", "avg" and so on."""
    return d.all_reduce(self, _op(reduceOp), group_of(group))


@_counts("all_gather_into_tensor")
def all_gather_tensor(self: Any, gather_dim: int, group: Any, tag: str = "") -> Any:
    """What each has, joined along a dim."""
    g = group_of(group)
    whole = d.all_gather_one(self.contiguous(), g)
    return whole if gather_dim == 0 else torch.cat(torch.chunk(whole, g.size(), 0), gather_dim)


@_counts("reduce_scatter_tensor")
def reduce_scatter_tensor(self: Any, reduceOp: str, scatter_dim: int, group: Any, tag: str = "") -> Any:
    """This process's part along a dim of what all have, reduced."""
    g = group_of(group)
    if self.shape[scatter_dim] % g.size():
        raise AssertionError(f"input dimension {scatter_dim} ({self.shape[scatter_dim]}) must be a multiple of group_size {g.size()}")
    rows = self if scatter_dim == 0 else torch.cat(torch.chunk(self, g.size(), scatter_dim), 0)
    return d.reduce_scatter_one(rows, _op(reduceOp), g)


@_counts("all_to_all_single")
def all_to_all_single(self: Any, output_split_sizes: Any, input_split_sizes: Any, group: Any, tag: str = "") -> Any:
    """Parts along the first dim to the processes, theirs joined."""
    return d.exchange_one(self, output_split_sizes, input_split_sizes, group_of(group))


@_counts("all_to_all_single")
def permute_tensor(self: Any, src_dst: Any, group: Any, tag: str = "") -> Any:
    """Process i's tensor to process ``src_dst[i]``."""
    g = group_of(group)
    sends, takes = [0] * g.size(), [0] * g.size()
    for source, to in enumerate(src_dst):
        if source == g.rank():
            sends[to] = self.numel()
        if to == g.rank():
            takes[source] = self.numel()
    return d.exchange_one(self.reshape(-1), takes, sends, g).reshape(self.shape)


all_gather_single = all_gather_tensor_autograd = all_gather_single_autograd = all_gather_tensor
reduce_scatter_single = reduce_scatter_tensor_autograd = reduce_scatter_single_autograd = reduce_scatter_tensor
all_to_all_single_autograd = all_to_all_single


def all_reduce_coalesced(self: Any, reduceOp: str, group: Any, tag: str = "") -> list[Any]:
    """:func:`all_reduce` of each."""
    return [all_reduce(t, reduceOp, group) for t in self]


def all_gather_into_tensor_coalesced(self: Any, group: Any, tag: str = "") -> list[Any]:
    """:func:`all_gather_tensor` of each, along the first dim."""
    return [all_gather_tensor(t, 0, group) for t in self]


def reduce_scatter_tensor_coalesced(inputs: Any, reduceOp: str, scatter_dim: Any, group: Any, tag: str = "") -> list[Any]:
    """:func:`reduce_scatter_tensor` of each."""
    return [reduce_scatter_tensor(t, reduceOp, dim, group) for t, dim in zip(inputs, scatter_dim, strict=True)]


def _from_rank(x: Any, src: int, group: Any) -> Any:
    return broadcast(x, get_global_rank(group_of(group), src), group)


operators.kernels.update({
    "all_reduce": all_reduce, "broadcast": _from_rank, "all_gather_into_tensor": lambda x, size, group: all_gather_tensor(x, 0, group),
    "reduce_scatter_tensor": lambda x, op, size, group: reduce_scatter_tensor(x, op, 0, group), "all_to_all_single": lambda x, taken, given, group: all_to_all_single(x, list(taken), list(given), group),
})  # fmt: skip
