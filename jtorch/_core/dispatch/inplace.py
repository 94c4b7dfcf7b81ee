"""Writing in place: the new value goes to the storage, the new history to the tensor, its base and its other views."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from jtorch._engine.recording.call import call_of
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._engine.recording.trace import record_multi
from jtorch._engine.values.values import Value
from jtorch._errors import not_implemented
from jtorch._registry import lookup

from jtorch._core.dispatch.signature_binding import descriptors
from jtorch._core.graph.node import FIXED, AccumulateGrad, OpNode, Watched, hooks_of
from jtorch._core.graph.view_history import VIEWED, rebase, refuse_creation, tell_views
from jtorch._core.storage.bare_tensor import Tensor, alias_of, born_in
from jtorch._core.storage.view_steps import Stopped, View, aval_of, chain, check_no_overlap, read, write
from jtorch._core.storage.write_counts import origin_of

__all__ = ["Captured", "assign", "assign_results", "become_view", "check_changeable", "check_not_captured", "check_writable", "is_captured", "kernel_writes"]


def check_writable(t: Tensor, linked: bool = True, name: str = "copy_") -> None:
    """Raise what torch raises if the elements of ``t`` must not be written now by the operator ``name``. ``linked``: its history changes with them."""
    check_changeable(t, linked, name)
    if t._view is not None:
        check_no_overlap(t)


def become_view(t: Tensor, make: Callable[[Tensor], Tensor], name: str) -> Tensor:
    """``t`` as the view that ``make`` gives of it (``transpose_`` and its like): of the history it had, and of the mode in which it was made a view. It counts as a write, by the operator ``name``."""
    check_changeable(t, name=name)
    before = alias_of(t._s, t._view)
    before._edge, before._nr, before._meta = t._edge, t._nr, t._meta
    mode, leaf = state.mode, t._edge is None or t._edge.__class__ is AccumulateGrad
    if not leaf:
        state.mode |= GRAD
    try:
        new = make(before)
    finally:
        state.mode = mode
    m = t._meta
    if not leaf:
        t._edge, t._nr = new._edge, new._nr
    t._s, t._view = new._s, new._view
    t._s.version += 1
    if m is not None and m.base is not None and not m.creation:
        m.attr_version = t._s.version
    return t


def is_captured(t: Tensor) -> bool:
    """Whether ``t`` lies in memory that was there before a call of ``torch.func.grad``, ``vjp`` or ``jvp`` that is under way, and is no argument of it."""
    if not state.changeable:
        return False
    s = origin_of(t._s)
    if s.__class__ is Stopped:
        s = s.of
    born = getattr(s, "born", 0)
    return any([born < began and s not in given for began, given in state.changeable])


class Captured(dict[Any, Any]):
    """What a transformation that lets everything be written has seen written: tensors by storage, with the version before."""

    def __contains__(self, s: Any) -> bool:
        return True

    def note(self, t: Tensor) -> None:
        if all(x is not t for x, _ in self.setdefault(origin_of(t._s), [])):
            self[origin_of(t._s)].append((t, int(t._s.version)))


class kernel_writes:
    """Within: what an operator that is no in-place form writes beside its result (running statistics, lists of tensors). ``torch.func`` lets it write what it captured."""

    def __enter__(self) -> None:
        self.before, state.changeable = state.changeable, ()

    def __exit__(self, *_: Any) -> None:
        state.changeable = self.before


def check_not_captured(t: Tensor, name: str) -> None:
    """RuntimeError in torch's words if the operator ``name`` is to write what ``torch.func`` does not know as an argument: what it computes inside would leave with its graph."""
    if is_captured(t):
        raise RuntimeError(
            f"During a grad (vjp, jvp, grad, etc) transform, the function provided attempted to call in-place operation (aten::{name}) that would mutate a captured Tensor. "
            "This is not supported; please rewrite the function being transformed to explicitly accept the mutated Tensor(s) as inputs."
        )
    for _, given in state.changeable:
        if given.__class__ is Captured:
            given.note(t)


def check_changeable(t: Tensor, linked: bool = True, name: str = "copy_") -> None:
    """Raise what torch raises if ``t`` must not be written in place now, by the operator ``name``."""
    if born_in:
        check_not_captured(t, name)
    m = t._meta
    if m is not None and m.inference and not state.mode & 2:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal tensor before doing inplace update."
            "See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    if linked and state.mode & GRAD and (m is not None or t._edge is not None):
        _check_history(t, m)


