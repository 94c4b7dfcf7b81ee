"""The history of operators that went through a ``__torch_dispatch__``: backward's formulas in operators of torch's library, so that modes and classes see those too.

A node stands for the operator that was offered, whatever the handler did. Where an operator has no formula here, the derivative is jtorch's own and nobody sees it;
a tensor without elements of its own (a wrapper) needs the formula.
"""

from __future__ import annotations

from typing import Any

from jtorch._core.graph.node import Node, OpNode, next_seq, node_repr
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.shells import is_shell
from jtorch._core.storage.view_steps import aval_of
from jtorch._errors import not_implemented
from jtorch.ops import aten

from .derivative_formulas import FORMULAS
from .offering import ATTACH
from .operators import tensors_in

__all__ = ["Offered", "OfferedNode", "attach"]

class Offered:
    """A call that was offered: what a formula reads."""

    def __init__(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.func, self.kwargs = func, kwargs
        self.args = args
        schema = func._schema
        self.names = [a.name for a in schema.arguments]
        self.given = dict(zip([a.name for a in schema._positional], args, strict=False)) | kwargs
        self.defaults = {a.name: a.default_value for a in schema.arguments}
        self.outs: list[Any] = []
        self.needs: list[bool] = []

    def __getitem__(self, name: str) -> Any:
        return self.given[name] if name in self.given else self.defaults[name]

    @property
    def out(self) -> Any:
        """The first result, which was saved."""
        return aten.detach.default(self.outs[0])


class OfferedNode(Node):
    """The node of an operator that was offered. ``inner`` is the operator's own, for what was saved and whether it was written since."""

    def __init__(self, call: Offered, given: list[Tensor], inner: Any, avals: list[Any]) -> None:
        self.call, self.inner, self._avals = call, inner, avals
        self.hooks, self.extra = None, None
        self.seq = next_seq()
        edges: list[Any] = []
        call.needs = [t._edge is not None and aval_of(t).dtype.category >= 2 for t in given]
        for t, needed in zip(given, call.needs, strict=True):
            if needed:
                edges += (edge_of(t), t._nr)
        self.edges = tuple(edges)
        self.freed = False

    def name(self) -> str:
        return self.inner.name() if self.inner is not None else f"{self.call.func._opname}Backward"

    @property
    def outs(self) -> Any:
        return self._avals

    def _mask(self) -> tuple[bool, ...]:
        return tuple(self.call.needs)

    def check(self) -> None:
        if isinstance(self.inner, OpNode):
            self.inner.check()

    def release(self) -> None:
        if isinstance(self.inner, OpNode):
            self.inner.release()

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        self.check()
        grads = [run.wrap(buffer[i]) if i in buffer else None for i in range(len(self._avals))]
        formula = FORMULAS.get(str(self.call.func).partition(".")[2]) or FORMULAS.get(self.call.func._opname)
        if formula is None:
            given = [t for t, needed in zip(tensors_in(self.call.args, self.call.kwargs), self.call.needs, strict=True) if needed]
            if all(hasattr(t, "gradient_of_shape") for t in given):
                return [_kept(run, type(t).gradient_of_shape(t)) for t in given]
            not_implemented(f"the derivative of {self.call.func} on tensor subclasses with __torch_dispatch__")
        found = formula(self.call, *grads)
        found = found if isinstance(found, (tuple, list)) else (found,)
        if not run.retain:
            self.release()
        wanted = [g for g, needed in zip(found, self.call.needs, strict=True) if needed]
        return [None if g is None else _kept(run, g) for g in wanted]


def _kept(run: Any, g: Tensor) -> Any:
    return g if is_shell(g) or run.create else run.unwrap(g)


_classes: dict[str, type] = {}


def _class_named(name: str) -> type:
    if name not in _classes:
        _classes[name] = type(name, (OfferedNode,), {"__module__": "torch.autograd.graph", "__repr__": node_repr})
    return _classes[name]


def attach(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, like: Any) -> Any:
    """Give ``out``, which a handler returned, the history of the operator; ``like``: its results, recorded."""
    outs, likes = tensors_in((out,), {}), tensors_in((like,), {})
    given = tensors_in(args, kwargs)
    shells = any(map(is_shell, given))
    inner = next((t._edge for t in likes if t._edge is not None), None)
    if inner is None or len(outs) != len(likes):
        return out
    written = func._schema.is_mutable
    known = str(func).partition(".")[2] in FORMULAS or func._opname in FORMULAS
    node: Any = None
    if (known or shells) and not (written and not shells) and isinstance(inner, (OpNode, OfferedNode)):
        call = Offered(func, args, kwargs)
        node = object.__new__(_class_named(inner.name()))
        node.__init__(call, given, inner if isinstance(inner, OpNode) and not shells else None, [aval_of(t) for t in outs])
        if node.inner is None:
            node.inner = _Named(inner.name())
    for i, (t, made) in enumerate(zip(outs, likes, strict=True)):
        if made._edge is None:
            continue
        if node is not None:
            t._edge, t._nr = node, i if len(likes) > 1 else 0
        elif t is not made:
            t._edge, t._nr = made._edge, made._nr
    if node is not None:
        node.call.outs = [_alias(t) for t in outs]
        if func._opname in _SAVING:
            node.call.outs[0] = aten.detach.default(node.call.outs[0])
    return out


_SAVING = frozenset(("relu", "_softmax", "_log_softmax", "exp", "tanh", "sigmoid", "sqrt", "rsqrt", "reciprocal"))  # backward reads the result


class _Named:
    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name


def _alias(t: Tensor) -> Tensor:
    """The same tensor outside of the graph, for what a formula reads of the results."""
    made = object.__new__(type(t))
    made._s, made._view, made._edge, made._nr, made._grad, made._meta = t._s, t._view, None, 0, None, None
    made.__dict__.update(t.__dict__)
    for cls in type(t).__mro__[: type(t).__mro__.index(Tensor)]:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(t, name):
                setattr(made, name, getattr(t, name))
    return made


ATTACH[0] = attach
