"""Sparse tensors in the graph: nodes whose derivatives are functions of tensors, and gradients that may be sparse or dense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._core.graph.node import Node, next_seq, node_repr
from jtorch._core.graph.sparse_values import HANDLERS, make, value_of
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._engine.values.sparse_values import SparseValue
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._engine.values.values import Value

__all__ = ["SparseNode", "link", "map_parts", "renamed", "dense_gradient", "add_gradients"]


class SparseNode(Node):
    """A node whose derivative is written as functions of tensors, because gradients of sparse tensors may be sparse or dense."""

    __slots__ = ("fns", "aval")
    quiet = True
    fns: Any  # one for each edge; None once freed
    aval: Any

    @property
    def outs(self) -> Any:
        return (self.aval,)

    def check(self) -> None:
        if self.fns is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
                "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
                "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward."
            )

    def release(self) -> None:
        self.fns = None

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        self.check()
        g = run.wrap(buffer[0])
        out = [run.unwrap(fn(g)) for fn in self.fns]
        if not run.retain:
            self.release()
        return out

    def __repr__(self) -> str:
        return node_repr(self)


_classes: dict[str, type] = {}


def link(name: str, out: Tensor, *inputs: tuple[Any, Callable[[Tensor], Tensor]]) -> Tensor:
    """Give ``out`` a node: for each (tensor, function), the gradient of the tensor from the gradient of ``out``. Gives ``out``."""

    if not state.mode & GRAD or aval_of(out).dtype.category < 2:
        return out
    edges: list[Any] = []
    fns = []
    for t, fn in inputs:
        if isinstance(t, Tensor) and t._edge is not None:
            edges += (edge_of(t), t._nr)
            fns.append(fn)
    if not edges:
        return out
    cls: Any = _classes.get(name)
    if cls is None:
        cls = _classes[name] = type(name, (SparseNode,), {"__slots__": (), "__module__": "torch.autograd.graph"})
    node = cls.__new__(cls)
    node.fns, node.aval = tuple(fns), aval_of(out)
    node.edges, node.seq, node.hooks, node.extra = tuple(edges), next_seq(), None, None
    out._edge, out._nr = node, 0
    return out


def renamed(name: str, out: Tensor) -> Tensor:
    """``out``, made of several operators, shows as the result of one."""
    if out._edge is None or not state.mode & GRAD:
        return out
    result = new_tensor(read(out))
    return link(name, result, (out, lambda g: g))


def dense_gradient(g: Any) -> Any:
    """A gradient (value or tensor) for a node that knows dense ones only."""
    if isinstance(g, Tensor):
        return g.to_dense() if value_of(g) is not None else g
    if g.__class__ is not SparseValue:
        return g
    return read(new_tensor(g).to_dense())


def add_gradients(a: Value, b: Value) -> Value:
    """The sum of two gradients, one of them sparse at least: sparse if both are."""
    x, y = new_tensor(a), new_tensor(b)
    if a.__class__ is SparseValue and b.__class__ is not SparseValue:
        x, y = y, x
    out: Tensor = HANDLERS["accumulate"](x, y)
    return read(out)


def map_parts(t: Tensor, fn: Callable[[Tensor], Tensor]) -> Tensor:
    """The same function of every part."""
    v: Any = value_of(t)
    out = make(v.aval.layout.name, [fn(p) for p in v.parts], v.aval.shape, v.coalesced)
    return link("ToCopyBackward0", out, (t, lambda g: g.to(v.aval.device)))
