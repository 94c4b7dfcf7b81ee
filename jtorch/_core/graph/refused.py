"""Results that require grad though their operator has no derivative: the pass backward says so, as in torch."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from jtorch._core.graph.node import CLASSES_OF, Node, OpNode, next_seq, node_repr
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._engine.values.thread_state import GRAD, state

__all__ = ["NOT_DIFFERENTIABLE", "no_derivative", "refuse_backward", "refusing_class"]

NOT_DIFFERENTIABLE = "torch::autograd::NotImplemented"
"""The node's name for operators of which torch knows no derivative at all (``grad_name`` of the declaration)."""

_LIBRARY_NAMES = {
    "unique": "_unique2", "ldl_factor_ex": "linalg_ldl_factor_ex", "ldl_solve": "linalg_ldl_solve", "histogram_even": "histogram.bin_ct",
    "_histogramdd_even": "_histogramdd_from_bin_cts", "_histogramdd_edges": "_histogramdd_from_bin_tensors",
}  # fmt: skip


def no_derivative(grad_name: str, name: str) -> Exception:
    """The error: of another type for an operator that torch lists as one without a derivative."""
    name = _LIBRARY_NAMES.get(name, name)
    if grad_name == NOT_DIFFERENTIABLE:
        return RuntimeError(f"derivative for aten::{name} is not implemented")
    return NotImplementedError(f"the derivative for '{name}' is not implemented.")


class _RefusedNode(Node):
    def __init__(self, inputs: Sequence[Tensor], outs: Sequence[Any], error: Exception) -> None:
        self.error, self._avals = error, outs
        self.mask = tuple(t._edge is not None for t in inputs)
        edges: list[Any] = []
        for t in inputs:
            if t._edge is not None:
                edges += (edge_of(t), t._nr)
        self.edges, self.seq, self.hooks, self.extra = tuple(edges), next_seq(), None, None

    def _mask(self) -> tuple[bool, ...]:
        return self.mask

    @property
    def outs(self) -> Any:
        return self._avals

    def check(self) -> None: ...

    def release(self) -> None: ...

    def run(self, run: Any, buffer: dict[int, Any]) -> NoReturn:
        raise self.error


_classes: dict[str, Any] = {}


def _class_named(name: str) -> Any:
    if name not in _classes:
        attributes = {"__module__": "torch.autograd.graph", "__repr__": node_repr, "name": lambda self: name}
        _classes[name] = type(re.sub(r".*::", "", name), (_RefusedNode,), attributes)
    return _classes[name]


def refuse_backward(outs: Sequence[Any], inputs: Sequence[Any], grad_name: str, name: str) -> None:
    """Let results of ``inputs`` require grad where an input does; going back through them raises."""
    given = [t for t in inputs if isinstance(t, Tensor) and aval_of(t).dtype.category >= 2]
    if not state.mode & GRAD or all(t._edge is None for t in given):
        return
    node = _class_named(grad_name)(given, [aval_of(t) for t in outs], no_derivative(grad_name, name))
    for i, t in enumerate(outs):
        if aval_of(t).dtype.category >= 2:
            t._edge, t._nr = node, i


@functools.cache
def refusing_class(name: str) -> Any:
    """The class of the nodes of a recorded operator without a derivative."""

    def refuse(self: OpNode, *_: Any) -> NoReturn:
        raise no_derivative(NOT_DIFFERENTIABLE, name)

    attributes = {"__slots__": (), "__module__": "torch.autograd.graph", "__repr__": node_repr, "name": lambda self: NOT_DIFFERENTIABLE, "pull": refuse, "apply": refuse, "check": refuse}
    return type("NotImplemented", (OpNode,), attributes)


CLASSES_OF[NOT_DIFFERENTIABLE] = refusing_class
