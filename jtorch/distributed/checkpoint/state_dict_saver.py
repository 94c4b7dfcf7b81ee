"""``save`` and ``async_save``. Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html"""

from __future__ import annotations

import concurrent.futures
import warnings
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from jtorch._public import torch

from ._steps import Ranks
from .default_planner import DefaultSavePlanner
from .filesystem import FileSystemWriter
from .metadata import Metadata
from .staging import apart
from .stateful import Stateful

__all__ = ["AsyncCheckpointerType", "AsyncSaveResponse", "async_save", "save", "save_state_dict"]


class AsyncCheckpointerType(Enum):
    """How :func:`async_save` writes; here always by a thread."""

    THREAD = "thread"
    PROCESS = "process"


@dataclass
class AsyncSaveResponse:
    """What :func:`async_save` gives with a stager: when what was given may be written again, and when the checkpoint is there."""

    staging_completion: Any
    upload_completion: Any


def _states(state_dict: Any) -> dict[str, Any]:
    return {k: x.state_dict() if isinstance(x, Stateful) and not isinstance(x, (dict, torch.Tensor)) else x for k, x in state_dict.items()}


def _writer(storage_writer: Any, checkpoint_id: Any) -> Any:
    if storage_writer is None:
        if not checkpoint_id:
            raise RuntimeError("`checkpoint_id` must be specified if storage_reader/storage_writer is None.")
        storage_writer = FileSystemWriter(checkpoint_id)
    storage_writer.reset(checkpoint_id)
    return storage_writer


def _planned(ranks: Ranks, state_dict: Any, writer: Any, planner: Any) -> tuple[Any, Any, Any]:
    """(planner, this rank's plan, the metadata)."""
    planner = planner or DefaultSavePlanner()

    def local() -> Any:
        planner.set_up_planner(state_dict=_states(state_dict), storage_meta=writer.storage_meta(), is_coordinator=ranks.first)
        writer.set_up_storage_writer(ranks.first, rank=ranks.rank)
        return writer.prepare_local_plan(planner.create_local_plan())

    every = ranks.each("plan", local)

    def together() -> Any:
        plans, metadata = planner.create_global_plan(every)
        return writer.prepare_global_plan(plans), metadata

    plans, metadata = ranks.of_first("plan", together)
    return planner, planner.finish_plan(plans[ranks.rank]), metadata


def save(
    state_dict: Any, *, checkpoint_id: Any = None, storage_writer: Any = None, planner: Any = None, process_group: Any = None, no_dist: bool = False, use_collectives: bool = True
) -> Metadata:
    """Write a state dict of tensors, DTensors (each rank its part) and other things. All ranks must call it. CheckpointException on all of them if it goes wrong on one."""
    ranks, writer = Ranks(process_group, no_dist), _writer(storage_writer, checkpoint_id)
    planner, plan, metadata = _planned(ranks, state_dict, writer, planner)
    results = ranks.each("write", lambda: writer.write_data(plan, planner).wait())
    ranks.of_first("write", lambda: writer.finish(metadata, results))
    return metadata  # type: ignore[no-any-return]


def save_state_dict(state_dict: Any, storage_writer: Any, process_group: Any = None, coordinator_rank: int = 0, no_dist: bool = False, planner: Any = None) -> Metadata:
    """The old name of :func:`save`."""
    warnings.warn("`save_state_dict` is deprecated and will be removed in future versions.Please use `save` instead.", FutureWarning, stacklevel=2)
    return save(state_dict, storage_writer=storage_writer, planner=planner, process_group=process_group, no_dist=no_dist)


_workers: list[concurrent.futures.ThreadPoolExecutor] = []


def async_save(
    state_dict: Any, *, checkpoint_id: Any = None, storage_writer: Any = None, planner: Any = None, process_group: Any = None, async_checkpointer_type: Any = AsyncCheckpointerType.THREAD,
    async_stager: Any = None, no_dist: bool = False, use_collectives: bool = True,
) -> Any:  # fmt: skip
    """As :func:`save`; what is given may be written again when it returns. ``async_stager`` puts it aside; where that gives a future, the result is an :class:`AsyncSaveResponse`. A future that is done when the checkpoint is there.

    What the ranks agree on they do before it returns; a thread writes the files, and the first rank's waits for those of the others, at most the group's timeout.
    """
    ranks, writer = Ranks(process_group, no_dist), _writer(storage_writer, checkpoint_id)
    if not isinstance(writer, FileSystemWriter):
        raise_or_metadata = save(state_dict, storage_writer=writer, planner=planner, process_group=process_group, no_dist=no_dist)
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        done.set_result(raise_or_metadata)
        return done
    with torch.no_grad():
        given = apart(_states(state_dict)) if async_stager is None else async_stager.stage(_states(state_dict))
        staged = given if isinstance(given, concurrent.futures.Future) else None
        planner, plan, metadata = _planned(ranks, given if staged is None else staged.result(), writer, planner)
    mine: list[Any] = []

    def local() -> Any:
        mine.extend(writer.serialized(plan, planner))
        return mine[2]

    results = ranks.each("write", local)
    store, key = (ranks.group.store, f"dcp/{_number(ranks)}") if ranks.size > 1 else (None, "")  # type: ignore[union-attr]

    def write() -> Any:
        try:
            if mine[2]:
                writer.store(mine[0], mine[1])
        except BaseException as error:
            if store is not None:
                store.set(f"{key}/{ranks.rank}", f"error: {error}")
            raise
        if store is None:
            writer.finish(metadata, results)
            return metadata
        store.set(f"{key}/{ranks.rank}", "fine")
        patience = timedelta(seconds=ranks.group.timeout)  # type: ignore[union-attr]
        if ranks.first:
            for r in range(ranks.size):
                _written(store, f"{key}/{r}", r, patience)
            writer.finish(metadata, results)
            store.set(f"{key}/done", "fine")
        else:
            _written(store, f"{key}/done", 0, patience)
        return metadata

    if not _workers:
        _workers.append(concurrent.futures.ThreadPoolExecutor(1, "jtorch-checkpoint"))
    under_way = _workers[0].submit(write)
    if staged is not None:
        return AsyncSaveResponse(staged, under_way)
    if async_stager is not None and async_stager.should_synchronize_after_execute:
        async_stager.synchronize_staging()
    return under_way


_numbers: dict[str, int] = {}


def _number(ranks: Ranks) -> str:
    name = ranks.group._name  # type: ignore[union-attr]
    _numbers[name] = _numbers.get(name, 0) + 1
    return f"{name}/{_numbers[name]}"


def _written(store: Any, key: str, rank: int, patience: timedelta) -> None:
    try:
        store.wait([key], patience)
    except Exception as error:
        raise RuntimeError(f"the checkpoint is not there: rank {rank} has not written its part within {patience.total_seconds():g} s") from error
    said = store.get(key)
    if said != b"fine":
        raise RuntimeError(f"the checkpoint is not there: rank {rank} says {said.decode()}")
