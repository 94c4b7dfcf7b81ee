"""Updates of state: an internal operator recorded on one group of tensors after another, its results put into tensors in place.

An optimizer's step is hundreds of such nodes with the same scalars and flags, so what is common to them is prepared once
(:func:`prepare`): the call, and the scalars' places in the trace.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jtorch import _config, _device
from jtorch._engine.recording.bundle import Bundle, bundle_of
from jtorch._engine.running.direct_updates import run_bundle
from jtorch._engine.recording.call import T, call_of, slot, tensor_list, value
from jtorch._engine.values.thread_state import state
from jtorch._engine.recording.trace import SCALAR, add_input, force, record_multi, reserve
from jtorch._engine.values.values import Value
from jtorch._registry import lookup

from jtorch._core.dispatch.record import apply_multi
from jtorch._core.state.packed_state import update_packed
from jtorch._core.storage.host_memory import overwrite
from jtorch._core.storage.bare_tensor import Storage, Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read, read_view, write

__all__ = ["Update", "prepare", "update", "update_columns", "call", "number", "put_number", "add_number"]

_new = object.__new__
_NONE = value(None)
_SCALAR_KINDS = frozenset(("Scalar", "Tensor|Scalar", "index"))


class Update:
    """An operator with its scalars and flags fixed. ``slots`` are the scalars' places in ``trace``, the last one recorded into."""

    __slots__ = ("call", "rest", "classes", "plain", "trace", "slots")
    call: Any
    rest: tuple[Any, ...]
    classes: tuple[type, ...]
    plain: bool
    trace: Any
    slots: Any


def prepare(name: str, present: tuple[Any, ...], rest: tuple[Any, ...]) -> Update:
    """``internal.<name>`` for tensors that are there as ``present`` says (its first parameters: a bool each, or a length for a list)
    and these scalars and flags (its further parameters, by position; tensors may stand for scalars)."""
    op = lookup("internal." + name)
    params = op.signatures[0].params
    key: list[Any] = []
    for there in present:
        key.append(tensor_list((True,) * there) if there.__class__ is int else T if there else _NONE)
    flat: list[Any] = []
    for p, v in zip(params[len(present) :], (*rest, *[p.default for p in params[len(present) + len(rest) :]]), strict=True):
        if v is None:
            key.append(_NONE)
        elif p.kind in _SCALAR_KINDS:
            if isinstance(v, Tensor):
                key.append(T)
            else:
                v = _plain(v)
                key.append(slot(v.__class__))
            flat.append(v)
        else:
            key.append(value(v))
    u = Update()
    u.call = call_of(op, tuple(key))
    u.rest = tuple(flat)
    u.classes = tuple([v.__class__ for v in flat])
    u.plain = not any(isinstance(v, Tensor) for v in flat)
    u.trace = u.slots = None
    return u


def _plain(v: Any) -> Any:
    """A scalar as one of Python's own classes (a schedule may give numpy's)."""
    if v.__class__ is float or v.__class__ is int:
        return v
    return v.item() if isinstance(v, np.generic) else v


def update(u: Update, tensors: tuple[Tensor, ...], targets: tuple[Tensor | None, ...], differentiable: bool = False) -> Any:
    """Record ``u`` on tensors and put its i-th result into ``targets[i]``, in place; None makes a new tensor.

    Outside of any graph, unless ``differentiable``. Returns the tensors that the results are in where some were made.
    """
    if differentiable:
        return _in_graph(u, tensors, targets)
    vals = [t._s.value if t._view is None else read_view(t._view, t._s) for t in tensors]  # type: ignore[attr-defined]
    tr = state.trace
    c = u.call
    entry = c.entries.get((*[v.aval for v in vals], *u.classes)) if u.plain else None
    if entry is None or entry.moves or entry.device is not tr.device or _config.EAGER:
        outs = record_multi(c, [*vals, *[read(x) if isinstance(x, Tensor) else x for x in u.rest]])
    elif (refs := _inputs_of(tr, vals)) is None:
        outs = record_multi(c, [*vals, *u.rest])
    else:
        slots = _slots(u, tr)
        outs = reserve(tr, entry.outs)
        tr.nodes.append((entry, *refs, *slots))
    made: Any = None
    for i, (t, v) in enumerate(zip(targets, outs, strict=True)):
        if t is None:
            made = list(targets) if made is None else made
            made[i] = new_tensor(v)
        elif t._view is None and t._s.value.aval is v.aval:  # type: ignore[attr-defined]
            s: Any = t._s
            s.value = v
            s.version += 1
        elif v.aval is not aval_of(t):
            raise RuntimeError(f"{c.name}: result {v.aval} does not fit its target {aval_of(t)}")
        else:
            write(t, v)
    return made


def update_columns(u: Update, columns: list[Any], places: tuple[int, ...]) -> None:
    """:func:`update` for many groups of tensors at once, outside of any graph. Column i holds the groups' i-th tensors; the operator's j-th result
    goes to the tensors of column ``places[j]``. No tensor of those columns stands in them twice."""
    tensors = [t for column in columns for t in column]
    n = len(columns[0])
    if n > 1 and u.plain and not _config.EAGER:
        plain = {t._view for t in tensors} == _NOTHING
        if plain:
            storages = [t._s for t in tensors]
            left = update_packed(u, n, storages, places)
            if left is not None:
                if left:
                    update_columns(u, [[column[i] for i in left] for column in columns], places)
                return
            vals = [s.value for s in storages]
        else:
            vals = [t._s.value if t._view is None else read_view(t._view, t._s) for t in tensors]
        bundle = bundle_of(u.call, tuple([v.aval for v in vals]), u.classes, n)
        if bundle is not None and bundle.replaces(places):
            if plain and _at_once(u, bundle, vals, storages, places):
                return
            if _recorded(u, bundle, vals, tensors, places):
                return
    for row in zip(*columns, strict=True):
        update(u, row, tuple([row[c] for c in places]))


