"""Names of ``torch.distributed`` that libraries import whether they use them or not. Where there are no process groups, a class can be asked for by
``isinstance`` and a function refuses; a submodule that is written as a file stands before its entry here."""

from __future__ import annotations

import enum
import importlib
from types import ModuleType
from typing import Any

from jtorch._errors import not_implemented

from . import _placements

__all__ = ["CLASSES", "ENUMS", "MODULES", "found"]

# Module (relative to torch.distributed): its classes (capitals) and functions; "Class=A,B" is an enumeration. "<" takes the names of another module.
MODULES: dict[str, str] = {
    "_symmetric_memory": "empty enable_symm_mem_for_group is_symm_mem_enabled_for_group rendezvous set_backend",
    "rpc": "BackendType=TENSORPIPE PyRRef RRef RpcBackendOptions TensorPipeRpcBackendOptions WorkerInfo get_worker_info init_rpc remote rpc_async rpc_sync shutdown",
    "rpc.api": "_all_gather _barrier", "autograd": "DistAutogradContext backward context get_gradients",

    "algorithms._checkpoint": "",
    "optim.optimizer": "DistributedOptimizer",
    "utils": "_sync_module_states",
}  # fmt: skip
CLASSES = "FileStore HashStore P2POp PrefixStore ProcessGroup ProcessGroupGloo Store TCPStore Work".split()
ENUMS = {"ReduceOp": "SUM PRODUCT MIN MAX BAND BOR BXOR AVG PREMUL_SUM UNUSED"}


def _refusing_class(name: str, where: str) -> Any:
    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        not_implemented("torch.distributed.*", "it is not there yet; docs/distributed.md says what is")

    return type(name, (), {"__new__": new, "__module__": where, "__doc__": f"``{where}.{name}``: part of what process groups do.", "__class_getitem__": classmethod(lambda cls, _: cls)})


def refusing_class(name: str, where: str) -> Any:
    """A class of this name that refuses to be made."""
    return _refusing_class(name, where)


def refusing(name: str, where: str) -> Any:
    """A function of this name that refuses."""
    return _refusing_function(name, where)


