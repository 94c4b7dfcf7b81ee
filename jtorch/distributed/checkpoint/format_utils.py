"""Checkpoints of many ranks as one file, and back."""

from __future__ import annotations

import os
from typing import Any

from jtorch._public import torch
from jtorch.distributed import _collectives, _groups
from jtorch.futures import Future

from ._flat import flattened
from .default_planner import DefaultLoadPlanner, _EmptyStateDictLoadPlanner
from .filesystem import FileSystemReader
from .metadata import ChunkStorageMetadata, Metadata, TensorProperties, TensorStorageMetadata
from .planner import LoadItemType, LoadPlan
from .state_dict_loader import _load_state_dict
from .state_dict_saver import save
from .storage import StorageReader

__all__ = ["BroadcastingTorchSaveReader", "DynamicMetaLoadPlanner", "dcp_to_torch_save", "torch_save_to_dcp"]


class BroadcastingTorchSaveReader(StorageReader):
    """Reads a file of ``torch.save``: rank ``coordinator_rank`` reads it, the others get each tensor from it. To be used with :class:`DynamicMetaLoadPlanner`. Tensors alone; RuntimeError for others."""

    def __init__(self, checkpoint_id: Any = None, coordinator_rank: int = 0) -> None:
        self.checkpoint_id, self.coordinator_rank = checkpoint_id, coordinator_rank

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Nothing: the planner knows."""
        return Metadata(state_dict_metadata={})

    def read_data(self, plan: LoadPlan, planner: Any) -> Future[None]:
        """Read, send, and put each rank's part where it belongs."""
        held: Any = None
        if self.is_coordinator:
            held = torch.load(self.checkpoint_id, map_location="cpu", weights_only=False)
            if planner.flatten_state_dict:
                held, _ = flattened(held)
        for item in plan.items:
            name = item.storage_index.fqn
            if item.type is LoadItemType.BYTE_IO:
                raise RuntimeError(f"Non-tensor value identified at {name}. At this time {type(self).__name__} only supports loading Tensors.")
            known = planner.metadata.state_dict_metadata[name]
            t = held[name] if self.is_coordinator else torch.empty(tuple(known.size), dtype=known.properties.dtype)
            if _groups.is_initialized():
                _collectives.broadcast(t, src=self.coordinator_rank)
            for d, (start, n) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
                t = t.narrow(d, start, n)
            target = planner.resolve_tensor(item).detach()
            if target.size() != t.size():
                raise AssertionError(f"req {item.storage_index} mismatch sizes, {target.size()} vs {t.size()}")
            target.copy_(t)
            planner.commit_tensor(item, target)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Who this is. AssertionError without a file."""
        self.is_coordinator = is_coordinator
        if is_coordinator and _groups.is_initialized() and _groups.get_rank() != self.coordinator_rank:
            raise AssertionError(f"Coordinator rank mismatch: expected {self.coordinator_rank}, got {_groups.get_rank()}")
        if self.checkpoint_id is None:
            raise AssertionError("checkpoint_id must be set before setting up storage reader")

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """As it is."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """As they are."""
        return plans

    def reset(self, checkpoint_id: Any = None) -> None:
        """Another file."""
        self.checkpoint_id = checkpoint_id

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Whether it is a file."""
        return os.path.isfile(checkpoint_id)


class DynamicMetaLoadPlanner(DefaultLoadPlanner):
    """Takes what is in the state dict for what is in the file. RuntimeError for what is no tensor."""

    def set_up_planner(self, state_dict: Any, metadata: Metadata | None = None, is_coordinator: bool = False) -> None:
        """What is to be read."""
        super().set_up_planner(state_dict, metadata, is_coordinator)
        found: dict[str, Any] = {}
        for name, t in self.state_dict.items():
            if not isinstance(t, torch.Tensor):
                raise RuntimeError(f"Non-tensor value identified at {name}. At this time {type(self).__name__} only supports loading Tensors.")
            whole = ChunkStorageMetadata(torch.Size([0] * t.dim()), torch.Size(t.shape))  # the file has all of it
            found[name] = TensorStorageMetadata(TensorProperties(dtype=t.dtype), t.size(), [whole])
        self.metadata = Metadata(state_dict_metadata=found)


def dcp_to_torch_save(dcp_checkpoint_dir: Any, torch_save_path: Any) -> None:
    """What a folder has, as one file of ``torch.save``. One process does it."""
    out: dict[str, Any] = {}
    _load_state_dict(out, FileSystemReader(dcp_checkpoint_dir), planner=_EmptyStateDictLoadPlanner(), no_dist=True)
    torch.save(out, torch_save_path)


def torch_save_to_dcp(torch_save_path: Any, dcp_checkpoint_dir: Any) -> None:
    """The other way round."""
    save(torch.load(torch_save_path, weights_only=False), checkpoint_id=dcp_checkpoint_dir, no_dist=True)