def _at_once(u: Update, bundle: Bundle, vals: list[Value], storages: list[Any], places: tuple[int, ...]) -> bool:
    """Run the update now, if all that it reads is there. Whether it was done."""
    n = bundle.count
    for c in places:
        if set(map(type, storages[c * n : c * n + n])) != _ORDINARY:
            return False
    done = run_bundle(bundle, vals, list(u.rest), places)
    if done is None:
        return False
    results, shared = done
    for j, c in enumerate(places):
        first = c * n
        held = None if shared is None else {i - first for i in shared}
        overwrite(storages[first : first + n], vals[first : first + n], results[j :: len(places)], held)
    return True


def _recorded(u: Update, bundle: Bundle, vals: list[Value], tensors: list[Any], places: tuple[int, ...]) -> bool:
    """Record the update as one node, if all its inputs can stand in the trace. Whether it was done."""
    tr = state.trace
    refs = _inputs_of(tr, vals) if bundle.device is tr.device else None
    if refs is None:
        return False
    slots = _slots(u, tr)
    outs = reserve(tr, bundle.outs)
    tr.nodes.append((bundle, *refs, *slots))
    n = bundle.count
    for j, c in enumerate(places):
        for t, v in zip(tensors[c * n : c * n + n], outs[j :: len(places)], strict=True):
            write(t, v)
    return True


def _slots(u: Update, tr: Any) -> Any:
    """The places of the scalars in the trace; entered once for each trace."""
    if u.trace is not tr:
        first = len(tr.scalars)
        tr.scalars.extend(u.rest)
        u.trace, u.slots = tr, tuple([SCALAR - i for i in range(first, first + len(u.rest))])
    return u.slots


def _inputs_of(tr: Any, vals: list[Value]) -> list[int] | None:
    """Their positions in the trace. None if one of them must be applied at once, or adding it ran the trace."""
    refs: list[int] = []
    known = tr.input_pos
    for v in vals:
        if v.trace is tr:
            refs.append(v.pos)
            continue
        pos = known.get(v)
        if pos is None:
            pos = add_input(tr, v)
            if pos is None or tr is not state.trace:
                return None
        refs.append(pos)
    return refs


_NOTHING = {None}
_ORDINARY = {Storage}


def _in_graph(u: Update, tensors: tuple[Tensor, ...], targets: tuple[Tensor | None, ...]) -> list[Tensor]:
    # what is about to be overwritten must not be what the graph keeps
    kept = [t.clone() if any(t is x for x in targets) else t for t in tensors]  # type: ignore[attr-defined]
    results = apply_multi(u.call, [*kept, *u.rest])
    if not isinstance(results, tuple):
        results = (results,)
    made: list[Tensor] = []
    for t, r in zip(targets, results, strict=True):
        made.append(r if t is None else t.copy_(r))  # type: ignore[attr-defined]
    return made


def call(name: str, present: tuple[Any, ...], tensors: tuple[Tensor, ...], rest: tuple[Any, ...]) -> Any:
    """``internal.<name>`` as an ordinary operator: new tensors, in the graph if gradients are on."""
    u = prepare(name, present, rest)
    return apply_multi(u.call, [*tensors, *u.rest])


# ---- numbers that live in 0-dim tensors: step counts ---------------------------------------------------------------------


def number(t: Any) -> Any:
    """The value of a 0-dim cpu tensor as a Python float; the tensor itself where reading it would wait or cannot be."""
    if t._view is not None:
        return t.item()
    v = t._s.value
    array = v.array
    if array.__class__ is np.ndarray:
        return float(array)
    if v.aval.device is not _device.CPU or isinstance(array, jax.core.Tracer):
        return t
    return float(force(v))


def put_number(t: Any, x: Any) -> None:
    """Replace the value of a 0-dim tensor, by a Python number without recording anything, or by a tensor's value."""
    s = t._s
    if isinstance(x, Tensor):
        t.copy_(x)
        return
    if t._view is not None or s.host is not None or s.value.aval.device is not _device.CPU:
        t.fill_(x)
        return
    old: Value = s.value
    s.value = _number_value(x, old.aval)
    s.version += 1


def add_number(tensors: list[Any], x: float) -> list[Any]:
    """Add ``x`` to 0-dim tensors, outside of any trace; their new values as Python floats (or the tensor, where it lives elsewhere).

    Equal counts share one value.
    """
    out: list[Any] = []
    old: Any = None
    new: Any = None
    total = 0.0
    for t in tensors:
        s = t._s
        v = s.value
        if v is old and t._view is None:
            s.value = new
            s.version += 1
            out.append(total)
            continue
        before = number(t)
        if before is t:
            t += x
            out.append(t)
            continue
        if new is None or before + x != total or new.aval is not v.aval:
            total = before + x
            new = _number_value(total, v.aval)
        if t._view is not None or s.host is not None:
            t.fill_(total)
        else:
            old = v
            s.value = new
            s.version += 1
        out.append(total)
    return out


def _number_value(x: float, where: Any) -> Value:
    v = _new(Value)
    v.aval, v.array, v.trace, v.pos = where, np.asarray(x, where.dtype.np), None, -1
    return v
