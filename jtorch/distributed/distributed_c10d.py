"""``torch.distributed.distributed_c10d``: where torch keeps what :mod:`torch.distributed` publishes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from . import _groups
from ._collectives import *  # noqa: F403
from ._collectives import all_reduce_coalesced, barrier, monitored_barrier
from ._collectives import coalescing_manager as _coalescing_manager  # noqa: F401
from ._groups import *  # noqa: F403
from ._groups import (
    GroupMember,
    ProcessGroup,
    default_pg_timeout,
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
    rendezvous,
)  # fmt: skip
from ._groups import by_name as _resolve_process_group  # noqa: F401
from ._groups import resolve as _get_default_group
from ._objects import *  # noqa: F403
from ._reduce_op import ReduceOp
from ._settings import *  # noqa: F403
from ._stores import PrefixStore, Store
from ._work import Work

__all__ = [
    "GroupMember", "PrefixStore", "ProcessGroup", "ReduceOp", "Store", "Work", "all_reduce_coalesced", "barrier", "default_pg_timeout", "get_backend", "get_default_backend_for_device",
    "get_global_rank", "get_group_rank", "get_node_local_rank", "get_pg_count", "get_process_group_ranks", "is_initialized", "monitored_barrier", "new_subgroups", "new_subgroups_by_enumeration", "rendezvous",
]  # fmt: skip
_get_global_rank = get_global_rank
_pg_map = _groups._groups
_DEFAULT: timedelta = default_pg_timeout


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
