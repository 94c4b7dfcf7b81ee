"""``fully_shard``. Source: https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html"""

from __future__ import annotations

import functools
from typing import Any

from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.distributed import _groups
from jtorch.distributed.device_mesh import DeviceMesh, init_device_mesh

from ._sharding import Sharded, each_tensor, spread_batch
from .api import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy

__all__ = ["CPUOffloadPolicy", "FSDPModule", "MixedPrecisionPolicy", "OffloadPolicy", "UnshardHandle", "fully_shard", "register_fsdp_forward_method", "share_comm_ctx"]


class UnshardHandle:
    """What ``unshard(async_op=True)`` gives."""

    def wait(self) -> None:
        """Everything that follows waits for it by itself."""


class FSDPModule:
    """The class of a module whose parameters were sharded, besides its own."""

    _fsdp_sharded: Sharded | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A module of the class without this one."""
        original = cls.__mro__[2]
        return original.__new__(original, *args, **kwargs)

    def _all(self, recurse: bool = True) -> Any:
        for module in self.modules() if recurse else (self,):  # type: ignore[attr-defined]
            found = module.__dict__.get("_fsdp_sharded")
            if found is not None:
                yield found

    def unshard(self, async_op: bool = False) -> UnshardHandle | None:
        """The module's own parameters are whole, until :meth:`reshard` or the end of its next forward."""
        for sharded in self._all(False):
            if not sharded.held:
                sharded.held = True
                sharded.unshard()
        return UnshardHandle() if async_op else None

    def reshard(self) -> None:
        """The module's own parameters are sharded."""
        for sharded in self._all(False):
            sharded.held = False
            sharded.depth = 0
            sharded.reshard()

    def set_is_last_backward(self, is_last_backward: bool) -> None:
        """Gradients are reduced in every backward, which gives the same sums."""

    def set_requires_gradient_sync(self, requires_gradient_sync: bool, *, recurse: bool = True) -> None:
        """Gradients are reduced in every backward, which gives the same sums."""

    def set_requires_all_reduce(self, requires_all_reduce: bool, *, recurse: bool = True) -> None:
        """Gradients are reduced in every backward, which gives the same sums."""

    def set_reshard_after_forward(self, reshard_after_forward: bool, recurse: bool = True) -> None:
        """Whether backward gathers the parameters again, rather than that the graph keeps the wholes."""
        for sharded in self._all(recurse):
            sharded.reshard_after_forward = reshard_after_forward

    def set_reshard_after_backward(self, reshard_after_backward: bool, *, recurse: bool = True) -> None:
        """Wholes go with the graph anyway."""

    def set_modules_to_forward_prefetch(self, modules: list[Any]) -> None:
        """XLA orders the gathering by itself."""

    def set_modules_to_backward_prefetch(self, modules: list[Any]) -> None:
        """XLA orders the gathering by itself."""

    def set_post_optim_event(self, event: Any) -> None:
        """There are no streams to wait for."""

    def set_unshard_in_backward(self, unshard_in_backward: bool) -> None:
        """What backward needs it has."""

    def set_gradient_divide_factor(self, factor: float) -> None:
        """Gradients are the sum over the ranks divided by ``factor``."""
        for sharded in self._all(False):
            sharded.factor = factor

    set_reduce_scatter_divide_factor = set_gradient_divide_factor

    def set_force_sum_reduction_for_comms(self, enable: bool) -> None:
        """Sums are what is reduced, as it is."""

    def set_allocate_memory_from_process_group_for_comm(self, enable: bool) -> None:
        """Memory is XLA's."""

    def _set_unshard_async_op(self, async_op: bool) -> None:
        """Gathering is asynchronous anyway."""

    def _get_fsdp_state(self) -> Any:
        return self._fsdp_sharded


_classes: dict[type, type] = {}


def _default_mesh() -> DeviceMesh:
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    if not _groups.is_initialized():
        raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")
    return init_device_mesh(kind, (_groups.get_world_size(),))


