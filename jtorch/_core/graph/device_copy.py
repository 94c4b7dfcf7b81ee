"""Copies from one device to another, and how their gradients go back."""

from __future__ import annotations

from typing import Any

from jtorch import _device
from jtorch._core.graph.node import Node, next_seq
from jtorch._core.graph.sparse_history import map_parts
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.host_memory import put_on
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._engine.values.values import canonical

__all__ = ["to_device", "to_device_node"]


class ToDevice(Node):
    """The gradient of a move goes back to where the tensor came from."""

    __slots__ = ("origin", "shape_aval")
    origin: _device.device
    shape_aval: Any

    def name(self) -> str:
        return "ToCopyBackward0"

    @property
    def outs(self) -> Any:
        return (self.shape_aval,)

    def check(self) -> None:
        return None

    def release(self) -> None:
        return None

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        return [run.unwrap(to_device(run.wrap(buffer[0]), self.origin))]


ToDevice.__name__ = ToDevice.__qualname__ = "ToCopyBackward0"


def to_device_node(t: Tensor, out: Tensor) -> None:
    """Make ``out`` a differentiable copy of ``t`` on another device."""
    if not state.mode & GRAD or t._edge is None or aval_of(out).dtype.category < 2:
        return
    node = ToDevice.__new__(ToDevice)
    node.origin, node.shape_aval = aval_of(t).device, aval_of(out)
    node.edges, node.seq, node.hooks, node.extra = (edge_of(t), t._nr), next_seq(), None, None
    out._edge, out._nr = node, 0


def to_device(t: Tensor, where: Any) -> Tensor:
    """``t`` on a device; ``t`` itself if it is there."""
    where = canonical(_device.device(where))
    if aval_of(t).device is where:
        return t
    if aval_of(t).__class__ is SparseAval:
        return map_parts(t, lambda part: to_device(part, where))
    out = new_tensor(put_on(read(t), where), t._s.strides if t._view is None else None)
    to_device_node(t, out)
    return out
