"""``torch.distributed.distributed_c10d``: where torch keeps what :mod:`torch.distributed` publishes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NewType

from jtorch._errors import not_implemented

from . import _groups
from ._collectives import *  # noqa: F403
from ._collectives import all_reduce_coalesced, barrier, monitored_barrier
from ._collectives import coalescing_manager as _coalescing_manager  # noqa: F401
from ._group_methods import (
    AllgatherOptions,
    AllreduceCoalescedOptions,
    AllreduceOptions,
    AllToAllOptions,
    BarrierOptions,
    BroadcastOptions,
    GatherOptions,
    ReduceOptions,
    ReduceScatterOptions,
    ScatterOptions,
)  # fmt: skip
from ._groups import *  # noqa: F403
from ._groups import (
    GroupMember,
    ProcessGroup,
    get_backend,
    get_default_backend_for_device,
    get_global_rank,
    get_group_rank,
    get_node_local_rank,
    get_pg_count,
    get_process_group_ranks,
    is_initialized,
    new_subgroups,
    new_subgroups_by_enumeration,
    split_group,
)  # fmt: skip
from ._groups import by_name as _resolve_process_group  # noqa: F401
from ._groups import resolve as _get_default_group
from ._objects import *  # noqa: F403
from ._reduce_op import ReduceOp
from ._settings import *  # noqa: F403
from ._stores import PrefixStore, Store
from ._work import Work
from .constants import default_pg_timeout
from .rendezvous import rendezvous

ProcessGroupGloo = ProcessGroup  # every group is one of XLA's
GroupName = NewType("GroupName", str)

__all__ = [
    "AllToAllOptions", "AllgatherOptions", "AllreduceCoalescedOptions", "AllreduceOptions", "BarrierOptions", "BroadcastOptions", "GatherOptions", "GroupMember", "GroupName",
    "ProcessGroupGloo", "ReduceOptions", "ReduceScatterOptions", "ScatterOptions", "record_comm", "shrink_group", "split_group",
    "PrefixStore", "ProcessGroup", "ReduceOp", "Store", "Work", "all_reduce_coalesced", "barrier", "default_pg_timeout", "get_backend", "get_default_backend_for_device",
    "get_global_rank", "get_group_rank", "get_node_local_rank", "get_pg_count", "get_process_group_ranks", "is_initialized", "monitored_barrier", "new_subgroups", "new_subgroups_by_enumeration", "rendezvous",
]  # fmt: skip
_get_global_rank = get_global_rank
_pg_map = _groups._groups
_DEFAULT: timedelta = default_pg_timeout


@contextmanager
def record_comm(name: str) -> Iterator[None]:
    """Within, collectives go by this name in a profile of torch's. XLA's profiles name its own operations."""
    yield


def shrink_group(ranks_to_exclude: list[int], group: Any = None, shrink_flags: int = 0, pg_options: Any = None) -> ProcessGroup:
    """NotImplementedError: a process that has failed ends its world."""
    not_implemented("torch.distributed.shrink_group", "a process that has failed ends its world; torchrun starts all anew")


def _set_pg_timeout(timeout: timedelta, group: Any = None) -> None:
    """Collectives of a group wait so long from now on."""
    _get_default_group(group).timeout = timeout.total_seconds()


def _get_default_store() -> Any:
    return _get_default_group().store


def _rank_not_in_group(group: Any) -> bool:
    return group == GroupMember.NON_GROUP_MEMBER


def __getattr__(name: str) -> Any:
    if name.startswith("is_"):  # is_gloo_available and the like
        from jtorch import distributed

        return getattr(distributed, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _get_pg_default_device(group: Any = None) -> Any:
    from jtorch import _device

    return _device.device("cuda" if "nccl" in _get_default_group(group).backend else "cpu")