def fully_shard(
    module: Any, *, mesh: DeviceMesh | None = None, reshard_after_forward: bool | int | None = None, shard_placement_fn: Any = None, mp_policy: MixedPrecisionPolicy | None = None,
    offload_policy: OffloadPolicy | None = None, ignored_params: set[Any] | None = None, dp_mesh_dims: Any = None,
) -> Any:  # fmt: skip
    """Shard the parameters of a module (those that no module below it has sharded) over a mesh: each device keeps a part of them, of their gradients and of the optimizer's state. They are DTensors,
    and ordinary whole tensors while the module's forward runs. A mesh of two dims replicates along the first. Gives the module, whose class is an :class:`FSDPModule` from now on. ValueError for containers
    that have no forward, and a mesh of more dims. ``reshard_after_forward``: whether backward gathers the parameters again (None: but for the outermost module's; a number, which in torch
    keeps them in groups of so many ranks, is True). NotImplementedError for ``dp_mesh_dims``.
    """
    modules = list(module) if isinstance(module, (list, tuple)) else [module]
    for m in modules:
        if isinstance(m, (torch.nn.ModuleList, torch.nn.ModuleDict)):
            raise ValueError(f"fully_shard does not support containers that do not implement forward: {m}")
        if m.__dict__.get("_fsdp_sharded") is not None:
            raise AssertionError("Each distinct composable distributed API can only be applied to a module once. " f"fully_shard has already been applied to the following module:\n{m}")
    if dp_mesh_dims is not None:
        not_implemented("fully_shard(dp_mesh_dims=...)", "give it the part of the mesh that it is to shard over")
    mesh = mesh or _default_mesh()
    if mesh.ndim not in (1, 2):
        raise ValueError(f"fully_shard expects a 1D or 2D DeviceMesh but got {mesh}")
    if mesh.ndim == 2 and mesh.mesh_dim_names is None:
        raise AssertionError("Please init the 2D mesh for HSDP with mesh_dim_names specified")
    policy = mp_policy or MixedPrecisionPolicy()
    sharded = Sharded(modules, mesh, policy, shard_placement_fn, set(ignored_params or ()))
    sharded.reshard_after_forward = None if reshard_after_forward is None else bool(reshard_after_forward)
    for m in modules:
        m.__dict__["_fsdp_sharded"] = sharded
        cls = type(m)
        if cls not in _classes:
            _classes[cls] = type(f"FSDP{cls.__name__}", (FSDPModule, cls), {"__module__": cls.__module__, "__deepcopy__": _no_copy})
        m.__class__ = _classes[cls]
        m.register_forward_pre_hook(lambda mod, args, kwargs: _before(sharded, args, kwargs), prepend=True, with_kwargs=True)
        m.register_forward_hook(lambda mod, args, out: _after(sharded, out), always_call=True)
    return module


def _no_copy(self: Any, memo: Any) -> Any:
    raise AssertionError("FSDP does not support deepcopy. Please use state dict for serialization.")


def _before(sharded: Sharded, args: Any, kwargs: Any) -> Any:
    policy = sharded.policy

    def one(t: Any) -> Any:
        t = spread_batch(t, sharded.mesh)
        if policy.cast_forward_inputs and policy.param_dtype is not None and t.is_floating_point() and t.dtype is not policy.param_dtype:
            t = t.to(policy.param_dtype)
        return t

    args, kwargs = each_tensor(args, one), each_tensor(kwargs, one)
    _within.append(sharded)
    sharded.unshard()
    return args, kwargs


_within: list[Sharded] = []  # whose forward is under way


def _after(sharded: Sharded, out: Any) -> Any:
    while _within and _within.pop() is not sharded:
        pass  # a forward that failed
    wants = sharded.reshard_after_forward
    forgets = out if (bool(_within) if wants is None else wants) else None
    if sharded.held:
        sharded.held = False
        sharded.depth = 1
    sharded.reshard(forgets)
    kind = sharded.policy.output_dtype
    if kind is not None and out is not None:
        out = each_tensor(out, lambda t: t.to(kind) if t.is_floating_point() else t)
    return out


def register_fsdp_forward_method(module: Any, method_name: str) -> None:
    """Let another method of a sharded module have whole parameters, as its forward has. AttributeError if there is none of this name."""
    if not isinstance(module, FSDPModule):
        return
    if not hasattr(module, method_name):
        raise ValueError(f"{type(module)} does not have a method {method_name}")
    before = getattr(module, method_name)

    @functools.wraps(before)
    def run(*args: Any, **kwargs: Any) -> Any:
        sharded: Any = module._fsdp_sharded
        args, kwargs = _before(sharded, args, kwargs)
        out = None
        try:
            out = before(*args, **kwargs)
        finally:
            out = _after(sharded, out)
        return out

    setattr(module, method_name, run)


def share_comm_ctx(modules: list[Any]) -> None:
    """XLA orders what is sent by itself."""
