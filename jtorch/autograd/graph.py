"""``torch.autograd.graph``: nodes, saved-tensor hooks and multi-tensor hooks."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jtorch._core.backward.backward_pass import queue_callback
from jtorch._core.graph import saved_tensors
from jtorch._core.graph.grad_modes import _Context
from jtorch._core.graph.node import Node
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import read
from jtorch._core.storage.write_counts import written_since
from jtorch._engine.values.thread_state import state
from jtorch._errors import not_implemented

__all__ = [
    "Node", "GradientEdge", "get_gradient_edge", "saved_tensors_hooks", "save_on_cpu", "disable_saved_tensors_hooks", "register_multi_grad_hook",
    "allow_mutation_on_saved_tensors", "increment_version", "region_activation_memory_budget", "set_override_stale_capture_stream",
    "set_warn_on_accumulate_grad_stream_mismatch", "queue_callback", "node_creation_hook",
]  # fmt: skip


class GradientEdge(NamedTuple):
    """Where the gradient of a tensor flows: a node and which of its outputs."""

    node: Any
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge of a tensor that requires grad. RuntimeError if it does not."""
    if tensor._edge is None:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(edge_of(tensor), tensor._nr)


def node_creation_hook(hook: Callable[[Any], None]) -> Any:
    """torch 2.15's hook on each new node."""
    not_implemented("torch.autograd.graph.node_creation_hook", "nodes are made when somebody looks at them; a TorchDispatchMode sees each operator")


class saved_tensors_hooks:
    """While it is on, tensors that the graph saves go through ``pack_hook``, and through ``unpack_hook`` when backward needs them.

    Asked for the inputs and outputs that this engine's backward reads, and for what a custom ``Function`` saves. Those are often fewer than PyTorch's, as an
    operator's derivative comes from its definition; and what XLA keeps within one program between forward and backward never becomes a tensor: no hook sees it.
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        saved_tensors.push(self.pack_hook, self.unpack_hook)

    def __exit__(self, *args: object) -> None:
        saved_tensors.pop()


class save_on_cpu(saved_tensors_hooks):
    """Saved tensors wait in the cpu's memory and are moved back when backward needs them."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(x: Any) -> Any:
            return x.device, x.detach().cpu()

        def unpack(kept: Any) -> Any:
            where, x = kept
            return x.to(where, non_blocking=pin_memory)

        super().__init__(pack, unpack)


class disable_saved_tensors_hooks(_Context):
    """Inside, switching on saved-tensor hooks raises a RuntimeError with this message."""

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def clone(self) -> Any:
        return self.__class__(self.error_message)

    def __enter__(self) -> None:
        if saved_tensors.settings.stack:
            raise RuntimeError(self.error_message)
        self.before, saved_tensors.settings.disabled = saved_tensors.settings.disabled, self.error_message

    def __exit__(self, *args: object) -> None:
        saved_tensors.settings.disabled = self.before


class _Handle:
    """One saved tensor: its value then, and how often its memory had been written."""

    def __init__(self, t: Tensor, v: Any, tid: Any) -> None:
        self.value, self.storage, self.version, self.tid = v, t._s, t._s.version, tid


class _AllowMutationOnSavedContext:
    """What ``allow_mutation_on_saved_tensors`` gives: the saved values of its graphs, until it ends or they are cleared."""

    def __init__(self) -> None:
        self.tid_to_weakhandle: weakref.WeakValueDictionary[Any, _Handle] = weakref.WeakValueDictionary()

    def _where(self, written: bool) -> dict[_Handle, Tensor]:
        return {h: new_tensor(h.value) for h in self.tid_to_weakhandle.values() if bool(written_since(h.storage, h.version)) is written}

    @property
    def cloned(self) -> dict[_Handle, Tensor]:
        """What the graphs saved and was written since, as it was."""
        return self._where(True)

    @property
    def original(self) -> dict[_Handle, Tensor]:
        """What the graphs saved and nobody wrote."""
        return self._where(False)

    def keep(self, t: Tensor) -> _Handle:
        """The handle of a tensor that is saved: the same one each time, as long as it is not written."""
        v = read(t)
        tid = id(t), id(v), t._s.version
        found = self.tid_to_weakhandle.get(tid)
        if found is None:
            found = self.tid_to_weakhandle[tid] = _Handle(t, v, tid)
        return found

    def clear(self) -> None:
        """Forget them."""
        self.tid_to_weakhandle.clear()


_mutation: list[_AllowMutationOnSavedContext] = []


class allow_mutation_on_saved_tensors(_Context):
    """Inside, tensors that backward needs may be written in place: it sees them as they were. (Values are immutable here, so that costs nothing.)"""

    def __enter__(self) -> _AllowMutationOnSavedContext:
        if _mutation:
            raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
        ctx = _AllowMutationOnSavedContext()

        def unpack(handle: _Handle) -> Any:
            if ctx.tid_to_weakhandle.get(handle.tid) is not handle:
                raise AssertionError(
                    "Trying to backward outside of the 'allow_mutation_on_saved_tensors' contextin which the graph was originally recorded."
                )
            return new_tensor(handle.value)

        saved_tensors.push(ctx.keep, unpack)
        _mutation.append(ctx)
        return ctx

    def __exit__(self, *args: object) -> None:
        saved_tensors.pop()
        _mutation.pop().clear()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Any, *, mode: str = "all") -> Any:
    """Call ``fn(grads)`` when the gradients of all of ``tensors`` are there, or with ``mode="any"`` ``fn(grad)`` at the first."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    edges = [get_gradient_edge(t).node for t in tensors]
    passes: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()  # [how many are missing, the gradients] of each; threads have their own

    def hook(i: int) -> Any:
        def run(g: Any) -> None:
            mine = passes.get(state.backward)
            if mine is None:
                missing = 1 if mode == "any" else sum(state.backward.will_visit(e) for e in edges)
                mine = passes[state.backward] = [missing, [None] * len(edges)]
            mine[1][i] = g
            mine[0] -= 1
            if mine[0] == 0:
                fn(g if mode == "any" else mine[1])

        return run

    handles = [t.register_hook(hook(i)) for i, t in enumerate(tensors)]

    class _Handle:
        def remove(self) -> None:
            for h in handles:
                h.remove()

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.remove()

    return _Handle()


def increment_version(tensor: Any) -> None:
    """Say that a tensor was written in place."""
    for t in [tensor] if isinstance(tensor, Tensor) else tensor:
        t._s.version += 1


def region_activation_memory_budget(budget: float) -> Any:
    """Not there: it steers a partitioner of torch.compile."""
    not_implemented("torch.autograd.graph.region_activation_memory_budget", "use torch.utils.checkpoint to trade time for memory")


def set_override_stale_capture_stream(enabled: bool) -> None:
    """Not there: it is about CUDA graphs that are being captured."""
    not_implemented("torch.autograd.graph.set_override_stale_capture_stream", "XLA orders its work itself; there is nothing to override")


def set_warn_on_accumulate_grad_stream_mismatch(enabled: bool) -> None:
    """Nothing to warn of: XLA orders its work itself, and there are no streams that could differ."""
