"""``DistributedDataParallel``: a module in each process, on that process's part of the batch, with gradients averaged over all.

Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jtorch._core.backward.backward_pass import _reachable, queue_callback
from jtorch._engine.values.thread_state import state
from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.futures import Future
from jtorch.nn.modules.module import Module

from ._collectives import all_reduce, tensors_alike, together
from ._groups import ProcessGroup, resolve
from ._join import Join, Joinable, JoinHook
from ._work import agree

__all__ = ["DistributedDataParallel", "GradBucket"]


class GradBucket:
    """Gradients that are reduced together, as a communication hook sees them: one flat tensor."""

    def __init__(self, number: int, flat: Any, parameters: list[Any], last: bool) -> None:
        self._number, self._flat, self._parameters, self._last = number, flat, parameters, last

    def index(self) -> int:
        """Its number."""
        return self._number

    def buffer(self) -> Any:
        """All its gradients, end to end."""
        return self._flat

    def set_buffer(self, tensor: Any) -> None:
        """Put another tensor in its place."""
        self._flat = tensor

    def gradients(self) -> list[Any]:
        """Its gradients in their shapes."""
        if self._flat.is_sparse:
            return [self._flat]
        return [x.reshape(p.shape) for x, p in zip(self._flat.split([p.numel() for p in self._parameters]), self._parameters, strict=True)]

    def parameters(self) -> list[Any]:
        """Whose they are."""
        return self._parameters

    def is_last(self) -> bool:
        """Whether it is the last of this backward."""
        return self._last


def tensors_in(x: Any) -> Iterator[Any]:
    """The tensors in nested containers."""
    if isinstance(x, torch.Tensor):
        yield x
    elif isinstance(x, dict):
        for y in x.values():
            yield from tensors_in(y)
    elif isinstance(x, (list, tuple)):
        for y in x:
            yield from tensors_in(y)
    elif dataclasses.is_dataclass(x) and not isinstance(x, type):
        for f in dataclasses.fields(x):
            yield from tensors_in(getattr(x, f.name))


def moved(x: Any, device: Any) -> Any:
    """Nested containers with their tensors on a device."""
    if isinstance(x, torch.Tensor):
        return x.to(device)
    if isinstance(x, dict):
        return type(x)((k, moved(v, device)) for k, v in x.items())
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(moved(y, device) for y in x))
    return type(x)(moved(y, device) for y in x) if isinstance(x, (list, tuple)) else x


class DistributedDataParallel(Module, Joinable):
    """``module``, whose gradients are averaged over the processes of a group before ``backward()`` returns.

    All gradients go in one collective for each element type (``bucket_cap_mb`` has no effect). Parameters and buffers are rank 0's from the start, buffers
    before every forward. RuntimeError where processes differ in their parameters, or where the backward before did not reach every parameter and
    ``find_unused_parameters`` was not set. ValueError without a process group.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0, broadcast_buffers: bool = True, init_sync: bool = True, process_group: Any = None,
        bucket_cap_mb: float | None = None, find_unused_parameters: bool = False, check_reduction: bool = False, gradient_as_bucket_view: bool = False, static_graph: bool = False,
        delay_all_reduce_named_params: Any = None, param_to_hook_all_reduce: Any = None, mixed_precision: Any = None, device_mesh: Any = None,
        skip_all_reduce_unused_params: bool = False, bucket_cap_mb_list: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if process_group is not None and device_mesh is not None:
            raise RuntimeError("Cannot specify both process_group and device_mesh arguments.")
        self.process_group: ProcessGroup = resolve(process_group) if device_mesh is None else device_mesh.get_group(0)
        if mixed_precision is not None:
            not_implemented("DistributedDataParallel(mixed_precision=...)", "use torch.autocast around the forward")
        if delay_all_reduce_named_params is not None:
            not_implemented("DistributedDataParallel(delay_all_reduce_named_params=...)", "all gradients of a pass go in one collective at its end")
        if device_ids is not None and len(device_ids) > 1:
            raise ValueError("device_ids can only be None or contain a single element.")
        skipped = set(getattr(module, "_ddp_params_and_buffers_to_ignore", ()))
        self.parameters_to_ignore = skipped
        named = [(n, p) for n, p in module.named_parameters() if n not in skipped]
        if not any(p.requires_grad for _, p in named):
            raise RuntimeError("DistributedDataParallel is not needed when a module doesn't have any parameter that requires a gradient.")
        self.device = next(p for _, p in named if p.requires_grad).device
        devices = {p.device for p in module.parameters()}
        if (device_ids or output_device) and {d.type for d in devices} == {"cpu"}:
            raise ValueError(
                "DistributedDataParallel device_ids and output_device arguments only work with single-device/multiple-device GPU modules or CPU modules, "
                f"but got device_ids {device_ids}, output_device {output_device}, and module parameters {devices}."
            )
        self.device_ids, self.output_device = device_ids, output_device
        self.is_multi_device_module = False
        self.module, self.dim, self.static_graph = module, dim, static_graph
        self.broadcast_buffers, self.find_unused_parameters, self.gradient_as_bucket_view = broadcast_buffers, find_unused_parameters, gradient_as_bucket_view
        self.require_backward_grad_sync = self.require_forward_param_sync = True
        self._names = [n for n, p in named if p.requires_grad]
        self._taking_part = [p for _, p in named if p.requires_grad]
        self._ready: set[int] = set()
        self._unused: set[int] = set()
        self._pending: Any = None  # the pass at whose end gradients are reduced
        self._left_over = self._reduced = False
        self._comm_hook: Any = None
        self.bucket_bytes_cap = int((25 if bucket_cap_mb is None else bucket_cap_mb) * 1024 * 1024)
        self._divide_by_initial_world_size = True
        if init_sync:
            self._same_everywhere(named)
            buffers = [b for n, b in module.named_buffers() if n not in skipped] if broadcast_buffers else []
            for work in together("broadcast", [*(p.detach() for _, p in named), *buffers], self.process_group, 0):
                work.wait()
        for i, p in enumerate(self._taking_part):
            p.register_post_accumulate_grad_hook(self._noting(i))

    def _same_everywhere(self, named: list[tuple[str, Any]]) -> None:
        mine = json.dumps([[str(p.dtype), list(p.shape)] for _, p in named]).encode()
        every = agree(self.process_group, "DistributedDataParallel(module)", mine)
        for rank, theirs in enumerate(every):
            if theirs == every[0]:
                continue
            first, other = json.loads(every[0]), json.loads(theirs)
            if len(first) != len(other):
                raise RuntimeError(f"DDP expects same model across all ranks, but Rank 0 has {len(first)} params, while rank {rank} has inconsistent {len(other)} params.")
            at = next(i for i, (a, b) in enumerate(zip(first, other, strict=True)) if a != b)
            raise RuntimeError(f"[{self.process_group.rank()}]: params[{at}] in this process with sizes {json.loads(mine)[at][1]} appears not to match sizes of the same param in process 0.")

    def _noting(self, i: int) -> Callable[[Any], None]:
        noted = self._ready.add

        def note(parameter: Any) -> None:
            noted(i)

        return note

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within, backward leaves each process its own gradients; the first backward outside reduces their sum."""
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's results."""
        training = torch.is_grad_enabled() and self.require_backward_grad_sync
        if training and self._left_over:
            self._complain()
        if self._join_config.enable:
            Join.notify_join_context(self)
        if self.require_forward_param_sync and self.broadcast_buffers:
            self._sync_buffers()
        if self.device_ids and self.device.type != "cpu":
            inputs, kwargs = moved(inputs, self.device), moved(kwargs, self.device)
        out = self.module(*inputs, **kwargs)
        self.require_forward_param_sync = training
        if training:
            self._prepare(out)
        return out

    def _sync_buffers(self) -> None:
        buffers = [b for n, b in self.module.named_buffers() if n not in self.parameters_to_ignore]
        if buffers:
            for work in together("broadcast", buffers, self.process_group, self._authority()):
                work.wait()

    def _authority(self) -> int:
        """Whose buffers all get: rank 0's, or those of the last process that still has inputs."""
        return self._authoritative if self._join_config.enable else 0

    _authoritative = 0

    def _prepare(self, out: Any) -> None:
        roots = [t for t in tensors_in(out) if t.requires_grad]
        self._ready.clear()
        self._pending, self._reduced = None, False
        if self.find_unused_parameters or self.static_graph:
            _, left = _reachable([t._edge for t in roots])
            self._unused = {i for i, p in enumerate(self._taking_part) if p._edge not in left and all(t._edge is not p._edge for t in roots)}
        self._left_over = bool(roots)
        for t in roots:
            if not t.is_leaf:
                t.register_hook(self._begun)

    def _begun(self, gradient: Any) -> None:
        """Backward has come to the module's results."""
        run = state.backward
        if run is not None and self._pending is not run:
            self._pending = run
            queue_callback(self._reduce)

    def _complain(self) -> None:
        missing = [i for i in range(len(self._taking_part)) if i not in self._ready]
        if self._pending is None or not missing:  # no backward was run at all, which is allowed
            return
        raise RuntimeError(
            "Expected to have finished reduction in the prior iteration before starting a new one. This error indicates that your module has parameters that were not used in producing loss. "
            "You can enable unused parameter detection by passing the keyword argument `find_unused_parameters=True` to `torch.nn.parallel.DistributedDataParallel`, and by \nmaking sure all "
            "`forward` function outputs participate in calculating loss. \nIf you already have done the above, then the distributed data parallel module wasn't able to locate the output tensors "
            "in the return value of your module's `forward` function. Please include the loss function and the structure of the return value of `forward` of your module when reporting this issue "
            f"(e.g. list, dict, iterable).\nParameter indices which did not receive grad for rank {self.process_group.rank()}: {' '.join(map(str, missing))}\n In addition, you can set the environment "
            "variable TORCH_DISTRIBUTED_DEBUG to either INFO or DETAIL to print out information about which particular parameters did not receive gradient on this rank as part of this error"
        )

    def _reduce(self) -> None:
        """The end of a pass: average what has come."""
        lenient = self.find_unused_parameters or self.static_graph
        if self._reduced:  # by an earlier pass through the same forward: what comes now is added as it is, as in torch
            return
        if len(self._ready) < len(self._taking_part) and not (lenient and self._ready | self._unused >= set(range(len(self._taking_part)))):
            return
        self._left_over, self._reduced = False, True
        if self._join_config.enable:
            self._tell_joined()
        self._reduce_gradients([i in self._ready for i in range(len(self._taking_part))] if lenient else None)

    def _reduce_gradients(self, used: list[bool] | None) -> None:
        n = self._divisor()
        parameters = self._taking_part
        if used is not None:  # what nobody used keeps what it has
            every = agree(self.process_group, "DistributedDataParallel(find_unused_parameters=True)", "".join("01"[u] for u in used).encode())
            parameters = [p for i, p in enumerate(parameters) if any(bits[i : i + 1] == b"1" for bits in every)]
        with torch.no_grad():
            for p in parameters:
                if p.grad is None:
                    p.grad = torch.zeros_like(p)
        grads = [p.grad for p in parameters]
        if self._comm_hook is not None:
            self._by_hook(parameters, grads)
            return
        sparse = [g for g in grads if g.is_sparse]
        if sparse:
            grads = [g for g in grads if not g.is_sparse]
            with torch.no_grad():
                for g in sparse:
                    g.div_(n)
                    all_reduce(g, group=self.process_group)
        for work in together("all_reduce", grads, self.process_group, "PREMUL_SUM", 1.0 / n):
            work.wait()

    def _divisor(self) -> int:
        if self._join_config.enable and not self._divide_by_initial_world_size:
            return self._active
        return self.process_group.size()

    _active = 0

    def _by_hook(self, parameters: list[Any], grads: list[Any]) -> None:
        sparse = {i for i, g in enumerate(grads) if g.is_sparse}
        dense = [i for i in range(len(grads)) if i not in sparse]
        groups = [[dense[k] for k in numbers] for numbers in tensors_alike(self.process_group, [grads[i] for i in dense])] + [[i] for i in sorted(sparse)]
        hook, hook_state = self._comm_hook
        with torch.no_grad():
            for number, numbers in enumerate(groups):
                chosen = [grads[i] for i in numbers]
                whole = numbers[0] in sparse  # as it is, in a bucket of its own
                bucket = GradBucket(number, chosen[0] if whole else torch.cat([g.reshape(-1) for g in chosen]), [parameters[i] for i in numbers], number == len(groups) - 1)
                out = hook(hook_state, bucket)
                flat = out.wait() if isinstance(out, Future) else out
                flat = flat[0] if isinstance(flat, (list, tuple)) else flat
                if whole:
                    chosen[0].copy_(flat)
                    continue
                for g, part in zip(chosen, flat.split([g.numel() for g in chosen]), strict=True):
                    g.copy_(part.reshape(g.shape))

    def register_comm_hook(self, state: Any, hook: Callable[..., Any]) -> None:
        """``hook(state, bucket)`` gives a future of the reduced flat tensor, in place of the average. RuntimeError if there is one already."""
        if not callable(hook):
            raise TypeError("Communication hook must be callable.")
        if self._comm_hook is not None:
            raise RuntimeError("register_comm_hook or register_builtin_comm_hook can only be called once.")
        self._comm_hook = (hook, state)

    def join(self, divide_by_initial_world_size: bool = True, enable: bool = True, throw_on_early_termination: bool = False) -> Join:
        """A context in which processes may have different numbers of batches: those that are done take part in the others' collectives with zeros."""
        return Join([self], enable, throw_on_early_termination, divide_by_initial_world_size=divide_by_initial_world_size)

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """What this process does when it has no more batches."""
        return _DDPJoinHook(self, kwargs.get("divide_by_initial_world_size", True))

    @property
    def join_device(self) -> Any:
        """Where the module is."""
        return self.device

    @property
    def join_process_group(self) -> ProcessGroup:
        """The group."""
        return self.process_group

    def _tell_joined(self) -> None:
        """Those that have joined hear that gradients come, from how many."""
        self._active = sum(x == b"1" for x in agree(self.process_group, "join: backward", b"1"))

    @classmethod
    def _set_params_and_buffers_to_ignore_for_model(cls, module: Module, params_and_buffers_to_ignore: Any) -> None:
        module._ddp_params_and_buffers_to_ignore = params_and_buffers_to_ignore

    def _set_static_graph(self) -> None:
        self.static_graph = True

    def _get_ddp_logging_data(self) -> dict[str, Any]:
        return {
            "world_size": self.process_group.size(), "rank": self.process_group.rank(), "module_name": type(self.module).__name__, "backend_name": self.process_group.backend,
            "broadcast_buffers": int(self.broadcast_buffers), "find_unused_parameters": int(self.find_unused_parameters), "static_graph": int(self.static_graph),
        }  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        if self.process_group is not resolve():
            raise RuntimeError("DDP Pickling/Unpickling are only supported when using DDP with the default process group. That is, when you have called init_process_group and have not passed process_group argument to DDP constructor")
        kept = dict(self.__dict__)
        for name in ("process_group", "_pending"):
            kept.pop(name, None)
        return kept

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.process_group, self._pending = resolve(), None
        super().__setstate__(kept)
        self._ready = set()
        for i, p in enumerate(self._taking_part):
            p.register_post_accumulate_grad_hook(self._noting(i))


