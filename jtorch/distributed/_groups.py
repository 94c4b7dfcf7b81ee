"""Process groups: making, naming and leaving them. Source: https://docs.pytorch.org/docs/stable/distributed.html"""

from __future__ import annotations

import os
import urllib.parse
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from jtorch import _device
from jtorch._engine.values.values import jax_devices

from . import _world
from ._stores import PrefixStore, Store, seconds_of
from .constants import default_pg_timeout
from .rendezvous import rendezvous

__all__ = ["Backend", "GroupMember", "ProcessGroup", "destroy_process_group", "get_rank", "get_world_size", "group", "init_process_group", "new_group", "resolve"]

_NOT_INITIALIZED = "Default process group has not been initialized, please make sure to call init_process_group."


class Backend(str):
    """The name of a communication library. Whichever is asked for, XLA moves the data: by gloo between cpus, by NCCL between GPUs."""

    UNDEFINED, GLOO, NCCL, UCC, MPI, XCCL, XLA, FAKE = "undefined", "gloo", "nccl", "ucc", "mpi", "xccl", "xla", "fake"
    default_device_backend_map = {"cpu": "gloo", "cuda": "nccl", "xla": "xla", "tpu": "xla"}
    backend_list = ["undefined", "gloo", "nccl", "xccl", "ucc", "mpi"]

    def __new__(cls, name: str) -> Backend:
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish, received {type(name)}")
        return str.__new__(cls, name.lower())


_KNOWN = frozenset(("gloo", "nccl", "xla", "cpu:gloo,cuda:nccl", "cuda:nccl", "cpu:gloo", "cpu:gloo,cuda:gloo", "cuda:nccl,cpu:gloo", "undefined"))


class ProcessGroup:
    """Some of the processes, by their ranks in the world; ``rank`` is this one's place among them."""

    __module__ = "torch.distributed.distributed_c10d"

    def __init__(self, name: str, ranks: tuple[int, ...], world_rank: int, backend: str, timeout: float, store: Any, desc: str) -> None:
        self._name, self.ranks, self._rank = name, ranks, ranks.index(world_rank)
        self.backend, self.timeout, self.store, self.group_desc = backend, timeout, store, desc
        self.counts: dict[tuple[int, int], int] = {}
        self.bound_device_id: Any = None

    @property
    def group_name(self) -> str:
        """Its name, the same in all processes."""
        return self._name

    def rank(self) -> int:
        """This process's place in the group."""
        return self._rank

    def size(self) -> int:
        """How many processes it has."""
        return len(self.ranks)

    def name(self) -> str:
        """The library that was asked for."""
        return self.backend

    def get_group_store(self) -> Any:
        """The store by which its processes found each other."""
        return self.store

    def _get_backend_name(self) -> str:
        return self.backend

    def _get_backend(self, device: Any) -> ProcessGroup:
        return self

    @property
    def _device_types(self) -> list[Any]:
        return [_device.device("cpu")] if self.backend == "gloo" else [_device.device("cpu"), _device.device("cuda")]

    def __repr__(self) -> str:
        return f"<torch.distributed.distributed_c10d.ProcessGroup object at {hex(id(self))}>"

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle 'ProcessGroup' object")


class _GroupMeta(type):
    @property
    def WORLD(cls) -> ProcessGroup | None:
        """The default group."""
        return _default

    @WORLD.setter
    def WORLD(cls, value: ProcessGroup | None) -> None:
        global _default
        _default = value


class GroupMember(metaclass=_GroupMeta):
    """``GroupMember.WORLD``: the group of all processes; ``NON_GROUP_MEMBER`` is what :func:`new_group` gives to a process that is not in it."""

    NON_GROUP_MEMBER = -100


class group(metaclass=_GroupMeta):
    """``group.WORLD``: the group of all processes."""


_default: ProcessGroup | None = None
_groups: dict[str, ProcessGroup] = {}
_made = 0


def is_initialized() -> bool:
    """Whether there is a process group."""
    return _default is not None


def resolve(of: Any = None) -> ProcessGroup:
    """The group itself, the default one for None. ValueError if there is none."""
    if isinstance(of, ProcessGroup):
        return of
    if of is None or of is group or of is GroupMember:
        if _default is None:
            raise ValueError(_NOT_INITIALIZED)
        return _default
    raise ValueError("The given group does not exist")


def _backend_for(name: Any) -> str:
    if name is None:
        return "nccl" if jax_devices("cuda") else "gloo"
    chosen = str(name).lower()
    if chosen not in _KNOWN:
        if chosen in ("mpi", "ucc", "xccl", "fake"):
            raise RuntimeError(f"Distributed package doesn't have {chosen.upper()} built in")
        raise AssertionError(f"Unknown backend type {chosen}")
    return chosen


