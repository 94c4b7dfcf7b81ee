"""Taking views: from a view operator and its arguments to a tensor that shares memory with its input."""

from __future__ import annotations

from typing import Any

from jtorch._engine.call import Call
from jtorch._engine.entry import entry_of
from jtorch._engine.sparse import SparseMet
from jtorch._engine.state import GRAD, state
from jtorch._engine.vjp import plan_of
from jtorch._registry import Op

from . import sparse
from .dispatch import _class_of, edge_of
from .node import OpNode, next_seq
from .tensor import Tensor, alias_of, meta_of
from .views import View, aval_of, make_view

__all__ = ["take_view", "replay", "view_edge"]

def take_view(op: Op, call: Call, t: Tensor, args: tuple[Any, ...], numbers: tuple[Any, ...], multi: bool = False) -> Tensor:
    """The view of ``t``; ``args`` are all of the operator's arguments after the tensor, ``numbers`` those of them that are runtime scalars."""
    try:
        view = make_view(t, op, call, args, numbers)
    except SparseMet:
        return sparse.divert(call, (t, *numbers))
    out = alias_of(t._s, view)
    if state.mode & GRAD:
        m = meta_of(out)
        tm = t._meta
        m.base = t if tm is None or tm.base is None else tm.base
        m.attr_version = t._s.version
        if multi:
            m.creation = "multi"
        if t._edge is not None and view.aval.dtype.category >= 2:
            out._edge = view_edge(view, t._view, t, edge_of(t), t._nr)
    return out


def view_edge(view: View, parent: View | None, owner: Tensor, edge: Any, nr: int) -> Any:
    """The node of one view step over (edge, nr)."""
    if parent is None:
        a = aval_of(owner) if owner._view is None else _root_aval(owner)
    elif view.parent is None:
        from .strided import outside_edge

        return outside_edge(view, owner, edge, nr)
    else:
        a = parent.aval
    key: Any = a if not view.numbers else (a, *[n.__class__ for n in view.numbers])
    entry = entry_of(view.call, key)
    mask = (True,) + (False,) * len(view.numbers)
    plan = plan_of(entry, mask)
    node: OpNode = (entry.node_class or _class_of(entry))()
    node.entry, node.plan, node.mask = entry, plan, mask
    node.saved = tuple(view.numbers[i - 1] for i in plan.saved_in)
    node.versions = ()
    node.edges = (edge, nr)
    node.seq, node.hooks, node.extra = next_seq(), None, None
    return node


def _root_aval(owner: Tensor) -> Any:
    from .storage import HostStorage

    s = owner._s
    if isinstance(s, HostStorage):
        return aval_of(alias_of(s, None))
    return s.value.aval


def replay(t: Tensor, steps: list[View]) -> Tensor:
    """The same view steps of another tensor."""
    for step in steps:
        op = step.call.op
        rest = iter(step.numbers)
        args = tuple(next(rest) if d[0] == "S" else d[2] for d in step.call.key[1:])
        if op.name == "as_strided":
            from .strided import as_strided_args

            args, call = as_strided_args(t, args)
            t = take_view(op, call, t, args, ())
            continue
        t = take_view(op, step.call, t, args, step.numbers)
    return t