def _refusing_function(name: str, where: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        not_implemented("torch.distributed.*", "it is not there yet; docs/distributed.md says what is")

    call.__name__ = call.__qualname__ = name
    call.__module__ = where
    call.__doc__ = f"``{where}.{name}``: part of what process groups do."
    return call


_made: dict[str, Any] = {name: getattr(_placements, name) for name in _placements.__all__}


def _one(entry: str, where: str) -> tuple[str, Any]:
    """(name, object) of an entry. A class is one object, wherever it is named."""
    name, _, members = entry.partition("=")
    if name not in _made:
        if members:
            _made[name] = enum.Enum(name, members.split(","), module=where)
        elif name.lstrip("_")[0].isupper():
            _made[name] = _refusing_class(name, where)
        else:
            return name, _refusing_function(name, where)
    return name, _made[name]


_WRITTEN = frozenset(("tensor", "_tensor", "_composable", "checkpoint", "fsdp", "pipelining"))  # packages that are files, imported when they are asked for


def found(path: str) -> ModuleType | None:
    """The submodule of this name (relative to torch.distributed), None if there is none."""
    if path in _WRITTEN:
        try:
            return importlib.import_module(f"jtorch.distributed.{path}")
        except ModuleNotFoundError:
            pass
    if path not in MODULES and not any(m.startswith(path + ".") for m in MODULES):
        return None
    where = f"torch.distributed.{path}"
    module = _Names(where, f"``{where}``, as far as libraries name it: nothing here works without process groups.")
    if any(m.startswith(path + ".") for m in MODULES):
        module.__path__ = []  # a package, or the import system asks for nothing below it
    vars(module).update(_one(entry, where) for entry in MODULES.get(path, "").split())
    vars(module).update(_EXTRA.get(path, {}))
    return module


class CheckpointImpl(enum.Enum):
    """How an activation checkpoint runs its second pass."""

    REENTRANT = enum.auto()
    NO_REENTRANT = enum.auto()


def _false() -> bool:
    """False: there are no process groups."""
    return False


def _checkpoint_wrapper(module: Any, checkpoint_impl: CheckpointImpl = CheckpointImpl.NO_REENTRANT, checkpoint_fn: Any = None, **options: Any) -> Any:
    """A module whose activations are computed once more in backward."""
    from jtorch._public import torch
    from jtorch.utils.checkpoint import checkpoint

    class CheckpointWrapper(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self._checkpoint_wrapped_module = module

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self._checkpoint_wrapped_module, name)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            run = checkpoint_fn or (lambda m, *a, **k: checkpoint(m, *a, use_reentrant=checkpoint_impl is CheckpointImpl.REENTRANT, **k, **options))
            return run(module, *args, **kwargs)

    return CheckpointWrapper()


def _apply_activation_checkpointing(model: Any, checkpoint_wrapper_fn: Any = _checkpoint_wrapper, check_fn: Any = lambda m: True, auto_wrap_policy: Any = None) -> None:
    """Wrap every module below for which ``check_fn`` holds."""
    for name, child in list(model.named_children()):
        _apply_activation_checkpointing(child, checkpoint_wrapper_fn, check_fn)
        if check_fn(child):
            setattr(model, name, checkpoint_wrapper_fn(child))


_EXTRA: dict[str, dict[str, Any]] = {
    "rpc": {"is_available": _false, "_is_current_rpc_agent_set": _false}, "autograd": {"is_available": _false}, "rpc.api": {"UNSET_RPC_TIMEOUT": -1.0, "_require_initialized": lambda fn: fn},
    "algorithms._checkpoint.checkpoint_wrapper": {
        "CheckpointImpl": CheckpointImpl, "checkpoint_wrapper": _checkpoint_wrapper, "apply_activation_checkpointing": _apply_activation_checkpointing,
    },
}  # fmt: skip
MODULES["algorithms._checkpoint.checkpoint_wrapper"] = "CheckpointWrapper ActivationWrapper offload_wrapper"


class _Names(ModuleType):
    def __getattr__(self, name: str) -> Any:
        path = f"{self.__name__.removeprefix('torch.distributed.')}.{name}"
        module = None if name.startswith("__") else found(path)
        if module is None:
            if name in ("default_pg_timeout",):
                import datetime

                return datetime.timedelta(minutes=30)
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        setattr(self, name, module)
        return module


def fill(names: dict[str, Any]) -> None:
    """Give torch.distributed its classes, where nothing of the name is there."""
    for name in CLASSES:
        names.setdefault(name, _one(name, "torch.distributed")[1])
    names.setdefault("ReduceOp", enum.Enum("ReduceOp", ENUMS["ReduceOp"], module="torch.distributed"))
    _made["ReduceOp"] = names["ReduceOp"]
    for name in ("group", "GroupMember"):
        names.setdefault(name, _made.setdefault(name, type(name, (), {"WORLD": None, "NON_GROUP_MEMBER": -100, "__module__": "torch.distributed", "__doc__": "There is no group."})))
    backend = {"UNDEFINED": "undefined", "GLOO": "gloo", "NCCL": "nccl", "UCC": "ucc", "MPI": "mpi", "XCCL": "xccl", "default_device_backend_map": {"cpu": "gloo", "cuda": "nccl"}, "backend_list": ["undefined", "gloo", "nccl", "xccl", "ucc", "mpi"]}
    names.setdefault("Backend", _made.setdefault("Backend", type("Backend", (str,), {**backend, "__module__": "torch.distributed", "__doc__": "The name of a communication library."})))
    for name in (
        "_all_gather_base _broadcast_coalesced _rank_not_in_group _reduce_scatter_base batch_isend_irecv get_global_rank get_group_rank get_process_group_ranks "
        "new_subgroups new_subgroups_by_enumeration recv_object_list send_object_list"
    ).split():
        names.setdefault(name, _refusing_function(name, "torch.distributed"))
    names.setdefault("is_xccl_available", _false)