class _DDPJoinHook(JoinHook):
    def __init__(self, ddp: DistributedDataParallel, divide_by_initial_world_size: bool) -> None:
        self.ddp = ddp
        ddp._divide_by_initial_world_size = divide_by_initial_world_size

    def main_hook(self) -> None:
        """What the others do in one of their turns, with zeros."""
        ddp = self.ddp
        if ddp.broadcast_buffers:
            ddp._sync_buffers()
        ddp._active = sum(x == b"1" for x in agree(ddp.process_group, "join: backward", b"0"))
        with torch.no_grad():
            kept = [p.grad for p in ddp._taking_part]
            for p in ddp._taking_part:
                p.grad = torch.zeros_like(p)
            lenient = ddp.find_unused_parameters or ddp.static_graph
            ddp._reduce_gradients([False] * len(kept) if lenient else None)
            for p, g in zip(ddp._taking_part, kept, strict=True):
                p.grad = g

    def post_hook(self, is_last_joiner: bool) -> None:
        """At the end all have the parameters and buffers of one that went on to the end."""
        ddp = self.ddp
        last = [i for i, x in enumerate(agree(ddp.process_group, "join: the last", b"1" if is_last_joiner else b"0")) if x == b"1"]
        every = [*(p.detach() for p in ddp._taking_part), *ddp.module.buffers()]
        for work in together("broadcast", every, ddp.process_group, max(last)):
            work.wait()