def init_process_group(
    backend: Any = None, init_method: str | None = None, timeout: timedelta | None = None, world_size: int = -1, rank: int = -1, store: Store | None = None,
    group_name: str = "", pg_options: Any = None, device_id: Any = None, _ranks: Any = None,
) -> None:  # fmt: skip
    """Join the other processes. All must call it; it returns once all have.

    ``init_method`` is ``env://`` (the default), ``tcp://host:port`` or ``file:///path``, or a ``store`` is given with ``rank`` and ``world_size``. Any
    ``backend`` of gloo, nccl and xla means the same: XLA's collectives on the devices that the tensors are on. ValueError for what contradicts itself,
    DistBackendError if the others do not come within ``timeout``.
    """
    global _default, _made
    if _default is not None:
        raise ValueError("trying to initialize the default process group twice!")
    if store is not None and init_method is not None:
        raise AssertionError("Cannot specify both init_method and store.")
    if timeout is not None and not isinstance(timeout, timedelta):
        raise TypeError(f"Expected timeout argument to be of type datetime.timedelta, got {timeout}")
    name = _backend_for(backend)
    wait = seconds_of(timeout, default_pg_timeout)
    if store is not None:
        if not world_size > 0:
            raise AssertionError("world_size must be positive if using store")
        if not rank >= 0:
            raise AssertionError("rank must be non-negative if using store")
    else:
        store, rank, world_size = next(rendezvous(init_method or "env://", rank, world_size, timeout=timeout or default_pg_timeout))
    _made += 1
    host = urllib.parse.urlparse(init_method or "").hostname or os.environ.get("MASTER_ADDR")
    w = _world.enter(PrefixStore(f"{group_name or 'default_pg'}_{_made}", store), rank, world_size, host, wait)
    _default = ProcessGroup("0", tuple(range(world_size)), w.rank, name, wait, PrefixStore("default_pg", store), "default_pg")
    _default.bound_device_id = device_id
    _groups["0"] = _default


def destroy_process_group(group: Any = None) -> None:
    """Leave a group, or all of them. AssertionError if there is none."""
    global _default
    if group == GroupMember.NON_GROUP_MEMBER:
        return
    found = group if group is not None else _default
    if not isinstance(found, ProcessGroup):
        raise AssertionError("Process group cannot be None")
    if found._name not in _groups:
        raise ValueError("Invalid process group specified")
    if found is _default:
        _default = None
        _groups.clear()
        _world.exit_world()
    else:
        del _groups[found._name]


def new_group(
    ranks: Sequence[int] | None = None, timeout: timedelta | None = None, backend: Any = None, pg_options: Any = None, use_local_synchronization: bool = False,
    group_desc: str | None = None, device_id: Any = None,
) -> Any:  # fmt: skip
    """A group of some of the processes. All processes must call it, in the same order; those that are not in it get ``GroupMember.NON_GROUP_MEMBER``."""
    world = resolve()
    w = _world.world()
    if w is None:
        raise ValueError(_NOT_INITIALIZED)
    chosen = sorted(ranks) if ranks is not None else list(world.ranks)
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"ranks list must not contain duplicate entries, got {list(ranks or ())}")
    for r in chosen:
        if not 0 <= r < w.size:
            raise ValueError(f"Rank {r} is out of range. Valid ranks are 0 to {w.size - 1} (world_size={w.size})")
    # What only its members call must not be counted with what all processes call.
    name = "l" + "_".join(map(str, chosen)) + f"_{w.next_of(str(chosen))}" if use_local_synchronization else str(w.next_of("groups") + 1)
    if w.rank not in chosen:
        return GroupMember.NON_GROUP_MEMBER
    kind = world.backend if backend is None else _backend_for(backend)
    made = ProcessGroup(name, tuple(chosen), w.rank, kind, seconds_of(timeout, timedelta(seconds=world.timeout)), world.store, group_desc or "undefined")
    _groups[name] = made
    return made


def split_group(
    parent_pg: Any = None, split_ranks: Sequence[Sequence[int]] | None = None, timeout: timedelta | None = None, pg_options: Any = None, group_desc: str | None = None, backend: Any = None
) -> ProcessGroup | None:
    """The group among ``split_ranks`` (places in the parent) that this process is in, None if it is in none. All processes of the parent call it. RuntimeError where the world has no device of its own
    (``init_process_group(device_id=...)``), ValueError for empty groups and ranks that stand there twice."""
    if not split_ranks:
        raise ValueError("split_ranks cannot be None or empty")
    world = resolve()
    if world.bound_device_id is None:
        raise RuntimeError("No device associated with the default pg, not safe to split any process groups")
    parent = parent_pg or world
    if parent._name not in _groups:
        raise ValueError(f"Group {parent} is not registered")
    if get_rank() not in parent.ranks:
        raise ValueError(f"Global rank {get_rank()} is not part of the parent group {parent}")
    for ranks in split_ranks:
        if not ranks:
            raise ValueError("the split group cannot be empty")
        if len(ranks) > world.size():
            raise ValueError("the split group's size should be less or equal to the world_size set by init_process_group")
        if len(ranks) != len(set(ranks)):
            raise ValueError("the split group cannot have duplicate ranks")
        if parent.rank() in ranks:
            made: ProcessGroup = new_group([parent.ranks[r] for r in ranks], timeout, backend or parent.backend, pg_options, use_local_synchronization=True, group_desc=group_desc)
            return made
    return None


