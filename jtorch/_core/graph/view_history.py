"""Views in the graph: taking a view, the node of each step, and the history that a view gets from its base after a write."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any, NoReturn

import numpy as np

from jtorch import _namespace
from jtorch._core.graph import sparse_values
from jtorch._core.graph.node import AccumulateGrad, Node, OpNode, class_of, hooks_of, leaf_edge, next_seq, node_class, node_repr, short_name
from jtorch._core.storage.bare_tensor import Tensor, alias_of, meta_of
from jtorch._core.storage.host_memory import HostStorage
from jtorch._core.storage.view_steps import View, aval_of, chain, layout, make_view, put_at_once, put_call
from jtorch._core.storage.write_counts import written_since
from jtorch._engine.recording.call import Call, T, call_of, value
from jtorch._engine.recording.entry import entry_of
from jtorch._engine.recording.vjp import plan_of
from jtorch._engine.values.sparse_values import SparseMet
from jtorch._engine.values.thread_state import GRAD, INFERENCE, state
from jtorch._engine.values.values import Aval
from jtorch._ops.views import places
from jtorch._registry import Op, lookup

__all__ = ["AsStridedBackward0", "CopySlices", "as_strided_args", "edge_of", "rebase", "refuse_creation", "regenerate", "replay", "tell_views", "take_view", "view_edge"]

VIEWED = ()  # in the place of what wrote a storage last: nothing did so far that has a history, but views of it were taken
_as_strided = lookup("internal.as_strided")


def edge_of(t: Tensor) -> Any:
    """Where the gradient of ``t`` goes now. A view whose base was written in place since gets the new history of the base."""
    m = t._meta
    if m is not None and m.base is not None and m.attr_version != t._s.version:
        if not written_since(t._s, m.attr_version):
            return t._edge
        if m.creation and (t._edge is not None or m.base._edge is not None):
            refuse_creation(t, "its base or another view of its base has been")
        regenerate(t)
    return t._edge


_ONE_SIDE = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either both inside the "
    "{} block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
)
_WHY = {
    "no_grad": _ONE_SIDE.format("no_grad"),
    "inference": _ONE_SIDE.format("inference_mode"),
    "multi": "This view is the output of a function that returns multiple views. Such functions do not allow the output views to be modified inplace. "
    "You should replace the inplace operation by an out-of-place one.",
    "function": "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to handle view+inplace would override "
    "the custom backward associated with the custom Function, leading to incorrect gradients. This behavior is forbidden. "
    "You can fix this by cloning the output of the custom Function.",
}


class OneOfSeveral(str):
    """"multi", of the view with this number."""

    number: int

    def __new__(cls, number: int) -> OneOfSeveral:
        self = super().__new__(cls, "multi")
        self.number = number
        return self


def refuse_creation(t: Tensor, what: str) -> NoReturn:
    """RuntimeError: ``t`` is a view that was made where no history goes through it, and ``what`` ("is being", ...) modified."""
    kind, edge = t._meta.creation, t._edge
    itself = edge is None or edge.__class__ is AccumulateGrad
    which = "A view was" if itself else f"Output {t._nr} of {short_name(edge)} is a view of a view which was"
    if kind == "inference":
        head = f"{which} created in inference mode and {what} modified inplace in normal mode."
    elif kind == "no_grad" or itself:
        head = f"{which} created in no_grad mode and {what} modified inplace with grad mode enabled."
    else:
        head = f"Output {getattr(kind, 'number', t._nr)} of {short_name(edge)} is a view and {what} modified inplace."
    raise RuntimeError(f"{head} {_WHY[kind]}")


def rebase(t: Tensor, edge: Any, nr: int) -> None:
    """``t``, a view, was given new elements, whose gradient goes to (edge, nr), if anywhere: the history of its base becomes "the base with this part replaced"."""
    base = t._meta.base
    steps = chain(t._view, base._view)
    if edge is not None and t._edge is not None and t._edge.hooks is not None and t._edge.__class__ is not AccumulateGrad:
        _past_hooks(t, base, steps, edge)
    node = CopySlices.__new__(CopySlices)
    node.steps, node.before, node.seq, node.hooks, node.extra = steps, aval_of(base), next_seq(), None, None
    node.has_base, node.has_part = base._edge is not None, edge is not None
    node.edges = (*((base._edge, base._nr) if node.has_base else ()), *((edge, nr) if node.has_part else ()))
    base._edge, base._nr = node, 0
    base._s.wrote = (weakref.ref(node), 0)
    if base._meta is not None:
        base._meta.attr_version = base._s.version
    if not node.has_base:
        tell_views(base, 1 + len(steps))
    regenerate(t)


def _past_hooks(t: Tensor, base: Tensor, steps: list[View], edge: Any) -> None:
    """The gradient of what was written goes on to the base: it does not come by the hooks that the view had before."""
    old, at = t._edge, t._nr
    if base._edge is None or all(node is not old for node in edge.edges[::2]):
        return
    fresh, nr, parent = base._edge, base._nr, base._view
    for step in steps:
        fresh, nr, parent = view_edge(step, parent, base, fresh, nr), 0, step
    e, edge.seq = edge.edges, next_seq()  # newer than what it leads to
    edge.edges = tuple([x for i in range(0, len(e), 2) for x in ((fresh, nr) if e[i] is old and e[i + 1] == at else e[i : i + 2])])


def tell_views(base: Tensor, known: int = 0) -> None:
    """``base`` has a history since just now: its views, made when it had none, need to know that they have one. Who they are, only the collector
    of garbage can tell, which is asked where somebody besides ``base``, ``known`` others and the node of the write holds the storage."""
    s = base._s
    node: Any = base._edge
    held = sum(x is s for x in node.versions[::2]) if isinstance(node, OpNode) else 0
    if sys.getrefcount(base._s) - held - known <= 3:  # the base's own, this frame's, and getrefcount's (host_memory.settled)
        return
    for t in gc.get_referrers(s):
        m = t._meta if isinstance(t, Tensor) else None
        if m is not None and m.base is base and t._edge is None and aval_of(t).dtype.category >= 2:
            if m.creation:
                t._edge = leaf_edge(t)  # it requires grad, and is refused where its history is asked for
            else:
                regenerate(t)


def regenerate(t: Tensor) -> None:
    """Give a view the history of its base as it is now."""
    m = t._meta
    base = m.base
    old, at = t._edge, t._nr
    if base._edge is None:
        if t._edge.__class__ is not AccumulateGrad:  # a view that was made a leaf stays one
            t._edge, t._nr = None, 0
    else:
        edge, nr = base._edge, base._nr
        parent = base._view
        for step in chain(t._view, base._view):
            edge = view_edge(step, parent, base, edge, nr)
            nr, parent = 0, step
        if isinstance(edge, OpNode) and aval_of(t).dtype is aval_of(base).dtype:
            edge.__class__ = node_class("AsStridedBackward0")  # what torch makes of a view whose base was written, by whatever steps it came
        t._edge, t._nr = edge, nr
    if m.retains and t._edge is not old:
        kept = old.hooks.retain.pop(at, None) if old is not None and old.hooks is not None else None
        if kept is not None and t._edge is not None:
            hooks_of(t._edge).retain[t._nr] = kept
    m.attr_version = t._s.version


def take_view(op: Op, call: Call, t: Tensor, args: tuple[Any, ...], numbers: tuple[Any, ...], multi: int | None = None) -> Tensor:
    """The view of ``t``; ``args`` are all of the operator's arguments after the tensor, ``numbers`` those of them that are runtime scalars, ``multi`` is which of several views it is."""
    try:
        view = make_view(t, op, call, args, numbers)
    except SparseMet:
        diverted: Tensor = sparse_values.divert(call, (t, *numbers))
        return diverted
    out = alias_of(t._s, view)
    mode = state.mode
    m = meta_of(out)
    tm = t._meta
    if tm is not None and tm.inference:  # nothing is kept of what such tensors went through
        m.inference = True
        return out
    if tm is None or tm.base is None:
        m.base = t
        if t._edge is None:
            t._s.wrote = VIEWED
    else:
        m.base, m.creation = tm.base, tm.creation and str(tm.creation)
    m.attr_version = t._s.version
    if mode & GRAD:
        if multi is not None:
            m.creation = OneOfSeveral(multi)
        if t._edge is not None and view.aval.dtype.category >= 2:
            out._edge = view_edge(view, t._view, t, edge_of(t), t._nr)
    else:
        m.creation = "inference" if mode & INFERENCE else "no_grad"
        if m.base._edge is not None and view.aval.dtype.category >= 2:  # not the edge of ``t``, which may be a leaf on memory that requires none
            out._edge = leaf_edge(out)  # a leaf, but one that may not be written where gradients are recorded
    return out


