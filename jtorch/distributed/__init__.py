"""``torch.distributed``: several processes that work together, each with its devices. Source: https://docs.pytorch.org/docs/stable/distributed.html

What moves tensors is XLA: gloo between cpus, NCCL between GPUs, the interconnect between TPUs, whichever backend a program names. ``docs/distributed.md`` tells how.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from jtorch._engine.values.values import jax_devices
from jtorch._install import loaded_late

from . import _names
from ._collectives import P2POp as P2POp
from ._collectives import (
    all_gather, all_gather_coalesced, all_gather_into_tensor, all_gather_single, all_reduce, all_reduce_coalesced, all_to_all, all_to_all_single, barrier, batch_isend_irecv, broadcast, gather, gather_into_tensor, gather_single, irecv, isend,
    monitored_barrier, recv, reduce, reduce_scatter, reduce_scatter_single, reduce_scatter_tensor, scatter, send,
)  # fmt: skip
from ._collectives import coalescing_manager as _coalescing_manager  # noqa: F401
from ._groups import (
    Backend, GroupMember, ProcessGroup, destroy_process_group, get_backend, get_default_backend_for_device, get_global_rank, get_group_rank, get_node_local_rank, get_pg_count,
    get_process_group_ranks, get_rank, get_world_size, group, init_process_group, is_initialized, new_group, new_subgroups, new_subgroups_by_enumeration, split_group,
)  # fmt: skip
from .constants import default_pg_timeout as default_pg_timeout
from .rendezvous import register_rendezvous_handler as register_rendezvous_handler
from .rendezvous import rendezvous
from ._group_methods import (
    AllgatherOptions, AllreduceCoalescedOptions, AllreduceOptions, AllToAllOptions, BarrierOptions, BroadcastOptions, GatherOptions, ReduceOptions, ReduceScatterOptions, ScatterOptions,
)  # fmt: skip
from ._objects import all_gather_object, broadcast_object_list, gather_object, recv_object_list, scatter_object_list, send_object_list
from ._reduce_op import ReduceOp
from ._reduce_op import premultiplied as _make_nccl_premul_sum  # noqa: F401
from ._settings import BackendConfig, DebugLevel, get_backend_config, get_debug_level, reduce_op, set_debug_level, set_debug_level_from_env, supports_complex
from ._stores import DistBackendError, DistError, DistNetworkError, DistStoreError, FileStore, HashStore, PrefixStore, QueueEmptyError, Store, TCPStore
from ._work import Work

__all__ = [
    "AllToAllOptions", "AllgatherOptions", "AllreduceCoalescedOptions", "AllreduceOptions", "Backend", "BackendConfig", "BarrierOptions", "BroadcastOptions", "DebugLevel",
    "DistBackendError", "DistError", "DistNetworkError", "DistStoreError", "FileStore", "GatherOptions", "GroupMember", "HashStore", "P2POp", "PrefixStore", "ProcessGroup",
    "QueueEmptyError", "ReduceOp", "ReduceOptions", "ReduceScatterOptions", "ScatterOptions", "Store", "TCPStore", "Work", "all_gather", "all_gather_coalesced",
    "all_gather_into_tensor", "all_gather_object", "all_gather_single", "all_reduce", "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier", "batch_isend_irecv",
    "broadcast", "broadcast_object_list", "destroy_process_group", "gather", "gather_into_tensor", "gather_object", "gather_single", "get_backend", "get_backend_config", "get_debug_level",
    "get_default_backend_for_device", "get_global_rank", "get_group_rank", "get_node_local_rank", "get_pg_count", "get_process_group_ranks", "get_rank", "get_world_size", "group",
    "init_process_group", "irecv", "is_available", "is_initialized", "isend", "monitored_barrier", "new_group", "new_subgroups", "new_subgroups_by_enumeration", "recv",
    "recv_object_list", "reduce", "reduce_op", "reduce_scatter", "reduce_scatter_single", "reduce_scatter_tensor", "rendezvous", "scatter", "scatter_object_list", "send",
    "send_object_list", "set_debug_level", "set_debug_level_from_env", "split_group", "supports_complex",
]  # fmt: skip

_all_gather_base, _reduce_scatter_base = all_gather_single, reduce_scatter_single
ProcessGroupGloo = ProcessGroup  # every group is one of XLA's


def is_available() -> bool:
    """Whether processes can be joined: yes."""
    return True


def is_torchelastic_launched() -> bool:
    """Whether torchrun started this process."""
    return os.getenv("TORCHELASTIC_RUN_ID") is not None


def is_backend_available(backend: str) -> bool:
    """Whether a name of a communication library is understood."""
    return backend.lower() in ("gloo", "nccl", "xla")


def is_nccl_available() -> bool:
    """Whether there are GPUs, between which XLA uses NCCL."""
    return bool(jax_devices("cuda"))


def is_gloo_available() -> bool:
    """Whether cpus can be joined: yes."""
    return True


def is_mpi_available() -> bool:
    """Whether MPI is there: no."""
    return False


def is_ucc_available() -> bool:
    """Whether UCC is there: no."""
    return False


def is_xccl_available() -> bool:
    """Whether XCCL is there: no."""
    return False


_names.fill(globals())
_LATER = {"breakpoint": "_breakpoint", "DeviceMesh": "device_mesh", "init_device_mesh": "device_mesh", "GradBucket": "ddp"}  # files that need tensors, which need this one


def __getattr__(name: str) -> Any:
    if name in _LATER:
        found = globals()[name] = getattr(importlib.import_module(f"jtorch.distributed.{_LATER[name]}"), name)
        loaded_late()
        return found
    module = None if name.startswith("__") else _names.found(name)
    if module is None:
        raise AttributeError(f"module 'torch.distributed' has no attribute '{name}'")
    globals()[name] = module
    return module
