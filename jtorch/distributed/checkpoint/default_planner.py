"""The usual planners."""

from __future__ import annotations

import io
from typing import Any

from jtorch._public import torch
from jtorch.distributed.tensor._api import DTensor

from ._boxes import Filling, box, boxes
from ._flat import flattened, put
from .metadata import (
    BytesStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from .planner import LoadItemType, LoadPlan, LoadPlanner, ReadItem, SavePlan, SavePlanner, TensorWriteData, WriteItem, WriteItemType
from .planner_helpers import create_read_items_for_chunk_list

__all__ = ["create_default_global_load_plan", "DefaultLoadPlanner", "DefaultSavePlanner", "create_default_global_save_plan", "create_default_local_load_plan", "create_default_local_save_plan"]


def create_default_local_save_plan(state_dict: dict[str, Any], is_coordinator: bool) -> SavePlan:
    """What this rank has; what is no tensor, the first rank's."""
    items: list[WriteItem] = []
    for name, x in state_dict.items():
        if isinstance(x, torch.Tensor):
            kind = WriteItemType.SHARD if isinstance(x, DTensor) else WriteItemType.TENSOR
            for b in boxes(x):
                items.append(WriteItem(MetadataIndex(name, b.offsets), kind, tensor_data=TensorWriteData(b, TensorProperties.create_from_tensor(x), torch.Size(x.shape))))
        elif is_coordinator:
            items.append(WriteItem(MetadataIndex(name), WriteItemType.BYTE_IO))
    return SavePlan(items)


def create_default_global_save_plan(all_plans: list[SavePlan], rewrite_index_hints: bool = True) -> tuple[list[SavePlan], Metadata]:
    """What is written in all. A box that several ranks have is written by the first."""
    found: dict[str, Any] = {}
    seen: set[Any] = set()
    plans = []
    for plan in all_plans:
        items = []
        for item in plan.items:
            if item.index in seen:
                continue
            seen.add(item.index)
            name, data = item.index.fqn, item.tensor_data
            if data is None:
                found[name] = BytesStorageMetadata()
                items.append(item)
                continue
            whole = found.setdefault(name, TensorStorageMetadata(data.properties, data.size, []))
            items.append(WriteItem(MetadataIndex(name, item.index.offset, len(whole.chunks)), item.type, item.bytes_io_data, data))
            whole.chunks.append(data.chunk)
        plans.append(SavePlan(items, plan.storage_data, plan.planner_data, plan.usable))
    return plans, Metadata(found)


class DefaultSavePlanner(SavePlanner):
    """Nested dicts are flattened, each box is written once."""

    def __init__(self, flatten_state_dict: bool = True, flatten_sharded_tensors: bool = True, dedup_replicated_tensors: Any = None, dedup_save_to_lowest_rank: bool = False, enable_plan_caching: bool = False) -> None:
        self.flatten_state_dict = flatten_state_dict
        self.mappings: Any = {}

    def set_up_planner(self, state_dict: Any, storage_meta: StorageMeta | None = None, is_coordinator: bool = False) -> None:
        """What is to be written."""
        if self.flatten_state_dict:
            state_dict, self.mappings = flattened(state_dict)
        self.state_dict, self.is_coordinator = state_dict, is_coordinator

    def create_local_plan(self) -> SavePlan:
        """What this rank has."""
        made = create_default_local_save_plan(self.state_dict, self.is_coordinator)
        self.plan = SavePlan(made.items, planner_data=self.mappings) if self.flatten_state_dict else made
        return self.plan

    def create_global_plan(self, all_plans: list[SavePlan]) -> tuple[list[SavePlan], Metadata]:
        """Who writes what."""
        self.global_plan, metadata = create_default_global_save_plan(all_plans)
        if self.flatten_state_dict:
            metadata.planner_data = {k: v for p in all_plans for k, v in (p.planner_data or {}).items()}
        self.metadata = metadata
        return self.global_plan, metadata

    def finish_plan(self, new_plan: SavePlan) -> SavePlan:
        """As it is."""
        self.plan = new_plan
        return new_plan

    def resolve_data(self, write_item: WriteItem) -> Any:
        """The box, or the pickled object."""
        return self.transform_object(write_item, self.lookup_object(write_item.index))

    def lookup_object(self, index: MetadataIndex) -> Any:
        """What has this name."""
        return self.state_dict[index.fqn]

    def transform_object(self, write_item: WriteItem, object: Any) -> Any:
        """What is written of it."""
        if write_item.type is WriteItemType.BYTE_IO:
            out = io.BytesIO()
            torch.save(object, out)
            return out
        assert write_item.tensor_data is not None
        return box(object, write_item.tensor_data.chunk)


def create_default_global_load_plan(all_plans: list[LoadPlan]) -> list[LoadPlan]:
    """As they are: ranks read what they want."""
    return all_plans


def create_default_local_load_plan(state_dict: dict[str, Any], metadata: Metadata, strict: bool = True, wanted: Any = None) -> LoadPlan:
    """The boxes that this rank wants. RuntimeError for names that are not there, if ``strict``; ValueError for another size."""
    items: list[ReadItem] = []
    for name, x in state_dict.items():
        known = metadata.state_dict_metadata.get(name)
        if known is None:
            if strict:
                raise RuntimeError(f"Missing key in checkpoint state_dict: {name}.")
            continue
        if isinstance(known, TensorStorageMetadata) and isinstance(x, torch.Tensor):
            if tuple(known.size) != tuple(x.shape):
                raise ValueError(f"Size mismatch between saved {known.size} and current: {x.size()} for {name}")
            items += create_read_items_for_chunk_list(name, known, boxes(x) if wanted is None else wanted(name, x))
        elif isinstance(known, BytesStorageMetadata):
            items.append(ReadItem(LoadItemType.BYTE_IO, MetadataIndex(name), torch.Size((0,)), MetadataIndex(name), torch.Size((0,)), torch.Size((0,))))
        else:
            raise RuntimeError(f"{name} is a tensor in the checkpoint and {type(x).__name__} in the state_dict")
    return LoadPlan(items)


class DefaultLoadPlanner(LoadPlanner):
    """Reads into what is there: tensors in place, other things by replacing them."""

    def __init__(self, flatten_state_dict: bool = True, flatten_sharded_tensors: bool = True, allow_partial_load: bool = False) -> None:
        self.flatten_state_dict, self.allow_partial_load = flatten_state_dict, allow_partial_load
        self.mappings: Any = {}

    def set_up_planner(self, state_dict: Any, metadata: Metadata | None = None, is_coordinator: bool = False) -> None:
        """What is to be read."""
        self.original_state_dict = state_dict
        if self.flatten_state_dict:
            state_dict, self.mappings = flattened(state_dict)
        self.state_dict, self.metadata, self.is_coordinator = state_dict, metadata, is_coordinator
        self._filling: dict[str, Filling] = {}

    def _fill(self, name: str) -> Filling:
        found = self._filling.get(name)
        if found is None:
            found = self._filling[name] = Filling(self.state_dict[name])
        return found

    def create_local_plan(self) -> LoadPlan:
        """The boxes that this rank wants."""
        assert self.metadata is not None
        return create_default_local_load_plan(self.state_dict, self.metadata, not self.allow_partial_load, lambda name, x: self._fill(name).boxes)

    def create_global_plan(self, global_plan: list[LoadPlan]) -> list[LoadPlan]:
        """As they are."""
        return create_default_global_load_plan(global_plan)

    def finish_plan(self, central_plan: LoadPlan) -> LoadPlan:
        """As it is."""
        return central_plan

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Put the object where it belongs."""
        name = read_item.dest_index.fqn
        x = torch.load(value, weights_only=False)
        self.state_dict[name] = x
        if self.flatten_state_dict:
            put(self.original_state_dict, self.mappings[name], x)

    def resolve_tensor(self, read_item: ReadItem) -> Any:
        """The part of a tensor that a box goes to."""
        return self.transform_tensor(read_item, self.lookup_tensor(read_item.dest_index))

    def commit_tensor(self, read_item: ReadItem, tensor: Any) -> None:
        """It is there."""

    def lookup_tensor(self, index: MetadataIndex) -> Any:
        """Memory for what this rank has of it."""
        return self._fill(index.fqn).memory

    def transform_tensor(self, read_item: ReadItem, tensor: Any) -> Any:
        """The box of it."""
        out = tensor.detach()
        for d, (start, n) in enumerate(zip(read_item.dest_offsets, read_item.lengths, strict=True)):
            if (start, n) != (0, out.shape[d]):
                out = out.narrow(d, start, n)
        return out

    def finish_load(self) -> None:
        """All was read."""
        for filling in self._filling.values():
            filling.done()


class _EmptyStateDictLoadPlanner(DefaultLoadPlanner):
    """Reads all that there is, or what is named."""

    def __init__(self, keys: Any = None, *args: Any, **kwargs: Any) -> None:
        self.keys = keys
        super().__init__(*args, **kwargs)

    def _wanted(self, name: str, path: Any) -> bool:
        return self.keys is None or name in self.keys or any(".".join(map(str, path[:i])) in self.keys for i in range(1, len(path)))

    def set_up_planner(self, state_dict: Any, metadata: Metadata | None = None, is_coordinator: bool = False) -> None:
        """Make room for it."""
        assert metadata is not None and not state_dict
        for name, known in metadata.state_dict_metadata.items():
            path = (metadata.planner_data or {}).get(name, (name,))
            if self._wanted(name, path):
                put(state_dict, path, torch.empty(tuple(known.size), dtype=known.properties.dtype) if isinstance(known, TensorStorageMetadata) else None)
        super().set_up_planner(state_dict, metadata, is_coordinator)
