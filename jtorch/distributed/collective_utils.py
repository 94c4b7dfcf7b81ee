"""Results and exceptions that all processes get from one, or each from all; without a group, this process's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from . import _objects
from ._groups import ProcessGroup

__all__ = ["SyncPayload", "all_gather", "all_gather_object_enforce_type", "broadcast"]

T = TypeVar("T")


@dataclass
class SyncPayload(Generic[T]):
    """What a process sends: a value, or what went wrong."""

    stage_name: str | None
    success: bool
    payload: T
    exception: Exception | None = None


def _made(data_or_fn: Any, stage_name: str | None, success: bool = True) -> SyncPayload[Any]:
    if not callable(data_or_fn):
        return SyncPayload(stage_name, success, data_or_fn)
    try:
        return SyncPayload(stage_name, success, data_or_fn())
    except Exception as error:
        return SyncPayload(stage_name, False, None, error)


def broadcast(data_or_fn: T | Callable[[], T], *, success: bool = True, stage_name: str | None = None, rank: int = 0, pg: ProcessGroup | None = None) -> T:
    """What ``rank`` has, or its function gives. RuntimeError in all processes where the function raises, or ``success`` is not set there."""
    if not success and data_or_fn is not None:
        raise AssertionError("Data or Function is expected to be None if not successful")
    mine = rank == 0 if pg is None else pg.rank() == rank
    sent = _made(data_or_fn if mine else None, stage_name, success)
    if pg is not None:
        box: list[Any] = [sent]
        _objects.broadcast_object_list(box, src=rank, group=pg)
        sent = box[0]
    if not sent.success:
        text = f"Rank {rank} failed"
        if stage_name is not None:
            text += f": stage {sent.stage_name}"
        if sent.exception is not None:
            text += f": exception {sent.exception}"
        raise RuntimeError(text) from sent.exception
    return sent.payload  # type: ignore[no-any-return]


def all_gather(data_or_fn: T | Callable[[], T], stage_name: str | None = None, pg: ProcessGroup | None = None) -> list[T]:
    """What each process has, or its function gives. RuntimeError in all processes where one raises."""
    sent = _made(data_or_fn, stage_name)
    if pg is None:
        if not sent.success:
            raise RuntimeError(f"all_gather failed with exception {sent.exception}") from sent.exception
        return [sent.payload]
    every: list[Any] = [None] * pg.size()
    all_gather_object_enforce_type(pg, every, sent)
    text, failed, out = "", [], []
    for i, x in enumerate(every):
        if x.stage_name != every[0].stage_name:
            text += f"Unexpected stage name received from rank {i}: {x.stage_name} "
        elif not x.success and x.exception is not None:
            failed.append((i, x.exception))
        else:
            out.append(x.payload)
    if failed:
        raise RuntimeError(text, failed) from failed[0][1]
    return out


def all_gather_object_enforce_type(pg: ProcessGroup, object_list: list[Any], obj: Any, type_checker: Callable[[Any, Any], bool] = lambda x, y: type(x) is type(y)) -> None:
    """As all_gather_object; TypeError in all processes where they are not of one type."""
    _objects.all_gather_object(object_list, obj, group=pg)
    for i, x in enumerate(object_list[1:], 1):
        if not type_checker(object_list[0], x):
            raise TypeError(f"Object type at index {i} is {type(x)}, while first object type is {type(object_list[0])}")
