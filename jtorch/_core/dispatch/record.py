"""From tensors to the trace and back: read the inputs, record the operator, wrap the outputs, extend the graph.

``call1``, ``call2``, ``call3`` and ``call2s`` are the short way for a few plain tensors (``short_way.py``), ``calln`` that for several tensors and numbers: every operator
of a training loop pays for them. ``apply`` is the general way; what the short one does not know it hands over.
"""

from __future__ import annotations

from typing import Any

from jtorch._core.graph import grad_modes
from jtorch._core.graph import selective_checkpoint
from jtorch._core.graph import saved_tensors
from jtorch._core.storage.elementwise_strides import columns, computed_strides, formatted_strides
from jtorch._core.storage.host_memory import contiguous_strides
from jtorch._engine.running import executor as _executor  # noqa: F401
from jtorch._engine.recording import guards
from jtorch._engine.recording.call import NO_ENTRY, Call
from jtorch._engine.recording.entry import Entry, make_entry
from jtorch._engine.values.sparse_values import SparseValue
from jtorch._engine.values.thread_state import GRAD, SAVED_HOOKS, SELECTIVE, state
from jtorch._engine.recording.trace import SCALAR, add_input, add_scalar, grow, key_of, moved, record, undo
from jtorch._engine.values.values import Value
from jtorch._engine.recording.vjp import Plan, plan_of, without_fixed, wrapped

from jtorch._core.dispatch import flush_points
from jtorch._core.graph import sparse_values
from jtorch._core.graph.node import AccumulateGrad, OpNode, class_of, next_seq, watched
from jtorch._core.graph.saved_tensors import INFERENCE_SAVED
from jtorch._core.graph.view_history import edge_of
from jtorch._core.graph.device_copy import to_device_node
from jtorch._core.dispatch.short_way import short_way
from jtorch._core.storage.bare_tensor import PLAIN, Storage, Tensor, born_in, new_tensor
from jtorch._core.storage.view_steps import read, read_view

__all__ = ["call1", "call2", "call2s", "call3", "calln", "apply", "apply_multi", "link", "NUMBERS", "PARTS"]

_new = object.__new__
_LIMIT = flush_points.LIMIT


NUMBERS = frozenset((float, int, bool, complex))


def calln(call: Call, args: Any) -> Any:
    """Several plain tensors and Python numbers in, one tensor out."""
    mode = state.mode
    if mode > GRAD:
        return apply(call, args)
    n = len(args)
    if n == 1:
        return call1(call, args[0])
    if n == 2 and args[0].__class__ not in NUMBERS:
        return call2s(call, args[0], args[1]) if args[1].__class__ in NUMBERS else call2(call, args[0], args[1])
    if n == 3 and NUMBERS.isdisjoint([a.__class__ for a in args]):
        return call3(call, args[0], args[1], args[2])
    vals = [(a if a.__class__ in NUMBERS else a._s.value if a._view is None else read_view(a._view, a._s)) for a in args]
    entry = call.entries.get(tuple([v.aval if v.__class__ is Value else v.__class__ for v in vals]), NO_ENTRY)
    tr = state.trace
    if entry.simple_on is not tr.device and entry.guarded_on is not tr.device:
        return apply(call, args)
    plan = None
    if mode and entry.differentiable[0]:
        mask = tuple([a.__class__ not in NUMBERS and a._edge is not None for a in args])
        if True in mask:
            plan = entry.plans.get(mask)
            if plan is None or plan.forward is not None:
                return apply(call, args)
    if entry.guard is not None:  # after what leaves it to the general way, which looks by itself
        guards.watch(entry, vals)
    node: list[Any] = [entry]
    known = tr.input_pos
    for v in vals:
        if v.__class__ is not Value:
            node.append(add_scalar(tr, v))
        elif v.trace is tr:
            node.append(v.pos)
        else:
            pos = known.get(v)
            if pos is None:
                pos = add_input(tr, v)
                if pos is None or tr.lock is not None:
                    return apply(call, args)
            node.append(pos)
    recorded = tuple(node)
    v = Value()
    v.aval = entry.out
    v.array = None
    v.trace = tr
    # As in the engine's append: no call until the last.
    if tr.lock is not None:
        return apply(call, args)
    v.pos = n = tr.count
    try:
        tr.count = n + 1
        tr.outputs[n] = v
        tr.nodes.append(recorded)
    except IndexError:
        tr.count = n
        grow(tr)
        return calln(call, args)
    except BaseException:
        undo(tr, n, recorded)
        raise
    t = new_tensor(v)
    if call.elementwise:
        t._s.strides = _layout_like(args, entry)
    if plan is not None:
        link(entry, plan, mask, args, vals, (v,), (), (t,))
    if n > _LIMIT:
        flush_points.at_limit()
    return t


