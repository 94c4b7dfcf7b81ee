"""What belongs to an entry of a checkpoint."""

from __future__ import annotations

from typing import Any

from jtorch._public import torch
from jtorch.distributed.tensor._api import DTensor

from .metadata import MetadataIndex

__all__ = ["find_state_dict_object", "find_tensor_shard"]


def find_tensor_shard(tensor: Any, index: MetadataIndex) -> Any:
    """A tensor, or this process's part of a DTensor. ValueError where the part does not begin at ``index.offset``."""
    if isinstance(tensor, DTensor):
        return tensor.to_local()
    if index.offset is not None and tuple(index.offset) != (0,) * tensor.dim():
        raise ValueError(f"FQN: '{index.fqn}' is not a ShardedTensor, can't find by offset: '{index.offset}'")
    return tensor


def find_state_dict_object(state_dict: Any, index: MetadataIndex) -> Any:
    """The entry of this name. ValueError if there is none, and for a place in what is no tensor."""
    if index.fqn not in state_dict:
        raise ValueError(f"Could not find FQN: '{index.fqn}'")
    found = state_dict[index.fqn]
    if isinstance(found, torch.Tensor):
        return find_tensor_shard(found, index)
    if index.offset is not None:
        raise ValueError(f"FQN: '{index.fqn}' is not a ShardedTensor, can't find by offset: '{index.offset}'")
    return found
