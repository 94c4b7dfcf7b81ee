"""``load``. Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html"""

from __future__ import annotations

import warnings
from typing import Any

from jtorch._public import torch

from ._steps import Ranks
from .default_planner import DefaultLoadPlanner, _EmptyStateDictLoadPlanner
from .filesystem import FileSystemReader
from .stateful import Stateful

__all__ = ["load", "load_state_dict"]


def load(state_dict: Any, *, checkpoint_id: Any = None, storage_reader: Any = None, planner: Any = None, process_group: Any = None, no_dist: bool = False) -> None:
    """Read into a state dict: tensors and DTensors in place, each rank what it has, however many wrote; other things are replaced. All ranks must call it. CheckpointException on all of them if it
    goes wrong on one."""
    if storage_reader is None:
        if not checkpoint_id:
            raise RuntimeError("`checkpoint_id` must be specified if storage_reader/storage_writer is None.")
        storage_reader = FileSystemReader(checkpoint_id)
    storage_reader.reset(checkpoint_id)
    own = {k: x for k, x in state_dict.items() if isinstance(x, Stateful) and not isinstance(x, (dict, torch.Tensor))}
    states = {k: own[k].state_dict() if k in own else x for k, x in state_dict.items()}
    _load_state_dict(states, storage_reader, process_group, no_dist=no_dist, planner=planner)
    for k, x in states.items():
        if k in own:
            own[k].load_state_dict(x)
        else:
            state_dict[k] = x


def load_state_dict(state_dict: Any, storage_reader: Any, process_group: Any = None, coordinator_rank: int = 0, no_dist: bool = False, planner: Any = None) -> None:
    """The old name of :func:`load`."""
    warnings.warn("`load_state_dict` is deprecated and will be removed in future versions. Please use `load` instead.", FutureWarning, stacklevel=2)
    storage_reader.reset()
    _load_state_dict(state_dict, storage_reader, process_group, no_dist=no_dist, planner=planner)


def _load_state_dict(state_dict: Any, storage_reader: Any, process_group: Any = None, coordinator_rank: int = 0, no_dist: bool = False, planner: Any = None) -> None:
    ranks, planner = Ranks(process_group, no_dist), planner or DefaultLoadPlanner()

    def local() -> Any:
        try:
            metadata = storage_reader.read_metadata()
        except Exception as error:
            raise AssertionError(f"metadata is None; global metadata read failed: {error}") from error
        planner.set_up_planner(state_dict, metadata, ranks.first)
        storage_reader.set_up_storage_reader(metadata, ranks.first)
        return storage_reader.prepare_local_plan(planner.create_local_plan())

    every = ranks.each("plan", local)
    plans = ranks.of_first("plan", lambda: storage_reader.prepare_global_plan(planner.create_global_plan(every)))
    mine = planner.finish_plan(plans[ranks.rank])

    def read() -> None:
        with torch.no_grad():
            storage_reader.read_data(mine, planner).wait()
            if isinstance(planner, DefaultLoadPlanner):
                planner.finish_load()

    ranks.each("read", read)


def _load_state_dict_from_keys(keys: Any = None, *, checkpoint_id: Any = None, storage_reader: Any = None, process_group: Any = None) -> dict[str, Any]:
    out: dict[str, Any] = {}
    chosen = {keys} if isinstance(keys, str) else keys
    _load_state_dict(out, storage_reader or FileSystemReader(checkpoint_id), process_group, planner=_EmptyStateDictLoadPlanner(chosen or None))
    return out
