"""``torch.distributed`` in a program that runs as one process, which is what most programs ask it about.

There are no process groups yet (distribution will be by sharding): ``is_available()`` is False, :func:`init_process_group` says so, and everything that needs
a group raises torch's error for a program that has made none. Source: https://docs.pytorch.org/docs/stable/distributed.html
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NoReturn

from jtorch._errors import not_implemented

from . import _names

__all__ = ["init_process_group", "destroy_process_group", "is_available", "is_initialized"]

_NEED_A_GROUP = (
    "all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "all_to_all", "all_to_all_single", "barrier", "broadcast", "broadcast_object_list",
    "gather", "gather_object", "get_backend", "get_rank", "get_world_size", "irecv", "isend", "monitored_barrier", "new_group", "recv", "reduce",
    "reduce_scatter", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send",
)  # fmt: skip


def is_available() -> bool:
    """Whether processes can be joined to a group: not yet."""
    return False


def is_initialized() -> bool:
    """Whether there is a process group."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether torchrun started this process."""
    return os.getenv("TORCHELASTIC_RUN_ID") is not None


def is_backend_available(backend: str) -> bool:
    """Whether a communication library is there: none is."""
    return False


def is_nccl_available() -> bool:
    """Whether NCCL is there: no."""
    return False


def is_gloo_available() -> bool:
    """Whether Gloo is there: no."""
    return False


def is_mpi_available() -> bool:
    """Whether MPI is there: no."""
    return False


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """Join a group of processes."""
    not_implemented("torch.distributed.init_process_group", "run one process: JAX sees all devices of a machine from it")


def destroy_process_group(group: Any = None) -> None:
    """Leave the group. AssertionError, as there is none."""
    raise AssertionError("Process group cannot be None")


def no_group(*args: Any, **kwargs: Any) -> NoReturn:
    """torch's error where a process group is needed and none was made."""
    raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")


def _needing_a_group(name: str) -> Callable[..., NoReturn]:
    def function(*args: Any, **kwargs: Any) -> NoReturn:
        no_group()

    function.__name__ = function.__qualname__ = name
    return function


globals().update({name: _needing_a_group(name) for name in _NEED_A_GROUP})
__all__ += _NEED_A_GROUP

_names.fill(globals())


def __getattr__(name: str) -> Any:
    module = None if name.startswith("__") else _names.found(name)
    if module is None:
        raise AttributeError(f"module 'torch.distributed' has no attribute '{name}'")
    globals()[name] = module
    return module