def _only_inexact(entry: Entry, mask: tuple[bool, ...]) -> tuple[bool, ...]:
    return tuple(m and not isinstance(a, type) and a.dtype.category >= 2 for m, a in zip(mask, entry.inputs, strict=True))


def _saved(plan: Plan, vals: Any, outs: Any, storages: Any, out_storages: Any) -> tuple[Any, Any]:
    saved: list[Any] = []
    versions: list[Any] = []
    for i in plan.saved_in:
        saved.append(vals[i])
        if storages[i] is not None:
            versions += (storages[i], storages[i].version)
    for i in plan.saved_out:
        saved.append(outs[i])
        versions += (out_storages[i], 0)
    return tuple(saved), tuple(versions)


def _check_saved(plan: Plan, args: Any) -> None:
    """RuntimeError if a tensor of inference mode is to be saved for backward."""
    for i in plan.saved_in:
        m = args[i]._meta if args[i].__class__ not in NUMBERS else None
        if m is not None and m.inference:
            raise RuntimeError(INFERENCE_SAVED)


def apply(call: Call, args: Any) -> Any:
    """The general way: tensors and Python numbers in, a tensor or (for several results) a tuple out."""
    out = apply_multi(call, args)
    return out


def apply_multi(call: Call, args: Any) -> Any:
    mode = state.mode
    if mode > GRAD:
        args = grad_modes.before(call, args, mode)
    vals = [read(a) if isinstance(a, Tensor) else a for a in args]
    key = key_of(vals)
    entry = call.entries.get(key)
    if entry is None:
        if SparseValue in [v.__class__ for v in vals]:
            return sparse_values.divert(call, args)
        entry = make_entry(call, key)
    if entry.moves:
        args = list(args)
        for i in entry.moves:
            args[i] = _moved_tensor(args[i], entry.device)
        return apply_multi(call, args)
    if entry.guard is not None:
        guards.watch(entry, vals)
    plan = None
    if mode & GRAD:
        mask = tuple([isinstance(a, Tensor) and a._edge is not None and v.aval.dtype.category >= 2 for a, v in zip(args, vals, strict=True)])
        if state.pushing and True in mask and entry.call.op is not None and entry.call.op.fixed:
            mask = without_fixed(entry.call, mask)
        if True in mask and True in entry.differentiable:
            plan = plan_of(entry, mask)
    if plan is None or plan.forward is None:
        entry, outs = record(call, vals)
        hidden: Any = ()
    else:
        _, every = record(plan.forward, vals)
        n = len(entry.outs)
        outs, hidden = every[:n], every[n:]
    if mode & SELECTIVE:
        every = selective_checkpoint.exchange(call, args, [*outs, *hidden])
        outs, hidden = every[: len(outs)], every[len(outs) :]
    strides = None
    tensors = [new_tensor(v) for v in outs]
    if call.elementwise == "columns":
        for t, out in zip(tensors, column_strides(entry), strict=True):
            t._s.strides = out
    elif call.elementwise:
        strides = _layout_like(args, entry)
    if strides is not None:
        for t in tensors:
            if t._s.value.aval.shape == tensors[0]._s.value.aval.shape:
                t._s.strides = strides
    if plan is not None:
        node = link(entry, plan, mask, args, vals, outs, hidden, tensors)
        if mode & SAVED_HOOKS:
            saved_tensors.pack_node(node, args, tensors)
    if mode > GRAD:
        grad_modes.after(call, args, tensors, mode)
    return tensors[0] if entry.out is not None else tuple(tensors)


