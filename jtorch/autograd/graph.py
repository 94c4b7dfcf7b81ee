"""``torch.autograd.graph``: nodes, saved-tensor hooks and multi-tensor hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jtorch._core.dispatch import edge_of
from jtorch._core.node import Node
from jtorch._core.tensor import Tensor
from jtorch._errors import not_implemented

__all__ = ["Node", "GradientEdge", "get_gradient_edge", "saved_tensors_hooks", "save_on_cpu", "disable_saved_tensors_hooks", "register_multi_grad_hook", "allow_mutation_on_saved_tensors", "increment_version"]


class GradientEdge(NamedTuple):
    """Where the gradient of a tensor flows: a node and which of its outputs."""

    node: Any
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge of a tensor that requires grad. RuntimeError if it does not."""
    if tensor._edge is None:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(edge_of(tensor), tensor._nr)


class saved_tensors_hooks:
    """Pack and unpack hooks for saved tensors. Values are immutable here and XLA decides what is kept, so operators have nothing to pack."""

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        not_implemented("torch.autograd.graph.saved_tensors_hooks", "use torch.utils.checkpoint to trade memory for time")

    def __exit__(self, *_: object) -> None:
        pass


class save_on_cpu(saved_tensors_hooks):
    """Keep saved tensors in host memory."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda x: x, lambda x: x)


class disable_saved_tensors_hooks:
    """Forbid saved-tensor hooks inside; there are none."""

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class allow_mutation_on_saved_tensors:
    """Writing in place to a saved tensor is harmless here (values are immutable); the version check is what stops it."""

    def __enter__(self) -> Any:
        not_implemented("torch.autograd.graph.allow_mutation_on_saved_tensors", "clone the tensor before writing to it")

    def __exit__(self, *_: object) -> None:
        pass


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Any, *, mode: str = "all") -> Any:
    """Call ``fn(grads)`` when the gradients of all of ``tensors`` are there, or with ``mode="any"`` ``fn(grad)`` at the first."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    found: list[Any] = [None] * len(tensors)
    state = {"count": 0}

    def hook(i: int) -> Any:
        def run(g: Any) -> None:
            state["count"] += 1
            if mode == "any":
                if state["count"] == 1:
                    fn(g)
                if state["count"] == len(tensors):
                    state["count"] = 0
                return
            found[i] = g
            if state["count"] == len(tensors):
                state["count"] = 0
                grads = list(found)
                found[:] = [None] * len(tensors)
                fn(grads)

        return run

    handles = [t.register_hook(hook(i)) for i, t in enumerate(tensors)]  # type: ignore[attr-defined]

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
