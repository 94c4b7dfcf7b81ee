"""``torch.ops._c10d_functional``: collectives as operators, by their schemas. ``torch.distributed._functional_collectives`` does the work, which waits by itself: a tensor that was waited for is the
tensor. Those of ``_c10d_functional_autograd`` have gradients. The schemas of ``c10d`` and ``c10d_functional`` are there to be named in tables alone: a call is refused as that of any operator without a kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._public import torch

from .libraries import Library

__all__: list[str] = []

_GROUP = "Any group_name) -> Tensor"
_SCHEMAS = (
    f"all_reduce(Tensor input, str reduce_op, {_GROUP}", f"all_reduce_(Tensor(a!) input, str reduce_op, {_GROUP}(a!)", f"all_reduce_coalesced(Tensor[] inputs, str reduce_op, {_GROUP}[]",
    f"all_reduce_coalesced_(Tensor[](a!) inputs, str reduce_op, {_GROUP}[](a!)", "all_gather_into_tensor_out(Tensor input, int group_size, Any group_name, *, Tensor(a!) out) -> Tensor(a!)",
    f"all_gather_into_tensor(Tensor input, int group_size, {_GROUP}", f"all_gather_into_tensor_coalesced(Tensor[] inputs, int group_size, {_GROUP}[]",
    f"reduce_scatter_tensor(Tensor input, str reduce_op, int group_size, {_GROUP}", f"reduce_scatter_tensor_coalesced(Tensor[] inputs, str reduce_op, int group_size, {_GROUP}[]",
    f"all_to_all_single(Tensor input, SymInt[] output_split_sizes, SymInt[] input_split_sizes, {_GROUP}",
    f"broadcast(Tensor input, int src, {_GROUP}", f"broadcast_(Tensor(a!) input, int src, {_GROUP}(a!)",
)  # fmt: skip
_c10d, _autograd = Library("_c10d_functional", "FRAGMENT"), Library("_c10d_functional_autograd", "FRAGMENT")


kernels: dict[str, Callable[..., Any]] = {}  # by name, as (tensor, ..., group): set by torch.distributed, without which there is no group


def _kernel(name: str) -> Callable[..., Any]:
    """What an operator of this name does: as the one that it is called after, of each of a list (``_coalesced``), or into what is given (``_``, ``_out``)."""
    base = name.removesuffix("_").removesuffix("_out").removesuffix("_coalesced")
    several = "_coalesced" in name

    def apply(x: Any, *args: Any) -> Any:
        one = kernels[base]
        return [one(t, *args) for t in x] if several else one(x, *args)

    def call(x: Any, *args: Any, out: Any = None) -> Any:
        with torch.no_grad():
            found = apply(x, *args)
            if name.endswith("_"):
                for t, new in zip(x, found, strict=True) if several else [(x, found)]:
                    t.copy_(new)
                return x
            return found if out is None else out.copy_(found)

    return call


for _schema in _SCHEMAS:
    _name = _schema.partition("(")[0]
    _c10d.impl(_c10d.define(_schema), _kernel(_name), "CompositeExplicitAutograd")
    if _name in ("all_gather_into_tensor", "reduce_scatter_tensor", "all_to_all_single"):
        _autograd.impl(_autograd.define(_schema), lambda x, *args, name=_name: kernels[name](x, *args), "CompositeImplicitAutograd")
_groups = Library("c10d", "FRAGMENT")
for _schema in (
    "scatter_(Tensor[] output_tensors, Tensor[][] input_tensors, Any process_group, int root_rank, bool async_op=True, int timeout=-1) -> (Tensor[], Any)",
    "broadcast_(Tensor[] tensors, Any process_group, int root_rank, int root_tensor, bool async_op=True, int timeout=-1) -> (Tensor[], Any)",
    "allreduce_(Tensor[] tensors, Any process_group, Any reduce_op, Tensor? sparse_indices, bool async_op=True, int timeout=-1) -> (Tensor[], Any)",
    "_allgather_base_(Tensor output_tensor, Tensor input_tensor, Any process_group, bool async_op=True, int timeout=-1) -> (Tensor, Any)",
    "allgather_(Tensor[][] output_tensors, Tensor[] input_tensors, Any process_group, bool async_op=True, int timeout=-1) -> (Tensor[][], Any)",
    "allgather_coalesced_(Tensor[][] output_lists, Tensor[] input_list, Any process_group, bool async_op=True) -> Any",
    "alltoall_(Tensor[] output_tensors, Tensor[] input_tensors, Any process_group, bool async_op=True, int timeout=-1) -> (Tensor[], Any)",
    "alltoall_base_(Tensor output, Tensor input, Any process_group, int[] output_split_sizes, int[] input_split_sizes, bool async_op=True, int timeout=-1) -> Any",
    "gather_(Tensor[][] output_tensors, Tensor[] input_tensors, Any process_group, int root_rank, bool async_op=True, int timeout=-1) -> Any",
    "reduce_(Tensor[] tensors, Any process_group, Any reduce_op, int root_rank, int root_tensor, bool async_op=True, int timeout=-1) -> Any",
    "reduce_scatter_(Tensor[] output_tensors, Tensor[][] input_tensors, Any process_group, Any reduce_op, bool async_op=True, int timeout=-1) -> (Tensor[], Any)",
    "allreduce_coalesced_(Tensor[] tensors, Any process_group, Any reduce_op, bool async_op=True, int timeout=-1) -> Any",
    "_reduce_scatter_base_(Tensor output_tensor, Tensor input_tensor, Any process_group, Any reduce_op, bool async_op=True, int timeout=-1) -> (Tensor, Any)",
):
    _groups.define(_schema)
_older, _RANKS = Library("c10d_functional", "FRAGMENT"), "str tag, int[] ranks, int group_size) -> Tensor"
for _schema in (
    f"all_reduce(Tensor self, str reduceOp, {_RANKS}", f"all_gather_into_tensor(Tensor shard, {_RANKS}", f"reduce_scatter_tensor(Tensor input, str reduceOp, {_RANKS}",
    f"broadcast(Tensor self, int src, {_RANKS}", f"all_to_all_single(Tensor input, SymInt[]? output_split_sizes, SymInt[]? input_split_sizes, {_RANKS}", f"all_reduce_coalesced(Tensor[] self, str reduceOp, {_RANKS}[]", f"all_gather_into_tensor_coalesced(Tensor[] input, {_RANKS}[]",
):
    _older.define(_schema)
_older.impl(_older.define("wait_tensor(Tensor self) -> Tensor"), lambda self: self, "CompositeImplicitAutograd")
for _schema in ("wait_tensor(Tensor tensor) -> Tensor", "_wrap_tensor_autograd(Tensor input) -> Tensor"):
    _c10d.impl(_c10d.define(_schema), lambda tensor: tensor, "CompositeImplicitAutograd")