def link(entry: Entry, plan: Plan, mask: Any, args: Any, vals: Any, outs: Any, hidden: Any, tensors: Any) -> OpNode:
    """Give the results their node."""
    node: OpNode = (entry.node_class or class_of(entry))()
    node.entry = entry
    node.plan = plan
    node.mask = mask
    saved: list[Any] = []
    versions: list[Any] = []
    for i in plan.saved_in:
        saved.append(vals[i])
        a = args[i]
        if a.__class__ not in NUMBERS:
            if a._meta is not None and a._meta.inference:
                raise RuntimeError(INFERENCE_SAVED)
            versions += (a._view or a._s, a._s.version)
    for i in plan.saved_out:
        saved.append(outs[i])
        versions += (tensors[i]._s, 0)
    if plan.kept:
        versions += watched(plan, args, tensors)
    node.saved = (*saved, *hidden)
    node.versions = tuple(versions)
    edges: list[Any] = []
    for i in plan.targets:
        a = args[i]
        edges += (a._edge if a._view is None else edge_of(a), a._nr)
    node.edges = tuple(edges)
    node.seq = next_seq()
    node.hooks = None
    node.extra = {"inputs": vals} if hidden else None
    if len(tensors) == 1:
        tensors[0]._edge = node
    else:
        for i, (t, d) in enumerate(zip(tensors, entry.differentiable, strict=True)):
            if d:
                t._edge, t._nr = node, i
    return node


def _moved_tensor(t: Tensor, where: Any) -> Tensor:
    out = new_tensor(moved(read(t), where))
    if t._edge is not None:

        to_device_node(t, out)
    return out


def _layout(entry: Entry, layouts: tuple[Any, ...]) -> tuple[int, ...] | None:
    """Strides of an elementwise result whose tensors have these strides (None: contiguous), as TensorIterator lays it out; None if contiguous."""
    found = entry.layouts.get(layouts, entry)
    if found is not entry:
        return found  # type: ignore[no-any-return]
    shape = entry.outs[0].shape
    out = None
    rule = entry.call.elementwise
    if callable(rule):
        shapes = [a.shape for a in entry.inputs if not isinstance(a, type)]
        strides = [s or contiguous_strides(n) for s, n in zip(layouts, shapes, strict=True)]
        out = rule(shape, strides, shapes) if len(shape) >= 2 else None
        if out.__class__ is str:
            out = formatted_strides(out, shape, strides, shapes)
    elif len(shape) >= 2 and (len(entry.outs) == 1 or rule is not True) and any(s is not None for s in layouts):
        shapes = [a.shape for a in entry.inputs if not isinstance(a, type)]
        strides = [s or contiguous_strides(n) for s, n in zip(layouts, shapes, strict=True)]
        out = computed_strides(shape, strides, shapes, bool(wrapped(entry.call))) if rule is True else formatted_strides(rule, shape, strides, shapes)
    entry.layouts[layouts] = out
    return out


def column_strides(entry: Entry) -> tuple[tuple[int, ...] | None, ...]:
    """Strides of the results that LAPACK writes: what has as many dims as the inputs is matrices, column by column; the others (pivots, eigenvalues, vectors) are contiguous."""
    found = entry.layouts.get("columns")
    if found is None:
        dims = max(2, *[len(a.shape) for a in entry.inputs if not isinstance(a, type)])
        found = entry.layouts["columns"] = tuple([columns(o.shape) if len(o.shape) == dims else None for o in entry.outs])
    return found  # type: ignore[no-any-return]


def _layout_like(args: Any, entry: Entry) -> tuple[int, ...] | None:
    return _layout(entry, tuple([a._s.strides if a._view is None else a._view.strides for a in args if a.__class__ not in NUMBERS]))


def is_leaf_edge(edge: Any) -> bool:
    return edge is None or edge.__class__ is AccumulateGrad


def _more_room(tr: Any) -> None:
    """Room for what is to be recorded; where the trace is as long as it may be, in the next one."""
    if tr.count > _LIMIT:
        flush_points.at_limit()
    else:
        grow(tr)


PARTS = {
    "state": state, "born_in": born_in, "GRAD": GRAD, "SCALAR": SCALAR, "NO_ENTRY": NO_ENTRY, "Value": Value, "Storage": Storage, "Tensor": Tensor,
    "new": _new, "read_view": read_view, "add_input": add_input, "plan_of": plan_of, "only_inexact": _only_inexact, "layout_of": _layout,
    "class_of": class_of, "saved_of": _saved, "edge_of": edge_of, "next_seq": next_seq, "apply": apply,
    "PLAIN": PLAIN, "check_saved": _check_saved, "watched": watched, "watch": guards.watch, "undo": undo, "grow": _more_room,
}  # fmt: skip
call1, call2, call3, call2s = (short_way(kinds, PARTS) for kinds in ("t", "tt", "ttt", "ts"))