def new_subgroups(
    group_size: int | None = None, group: Any = None, timeout: Any = None, backend: Any = None, pg_options: Any = None, group_desc: Any = None
) -> tuple[ProcessGroup, list[Any]]:
    """Groups of ``group_size`` neighbouring ranks: (this process's, all)."""
    if group_size is None:
        group_size = int(os.environ.get("LOCAL_WORLD_SIZE", get_world_size()))
    if group_size <= 0:
        raise ValueError(f"The arg 'group_size' ({group_size}) must be positive")
    size = get_world_size()
    if size < group_size:
        raise ValueError(f"The arg 'group_size' ({group_size}) must not exceed the world size ({size})")
    if size % group_size != 0:
        raise ValueError(f"The world size ({size}) must be divisible by 'group_size={group_size}'")
    return new_subgroups_by_enumeration([list(range(i, i + group_size)) for i in range(0, size, group_size)], timeout, backend, pg_options, group_desc)


def new_subgroups_by_enumeration(
    ranks_per_subgroup_list: Sequence[Sequence[int]], timeout: Any = None, backend: Any = None, pg_options: Any = None, group_desc: Any = None
) -> tuple[Any, list[Any]]:
    """Groups of these ranks, none twice: (this process's, all)."""
    if not ranks_per_subgroup_list:
        raise ValueError("The arg 'ranks_per_subgroup_list' cannot be empty")
    home: dict[int, Sequence[int]] = {}
    for ranks in ranks_per_subgroup_list:
        for r in ranks:
            if r in home:
                raise ValueError(f"Rank {r} has appeared in both subgroup {home[r]} and {ranks}")
            home[r] = ranks
    made = [new_group(list(ranks), timeout, backend, pg_options, group_desc=group_desc) for ranks in ranks_per_subgroup_list]
    mine = next((g for g in made if isinstance(g, ProcessGroup)), None)
    return mine, made


def get_rank(group: Any = None) -> int:
    """This process's place in the group; -1 if it is not in it."""
    return -1 if group == GroupMember.NON_GROUP_MEMBER else resolve(group).rank()


def get_world_size(group: Any = None) -> int:
    """How many processes the group has; -1 if this one is not in it."""
    return -1 if group == GroupMember.NON_GROUP_MEMBER else resolve(group).size()


def get_backend(group: Any = None) -> Backend:
    """The library that was asked for."""
    return Backend(resolve(group).backend)


def get_process_group_ranks(group: Any) -> list[int]:
    """The ranks in the world of a group's processes."""
    return list(resolve(group).ranks)


def get_global_rank(group: Any, group_rank: int) -> int:
    """The rank in the world of a group's process."""
    ranks = resolve(group).ranks
    if not 0 <= group_rank < len(ranks):
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return ranks[group_rank]


def get_group_rank(group: Any, global_rank: int) -> int:
    """The place in the group of a rank of the world."""
    g = resolve(group)
    if global_rank not in g.ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return g.ranks.index(global_rank)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """This process's number on its machine (LOCAL_RANK)."""
    found = os.environ.get("LOCAL_RANK")
    if found is not None:
        return int(found)
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError("LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow `get_node_local_rank` to work, assuming you are not running in a multi-device context and want the code to run locally instead.")


def get_default_backend_for_device(device: Any) -> str:
    """The library that is usual for a device."""
    kind = device.type if isinstance(device, _device.device) else str(device).partition(":")[0]
    if kind not in Backend.default_device_backend_map:
        raise ValueError(f"Default backend not registered for device : {kind}")
    return Backend.default_device_backend_map[kind]


def by_name(name: str) -> ProcessGroup:
    """The group of this name. RuntimeError if there is none."""
    found = _groups.get(name)
    if found is None:
        raise RuntimeError(f"Could not resolve the process group registered under the name {name}")
    return found


def group_of(x: Any) -> ProcessGroup:
    """A group from whatever functional collectives take: a group, its name, ranks, or (mesh, dim)."""
    if isinstance(x, str):
        return by_name(x)
    if hasattr(x, "get_group"):
        return x.get_group()  # type: ignore[no-any-return]
    if isinstance(x, tuple) and len(x) == 2 and hasattr(x[0], "get_group"):
        return x[0].get_group(x[1])  # type: ignore[no-any-return]
    if isinstance(x, (list, tuple)):
        wanted = tuple(sorted(x))
        return next(g for g in _groups.values() if g.ranks == wanted)
    return resolve(x)


def get_pg_count() -> int:
    """How many groups were made since the first, which counts."""
    w = _world.world()
    return 0 if w is None else w.counts.get("groups", -1) + 2


def warn_not_member(name: str) -> None:
    """torch's warning when a process that is not in a group calls one of its collectives."""
    rank = get_rank() if is_initialized() else -1
    warnings.warn(f"Running {name} on global rank {rank} which does not belong to the given group.")
