"""Attention over a sequence of which each rank has a part. Source: https://docs.pytorch.org/docs/stable/distributed.tensor.html#torch.distributed.tensor.experimental.context_parallel

Keys and values are gathered (torch's default way as well; each rank then attends from its own queries), and the derivative of gathering gives each rank the sum of the gradients of its part.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.distributed._placements import Partial, Replicate, Shard
from jtorch.distributed.device_mesh import DeviceMesh
from jtorch.distributed.tensor._api import DTensor, distribute_tensor

__all__ = ["context_parallel", "context_parallel_unshard", "set_rotate_method"]

_SEQUENCE = 2  # the dim of queries, keys and values


class _Options:
    """``enable_load_balance``: rank r of n has the parts r and 2n - 1 - r of 2n, so that all have as much to do under a causal mask."""

    enable_load_balance = True


_cp_options = _Options()


def _order(length: int, n: int) -> Any:
    """Where the elements of a sequence come from when each rank is to have its part in one piece. None if they stay where they are."""
    if not _cp_options.enable_load_balance:
        return None
    if length % (2 * n):
        raise ValueError(f"a sequence of {length} elements cannot be balanced over {n} ranks: it is cut into {2 * n} parts")
    parts = torch.arange(length).reshape(2 * n, -1)
    return parts[[k for r in range(n) for k in (r, 2 * n - 1 - r)]].reshape(-1)


def _own(t: Any, mesh: DeviceMesh, dim: int) -> Any:
    return distribute_tensor(t, mesh, [Shard(dim)], src_data_rank=None).to_local()


def _attention(mesh: DeviceMesh, attend: Any) -> Any:
    """``scaled_dot_product_attention`` of parts of a sequence."""

    def whole(t: Any) -> Any:
        return DTensor.from_local(t, mesh, [Shard(_SEQUENCE)]).redistribute(mesh, [Replicate()]).to_local(grad_placements=[Partial()])

    def scaled_dot_product_attention(
        query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
    ) -> Any:  # fmt: skip
        if attn_mask is not None:
            raise NotImplementedError("attn_bias is not supported yet")
        keys, values = whole(key), whole(value)
        if is_causal:
            length = keys.shape[_SEQUENCE]
            order = _order(length, mesh.size())
            position = torch.arange(length) if order is None else order
            position = position.to(query.device)
            attn_mask = _own(position, mesh, 0)[:, None] >= position
        return attend(query, keys, values, attn_mask=attn_mask, dropout_p=dropout_p, scale=scale, enable_gqa=enable_gqa)

    return scaled_dot_product_attention


@contextmanager
def context_parallel(mesh: DeviceMesh, *, buffers: list[Any] | None = None, buffer_seq_dims: list[int] | None = None, no_restore_buffers: set[Any] | None = None) -> Iterator[None]:
    """Within it each rank has its part of the ``buffers``, in place and cut along these dims, and ``torch.nn.functional.scaled_dot_product_attention`` attends to the whole sequence (causally or to
    all of it). Afterwards they are what they were, but for ``no_restore_buffers``. ValueError for as many dims as there are not buffers, and a sequence that cannot be cut."""
    some, dims, kept = buffers or [], buffer_seq_dims or [], no_restore_buffers or set()
    if len(some) != len(dims):
        raise ValueError("`seq_dims` must have the same number of elements as `buffers`.")
    for b in kept:
        if not any([b is x for x in some]):
            raise ValueError("`no_restore_buffers` must be a subset of `buffers`.")
    functional = torch.nn.functional
    attend = functional.scaled_dot_product_attention
    with torch.no_grad():
        before = [None if any([b is x for x in kept]) else b.clone() for b in some]
        for b, d in zip(some, dims, strict=True):
            order = _order(b.shape[d], mesh.size())
            part = _own(b if order is None else b.index_select(d, order.to(b.device)), mesh, d).clone()
            b.resize_(part.shape)
            b.copy_(part)
    functional.scaled_dot_product_attention = _attention(mesh, attend)
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = attend
        with torch.no_grad():
            for b, was in zip(some, before, strict=True):
                if was is not None:
                    b.resize_(was.shape)
                    b.copy_(was)


def context_parallel_unshard(mesh: DeviceMesh, buffers: list[Any], seq_dims: list[int], load_balancer: Any = None) -> list[Any]:
    """The wholes of which each rank has a part, in the order of the sequence."""
    if load_balancer is not None:
        not_implemented("torch.distributed.tensor.experimental.context_parallel with a load balancer", "head and tail is the one that is there")
    found = []
    with torch.no_grad():
        for b, d in zip(buffers, seq_dims, strict=True):
            whole = DTensor.from_local(b.detach(), mesh, [Shard(d)]).full_tensor()
            order = _order(whole.shape[d], mesh.size())
            found.append(whole if order is None else whole.index_select(d, order.argsort().to(whole.device)))
    return found


def set_rotate_method(rotate_method: str) -> None:
    """How parts come to the ranks is left to XLA; NotImplementedError for what torch does not know either."""
    if rotate_method not in ("allgather", "alltoall"):
        raise NotImplementedError(f"Context Parallel does not support using {rotate_method} for kv shards rotation")