def view_edge(view: View, parent: View | None, owner: Tensor, edge: Any, nr: int) -> Any:
    """The node of one view step over (edge, nr)."""
    if parent is None:
        a = aval_of(owner) if owner._view is None else _root_aval(owner)
    elif view.parent is None:

        return outside_edge(view, owner, edge, nr)
    else:
        a = parent.aval
    key: Any = a if not view.numbers else (a, *[n.__class__ for n in view.numbers])
    entry = entry_of(view.call, key)
    mask = (True,) + (False,) * len(view.numbers)
    plan = plan_of(entry, mask)
    node: OpNode = (entry.node_class or class_of(entry))()
    node.entry, node.plan, node.mask = entry, plan, mask
    node.saved = tuple(view.numbers[i - 1] for i in plan.saved_in)
    node.versions = ()
    node.edges = (edge, nr)
    node.seq, node.hooks, node.extra = next_seq(), None, None
    return node


def _root_aval(owner: Tensor) -> Any:

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

            args, call = as_strided_args(t, args)
            t = take_view(op, call, t, args, ())
            continue
        t = take_view(op, step.call, t, args, step.numbers)
    return t


def as_strided_args(t: Tensor, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """Arguments and call of ``as_strided`` for the memory of ``t``."""
    size, step, offset = args[0], args[1], args[2]
    sh, st, _ = layout(alias_of(t._s, None))
    order = _order(sh, st)
    full = (tuple(size), tuple(step), offset, st, order if order != tuple(range(len(sh))) else ())
    return full, call_of(_as_strided, (T, *[value(a) for a in full]))


def _order(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(shape)), key=lambda d: (-strides[d], d)))