def _check_history(t: Tensor, m: Any) -> None:
    base = m.base if m is not None else None
    if base is not None:
        if t._edge is not None or base._edge is not None:
            if m.creation:
                refuse_creation(t, "is being")
            if base._edge is None or base._edge.__class__ is AccumulateGrad or base._edge.leaf:  # None: the leaf is a view itself
                raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    elif t._edge is not None and (t._edge.__class__ is AccumulateGrad or t._edge.leaf):
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def assign(t: Tensor, new: Tensor, read_at: int | None = None, computed: Tensor | None = None) -> Tensor:
    """Make the elements of ``t`` those of ``new`` (same shape and type), history included. ``check_writable`` has been called. ``read_at``: as :func:`write`.
    ``computed``: what an operator on ``t`` gave, where ``new`` is that in another type."""
    v = read(new)
    m = t._meta
    base = m.base if m is not None else None
    grad = state.mode & GRAD
    before = _current(t) if new._edge is not None else None
    if computed is not None and before is not None:
        _rename(computed, t, before, False)
    if base is not None and grad and (new._edge is not None or base._edge is not None):
        _assign_view(t, base, new, v, before, read_at)
        return t
    write(t, v, read_at)
    if grad or new._edge is not None:
        if new._edge is not None:
            if m is not None and m.retains:
                _retain(t, new)
            late = t._edge is None and getattr(t._s, "wrote", None) is VIEWED
            t._edge, t._nr = new._edge, new._nr
            t._s.wrote = (weakref.ref(new._edge), new._nr)
            _rename(new, t, before)
            if late:
                tell_views(t)
        elif t._edge is not None and t._edge.__class__ is not AccumulateGrad:
            t._edge, t._nr = None, 0
    if m is not None and not m.creation and (base is None or base._edge is None):
        m.attr_version = t._s.version
    return t


def _retain(t: Tensor, new: Tensor) -> None:
    """The gradient that ``t`` keeps is that of its new elements."""
    if t._edge is not None and t._edge.hooks is not None:
        t._edge.hooks.retain.pop(t._nr, None)
    hooks_of(new._edge).retain[new._nr] = weakref.ref(t)


def _current(t: Tensor) -> Value | None:
    """The value that an operator on ``t`` was given just now; None where that was a copy of memory that numpy shares."""
    view, s = t._view, t._s
    if s.host is not None:
        return None
    return s.value if view is None else view.value if view.seen == s.version else None


def _rename(new: Tensor, t: Tensor, before: Value | None, moved: bool = True) -> None:
    """The node of ``new`` saved its result, which lives in the memory of ``t`` now (if it ``moved`` there). What it saved of ``t`` itself, ``before``, is the value
    from before the write, which nobody else can change any more (torch keeps a clone of it). Other operands in that memory were written."""
    node = new._edge
    if not isinstance(node, OpNode) or not node.versions:
        return
    v, s = node.versions, t._s
    kept: list[Any] = []
    first = True
    for i, value in zip(range(0, len(v), 2), [*[x for x in node.saved if x.__class__ is Value], *[None] * len(v)], strict=False):  # hidden outputs come last
        if v[i].__class__ is Watched:
            if v[i].at:  # the input that was written: torch's formulas in place do without it
                watched = Watched(v[i].at, t) if v[i].ref() is new._s and moved else v[i]
                kept += (watched, watched.expected)
            continue
        place = v[i].s if isinstance(v[i], View) else v[i]
        if place is new._s and moved:
            kept += (t._view or s, s.version)
        elif first and place is s and (value is before or before is None):
            first = False
            kept += (FIXED, 0)
        else:
            kept += v[i : i + 2]
    node.versions = tuple(kept)


def _assign_view(t: Tensor, base: Tensor, new: Tensor, v: Value, before: Value | None, read_at: int | None) -> None:
    """A write through a differentiable view: the base's history becomes "base with this part replaced", and views are derived from it anew."""
    if t._meta.creation:
        refuse_creation(t, "is being")
    if base._view is not None and chain(t._view, base._view)[0].parent is None:
        not_implemented("writing into as_strided of a tensor that is a view itself, where gradients are recorded", "clone() the tensor first")
    write(t, v, read_at)
    _rename(new, t, before)
    rebase(t, new._edge, new._nr)


def assign_results(op_name: str, args: tuple[Any, ...], targets: tuple[Tensor, ...], key: tuple[Any, ...] | None = None) -> None:
    """Record the internal operator ``op_name`` on tensors and numbers and write its results into ``targets``, outside of any graph."""
    op = lookup(f"internal.{op_name}")
    call_key, flat = descriptors(op, args) if key is None else (key, args)
    vals = [read(a) if isinstance(a, Tensor) else a for a in flat]
    outs = record_multi(call_of(op, call_key), vals)
    for t, v in zip(targets, outs, strict=True):
        if v.aval is not aval_of(t):
            raise RuntimeError(f"{op_name}: result {v.aval} does not fit its target {aval_of(t)}")
        write(t, v)
