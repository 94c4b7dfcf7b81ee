"""``FullyShardedDataParallel``, the wrapper that came before :func:`fully_shard`, which does its work. Source: https://docs.pytorch.org/docs/stable/fsdp.html

Parameters are DTensors by their own names (in torch's words: ``use_orig_params=True``), whichever way it is asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.distributed import _collectives as collectives
from jtorch.distributed._groups import ProcessGroup, resolve
from jtorch.distributed._names import refusing_class
from jtorch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict, set_optimizer_state_dict
from jtorch.distributed.device_mesh import DeviceMesh
from jtorch.distributed.tensor._api import DTensor, distribute_tensor

from ._fully_shard import _after, _before
from ._sharding import Sharded
from .api import (
    BackwardPrefetch,
    CPUOffload,
    FullOptimStateDictConfig,
    FullStateDictConfig,
    LocalOptimStateDictConfig,
    LocalStateDictConfig,
    MixedPrecision,
    MixedPrecisionPolicy,
    OptimStateDictConfig,
    OptimStateKeyType,
    ShardedOptimStateDictConfig,
    ShardedStateDictConfig,
    ShardingStrategy,
    StateDictConfig,
    StateDictSettings,
    StateDictType,
)  # fmt: skip
from .wrap import wrapped_children

__all__ = [
    "BackwardPrefetch", "CPUOffload", "FlatParameter", "FullOptimStateDictConfig", "FullStateDictConfig", "FullyShardedDataParallel", "LocalOptimStateDictConfig", "LocalStateDictConfig", "MixedPrecision",
    "OptimStateDictConfig", "OptimStateKeyType", "ShardedOptimStateDictConfig", "ShardedStateDictConfig", "ShardingStrategy", "StateDictConfig", "StateDictSettings", "StateDictType",
]  # fmt: skip

FlatParameter = refusing_class("FlatParameter", "torch.distributed.fsdp")  # parameters are DTensors
FSDP_WRAPPED_MODULE = "_fsdp_wrapped_module"
_TYPES = {
    StateDictType.FULL_STATE_DICT: (FullStateDictConfig, FullOptimStateDictConfig), StateDictType.SHARDED_STATE_DICT: (ShardedStateDictConfig, ShardedOptimStateDictConfig),
    StateDictType.LOCAL_STATE_DICT: (LocalStateDictConfig, ShardedOptimStateDictConfig),
}  # fmt: skip


class FullyShardedDataParallel(torch.nn.Module):  # type: ignore[name-defined,misc]
    """``module``, with its parameters, their gradients and the optimizer's state shared out among the processes of a group."""

    def __init__(
        self, module: Any, process_group: Any = None, sharding_strategy: ShardingStrategy | None = None, cpu_offload: CPUOffload | None = None, auto_wrap_policy: Any = None,
        backward_prefetch: BackwardPrefetch | None = BackwardPrefetch.BACKWARD_PRE, mixed_precision: MixedPrecision | None = None, ignored_modules: Any = None, param_init_fn: Any = None,
        device_id: Any = None, sync_module_states: bool = False, forward_prefetch: bool = False, limit_all_gathers: bool = True, use_orig_params: bool = False, ignored_states: Any = None,
        device_mesh: DeviceMesh | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._inner = False
        mesh, group = _mesh_of(process_group, device_mesh, module, sharding_strategy, auto_wrap_policy is not None)
        ignored = {m for x in ignored_modules or () for m in x.modules()} | {x for x in ignored_states or () if isinstance(x, torch.nn.Module)}
        params = {p for m in ignored for p in m.parameters()} | {x for x in ignored_states or () if isinstance(x, torch.Tensor)}
        kwargs = {
            "process_group": process_group, "sharding_strategy": sharding_strategy, "cpu_offload": cpu_offload, "backward_prefetch": backward_prefetch, "mixed_precision": mixed_precision,
            "param_init_fn": param_init_fn, "device_id": device_id, "sync_module_states": sync_module_states, "use_orig_params": use_orig_params, "device_mesh": mesh, "ignored_states": ignored_states,
            "ignored_modules": ignored_modules,
        }  # fmt: skip
        if auto_wrap_policy is not None:
            wrapped_children(module, auto_wrap_policy, lambda child, given: type(self)(child, **{**kwargs, **given, "process_group": None}), {}, ignored | params)
        if param_init_fn is not None:
            for m in module.modules():
                if any(p.device.type == "meta" for p in m.parameters(recurse=False)):
                    param_init_fn(m)
        if device_id is not None:
            module = module.to(device_id if isinstance(device_id, (torch.device, str)) else f"cuda:{device_id}")
        self.process_group, self.mesh = group, mesh
        self.sharding_strategy = sharding_strategy or ShardingStrategy.FULL_SHARD
        if sync_module_states and group is not None and group.size() > 1:
            for b in module.buffers():
                collectives.broadcast(b.detach(), group=group, group_src=0)
        mixed = mixed_precision or MixedPrecision()
        policy = MixedPrecisionPolicy(mixed.param_dtype, mixed.reduce_dtype, None, True)
        sharded = Sharded([module], mesh, policy, None, params, self.sharding_strategy is not ShardingStrategy.NO_SHARD)
        if self.sharding_strategy not in (ShardingStrategy.FULL_SHARD, ShardingStrategy.HYBRID_SHARD):  # the others keep the wholes until backward
            sharded.reshard_after_forward = False
        self.__dict__["_fsdp_sharded"] = sharded
        self._fsdp_wrapped_module = module
        if mixed.buffer_dtype is not None:
            for m in module.modules():
                for name, b in m._buffers.items():
                    if b is not None and b.is_floating_point():
                        m._buffers[name] = b.to(mixed.buffer_dtype)
        if not use_orig_params and len({p.sharded.requires_grad for p in sharded.parameters}) > 1:
            raise ValueError("Must flatten tensors with uniform `requires_grad` when `use_orig_params=False`")
        self._settings = StateDictSettings()
        self._summoned = 0  # how often, just now
        for m in module.modules():
            if isinstance(m, FullyShardedDataParallel):
                m._inner = True
        self._register_load_state_dict_pre_hook(self._take_names)

    @property
    def module(self) -> Any:
        """What is wrapped."""
        return self._fsdp_wrapped_module

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == FSDP_WRAPPED_MODULE:
                raise
            return getattr(self._fsdp_wrapped_module, name)

    def __getitem__(self, key: Any) -> Any:
        return self.module[key]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's results, from whole parameters."""
        sharded: Any = self._fsdp_sharded
        args, kwargs = _before(sharded, args, kwargs)
        out = None
        try:
            out = self._fsdp_wrapped_module(*args, **kwargs)
        finally:
            out = _after(sharded, out)
        return out

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As of any module, and within :meth:`summon_full_params` by the wrapped module's names."""
        for name, p in super().named_parameters(*args, **kwargs):
            yield name.replace(FSDP_WRAPPED_MODULE + ".", "") if self._summoned else name, p

    def named_buffers(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As :meth:`named_parameters`."""
        for name, b in super().named_buffers(*args, **kwargs):
            yield name.replace(FSDP_WRAPPED_MODULE + ".", "") if self._summoned else name, b

    def check_is_root(self) -> bool:
        """Whether no other wrapper is around it."""
        return not self._inner

    @staticmethod
    def fsdp_modules(module: Any, root_only: bool = False) -> list[Any]:
        """All wrappers in a tree of modules, or the outermost."""
        found = [m for m in module.modules() if isinstance(m, FullyShardedDataParallel)]
        return [m for m in found if not any(m is not o and m in set(o.modules()) for o in found)] if root_only else found

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within, torch leaves gradients to be reduced later; here they are reduced in every backward, with the same sums."""
        yield

    def clip_grad_norm_(self, max_norm: float, norm_type: float = 2.0) -> Any:
        """Scale the gradients so that their norm over all ranks is at most ``max_norm``; the norm it was."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), max_norm, norm_type)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    @staticmethod
    @contextlib.contextmanager
    def summon_full_params(module: Any, recurse: bool = True, writeback: bool = True, rank0_only: bool = False, offload_to_cpu: bool = False, with_grads: bool = False) -> Iterator[None]:
        """Within, the parameters are whole; what was written into them stays if ``writeback`` (NotImplementedError with ``rank0_only``)."""
        if writeback and rank0_only:
            raise NotImplementedError("writeback=True and rank0_only=True is not supported yet")
        wrappers = FullyShardedDataParallel.fsdp_modules(module) if recurse else [module]
        every = [m._fsdp_sharded for m in wrappers]
        held = []
        for sharded in every:
            sharded.refresh()
            for p in sharded.parameters:
                whole = torch.nn.Parameter(p.sharded.detach().full_tensor().clone(), requires_grad=p.sharded.requires_grad)
                if with_grads and p.sharded.grad is not None:
                    whole.grad = p.sharded.grad.full_tensor()
                held.append((p, whole))
                p.set(whole)
        for m in wrappers:
            m._summoned += 1
        try:
            yield
        finally:
            for m in wrappers:
                m._summoned -= 1
            with torch.no_grad():
                for p, whole in held:
                    if writeback:
                        p.sharded.copy_(distribute_tensor(whole.detach(), p.sharded.device_mesh, p.sharded.placements, src_data_rank=None))
                    p.set(p.sharded)

    @staticmethod
    def set_state_dict_type(module: Any, state_dict_type: StateDictType, state_dict_config: Any = None, optim_state_dict_config: Any = None) -> StateDictSettings:
        """What ``state_dict`` of the wrappers gives from now on; what it was."""
        before = FullyShardedDataParallel.get_state_dict_type(module)
        kinds = _TYPES[state_dict_type]
        fresh = StateDictSettings(state_dict_type, state_dict_config or kinds[0](), optim_state_dict_config or kinds[1]())
        for m in FullyShardedDataParallel.fsdp_modules(module):
            m._settings = fresh
        return before

    @staticmethod
    def get_state_dict_type(module: Any) -> StateDictSettings:
        """What ``state_dict`` of the wrappers gives."""
        found = FullyShardedDataParallel.fsdp_modules(module)
        return found[0]._settings if found else StateDictSettings()

    @staticmethod
    @contextlib.contextmanager
    def state_dict_type(module: Any, state_dict_type: StateDictType, state_dict_config: Any = None, optim_state_dict_config: Any = None) -> Iterator[None]:
        """:meth:`set_state_dict_type` for a while."""
        before = FullyShardedDataParallel.set_state_dict_type(module, state_dict_type, state_dict_config, optim_state_dict_config)
        try:
            yield
        finally:
            for m in FullyShardedDataParallel.fsdp_modules(module):
                m._settings = before

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """By the wrapped module's names: whole tensors, or (``SHARDED_STATE_DICT``) DTensors."""
        found = super().state_dict(*args, **kwargs)
        prefix, settings = kwargs.get("prefix", args[1] if len(args) > 1 else ""), self._settings
        if settings.state_dict_type is StateDictType.LOCAL_STATE_DICT:
            not_implemented("FullyShardedDataParallel with LOCAL_STATE_DICT", "SHARDED_STATE_DICT has the parts as DTensors")
        full = settings.state_dict_type is StateDictType.FULL_STATE_DICT
        for name in list(found):
            if not name.startswith(prefix):
                continue
            x = found.pop(name)
            if full and isinstance(x, DTensor):
                x = x.full_tensor()
            if settings.state_dict_config.offload_to_cpu and not isinstance(x, DTensor):
                x = x.cpu()
            found[name.replace(FSDP_WRAPPED_MODULE + ".", "")] = x
        if not prefix and full and getattr(settings.state_dict_config, "rank0_only", False) and self.process_group is not None and self.process_group.rank():
            found.clear()
        return found

    def _take_names(self, state_dict: Any, prefix: str, *_: Any) -> None:
        """What is loaded has the wrapped module's names; the tensors' parts are taken where they are written."""
        inside = prefix + FSDP_WRAPPED_MODULE + "."
        for name in [n for n in state_dict if n.startswith(prefix) and not n.startswith(inside)]:
            state_dict[inside + name[len(prefix) :]] = state_dict.pop(name)

    @staticmethod
    def optim_state_dict(model: Any, optim: Any, optim_state_dict: Any = None, group: Any = None) -> Any:
        """The optimizer's state by names of parameters: whole, or as DTensors, as the type of state dicts says."""
        settings = FullyShardedDataParallel.get_state_dict_type(model)
        full = settings.state_dict_type is StateDictType.FULL_STATE_DICT
        found = get_optimizer_state_dict(model, optim, options=StateDictOptions(full_state_dict=full))
        if full and getattr(settings.optim_state_dict_config, "rank0_only", False) and resolve().rank():
            return {}
        return found

    @staticmethod
    def optim_state_dict_to_load(model: Any, optim: Any, optim_state_dict: Any, is_named_optimizer: bool = False, load_directly: bool = False, group: Any = None) -> Any:
        """What :meth:`optim_state_dict` gave, as the optimizer's ``load_state_dict`` takes it."""
        before = optim.state_dict()
        set_optimizer_state_dict(model, optim, optim_state_dict, options=StateDictOptions(full_state_dict=True))
        out = optim.state_dict()
        if not load_directly and before["state"]:
            optim.load_state_dict(before)
        return out

    @staticmethod
    def full_optim_state_dict(model: Any, optim: Any, optim_input: Any = None, rank0_only: bool = True, group: Any = None) -> Any:
        """Whole states by names of parameters; on rank 0 alone if ``rank0_only``."""
        found = get_optimizer_state_dict(model, optim, options=StateDictOptions(full_state_dict=True))
        return {} if rank0_only and resolve().rank() else found

    @staticmethod
    def shard_full_optim_state_dict(full_optim_state_dict: Any, model: Any, optim_input: Any = None, optim: Any = None) -> Any:
        """What :meth:`full_optim_state_dict` gave, as the optimizer's ``load_state_dict`` takes it."""
        return FullyShardedDataParallel.optim_state_dict_to_load(model, optim, full_optim_state_dict)

    def register_comm_hook(self, state: Any, hook: Any) -> None:
        """Not there: raises NotImplementedError."""
        not_implemented("FullyShardedDataParallel.register_comm_hook", "gradients are reduced as the derivative of gathering")


def _mesh_of(process_group: Any, device_mesh: DeviceMesh | None, module: Any, strategy: ShardingStrategy | None, wraps: bool) -> tuple[DeviceMesh, ProcessGroup | None]:
    """The mesh, and the group that shards along its last dim. A pair of groups is (of those who shard, of those who have the same part). ValueError in torch's words. ``wraps``: a policy wraps what is inside."""
    hybrid = strategy in (ShardingStrategy.HYBRID_SHARD, ShardingStrategy._HYBRID_SHARD_ZERO2)
    if process_group is not None and device_mesh is not None:
        raise ValueError("Cannot pass both process_group and device_mesh at the same time. Please just pass only one of them.")
    if hybrid and process_group is None and device_mesh is None and not wraps:
        raise ValueError(f"Manual wrapping with {strategy} requires explicit specification of process group or device_mesh.")
    if device_mesh is not None:
        if hybrid and device_mesh.ndim != 2:
            raise ValueError(f"Expected device_mesh to have ndim=2 but got {device_mesh.ndim}")
        return device_mesh, None if device_mesh._here else device_mesh.get_group(device_mesh.ndim - 1)
    p = next(iter(module.parameters()), None)
    kind = p.device.type if p is not None and p.device.type != "meta" else "cpu"
    pair = isinstance(process_group, tuple) and len(process_group) == 2 and all([isinstance(g, ProcessGroup) for g in process_group])
    if hybrid and process_group is not None and not pair:
        raise ValueError(f"Expected process_group to be passed in as either None or Tuple[dist.ProcessGroup, dist.ProcessGroup] but got {type(process_group)}")
    if hybrid and pair:
        inside, across = process_group
        me = inside.ranks[inside.rank()]
        return DeviceMesh(kind, [[a + b - me for b in inside.ranks] for a in across.ranks], _groups={0: across, 1: inside}), inside
    group = resolve(process_group)
    return DeviceMesh(kind, list(group.ranks), _groups={0: group}), group


FullyShardedDataParallel.__module__ = "torch.distributed.fsdp.fully_sharded_data_parallel"