class CopySlices(Node):
    """The history of a tensor after a part of it was written: the gradient of the part goes to the new elements, the rest to the old tensor."""

    __slots__ = ("steps", "before", "has_base", "has_part")
    steps: list[View]
    before: Aval
    has_base: bool
    has_part: bool

    def _mask(self) -> tuple[bool, ...]:
        return (self.has_base, self.has_part)

    @property
    def outs(self) -> Any:
        return (self.before,)

    def __repr__(self) -> str:
        return node_repr(self)

    def name(self) -> str:
        return "torch::autograd::CopySlices"

    def check(self) -> None:
        return None

    def release(self) -> None:
        return None

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        g = run.wrap(buffer[0])
        torch = _namespace.torch
        out: list[Any] = []
        if self.has_base:
            part = replay(g, self.steps)
            zero = torch.zeros_like(part)
            out.append(run.unwrap(_put_tensor(g, self.steps, zero, run.apply)))
        if self.has_part:
            out.append(run.unwrap(torch.Tensor.clone(replay(g, self.steps))))
        return out


def _put_tensor(whole: Tensor, steps: Any, part: Tensor, apply: Any) -> Tensor:
    """``whole`` with the elements that ``steps`` lead to replaced, as recorded operators."""

    direct = put_at_once(steps)
    if direct is not None:
        return apply(direct, [whole, part, *[x for step in steps for x in step.numbers]])  # type: ignore[no-any-return]
    befores = [whole]
    for step in steps[:-1]:
        befores.append(replay(befores[-1], [step]))
    new = part
    for step, before in zip(reversed(steps), reversed(befores), strict=True):
        new = apply(put_call(step.call), (before, new, *step.numbers))
        if isinstance(new, tuple):
            new = new[0]
    return new


class AsStridedBackward0(Node):
    """The gradient of a view of memory of which the tensor that needs it (a leaf made from a view) is another view: what lies outside of that is dropped."""

    __slots__ = ("view", "owner_view", "storage", "outs")
    view: View
    owner_view: View | None
    storage: tuple[Any, ...]  # shape, strides, and the layout of the owner in it
    outs: tuple[Aval, ...]

    def check(self) -> None:
        return None

    def release(self) -> None:
        return None

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        torch = _namespace.torch
        g = run.wrap(buffer[0])
        shape, strides, owner = self.storage
        size, step, offset = (d[2] for d in self.view.call.key[1:4])
        n = int(np.prod(shape))
        where = torch.from_numpy(places(size, step, offset).reshape(-1))
        flat = torch.zeros(n, dtype=g.dtype, device=g.device).index_add(0, where.to(g.device), g.reshape(-1))
        covered = np.bincount(places(*owner).reshape(-1), minlength=n)
        if covered.max(initial=0) > 1:  # elements that are one place in memory share its gradient
            flat = flat / torch.from_numpy(np.maximum(covered, 1)).to(device=g.device, dtype=g.dtype.to_real())
        order = _order(shape, strides)
        whole = flat.reshape([shape[d] for d in order]).permute([order.index(d) for d in range(len(shape))])
        return [run.unwrap(torch.Tensor.clone(replay(whole, chain(self.owner_view))))]


def outside_edge(view: View, owner: Tensor, edge: Any, nr: int) -> Any:
    """The node of an ``as_strided`` whose source is not ``owner``, but the memory that ``owner`` is a view of."""
    node = AsStridedBackward0.__new__(AsStridedBackward0)
    node.view, node.owner_view = view, owner._view
    sh, st, _ = layout(alias_of(owner._s, None))
    node.storage = (sh, st, layout(owner))
    node.outs = (view.aval,)
    node.edges, node.seq, node.hooks, node.extra = (edge, nr), next_seq(), None, None
    return node
