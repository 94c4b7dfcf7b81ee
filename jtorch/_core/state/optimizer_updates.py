"""Updates of state: an internal operator recorded on one group of tensors after another, its results put into tensors in place.

An optimizer's step is hundreds of such nodes with the same scalars and flags, so what is common to them is prepared once
(:func:`prepare`): the call, and the scalars' places in the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from itertools import chain, islice, repeat
from operator import attrgetter, eq, ge, is_
from sys import getrefcount
from typing import Any

import jax
import numpy as np

from jtorch import _config, _device
from jtorch._engine.recording.bundle import Bundle, bundle_of
from jtorch._engine.running.direct_updates import run_bundle
from jtorch._engine.recording.call import T, call_of, slot, tensor_list, value
from jtorch._engine.values.thread_state import state
from jtorch._engine.recording.trace import add_scalar, append, force, inputs_of, record_multi
from jtorch._engine.placing.entries import bundled, fitted
from jtorch._engine.planning.liveness import LISTED
from jtorch._engine.values.placed import Placed, PlacedAval, placed
from jtorch._engine.values.placed import in_use as placing_in_use
from jtorch._engine.values.values import Value
from jtorch._registry import lookup

from jtorch._core.dispatch.inplace import check_not_captured
from jtorch._core.dispatch.record import apply_multi
from jtorch._core.state.packed_state import update_packed
from jtorch._core.storage.bare_tensor import Storage, Tensor, born_in, new_tensor
from jtorch._core.storage.host_memory import replacing, unchanged
from jtorch._core.storage.view_steps import aval_of, read, read_view, write
from jtorch._engine.recording import guards
from jtorch._engine.recording.undo import keep_all
from jtorch._engine.values.unbroken import at_once, provided, together

__all__ = ["Update", "prepare", "update", "update_columns", "call", "number", "put", "put_number", "add_number", "in_a_step"]

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
    op, head, scalar, defaults = _params_of(name, present, *map(type, present))
    key: list[Any] = list(head)
    flat: list[Any] = []
    plain = True
    for is_scalar, v in zip(scalar, (*rest, *defaults[len(rest) :]), strict=True):
        if v is None:
            key.append(_NONE)
        elif is_scalar:
            if v.__class__ in _SLOTS:
                key.append(_SLOTS[v.__class__])
            elif isinstance(v, Tensor):
                key.append(T)
                plain = False
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
    u.plain = plain
    u.trace = u.slots = None
    return u


@lru_cache(1 << 12)
def _params_of(name: str, present: tuple[Any, ...], *classes: type) -> tuple[Any, list[Any], list[bool], list[Any]]:
    """An update's operator, the descriptors of its first parameters, and of each of the others whether it is a scalar, and its default. (``classes``: that True is not 1.)"""
    op = lookup("internal." + name)
    params = op.signatures[0].params
    head = [tensor_list((True,) * there) if there.__class__ is int else T if there else _NONE for there in present]
    others = params[len(present) :]
    return op, head, [p.kind in _SCALAR_KINDS for p in others], [p.default for p in others]


_SLOTS = {kind: slot(kind) for kind in (float, int)}


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
    vals = [t._s.value if t._view is None else read_view(t._view, t._s) for t in tensors]
    tr = state.trace
    c = u.call
    entry = c.entries.get((*[v.aval for v in vals], *u.classes)) if u.plain else None
    outs: Any = None
    if entry is not None and not entry.moves and entry.device is tr.device and not _config.EAGER:
        refs = inputs_of(tr, vals)
        if refs is not None:
            outs = append(tr, (entry, *refs, *_slots(u, tr)), entry.outs)
    if outs is None:
        outs = record_multi(c, [*vals, *[read(x) if isinstance(x, Tensor) else x for x in u.rest]])
    made: Any = None
    targets_there, results = [], []
    for i, (t, v) in enumerate(zip(targets, outs, strict=True)):
        if t is None:
            made = list(targets) if made is None else made
            made[i] = new_tensor(v)
            continue
        there: Any = aval_of(t)
        if v.aval is not there:
            if v.aval.__class__ is not PlacedAval:
                raise RuntimeError(f"{c.name}: result {v.aval} does not fit its target {there}")
            v = fitted(v, there)
        targets_there.append(t)
        results.append(v)
    put(*_writing(targets_there, results))
    return made


# ---- steps: what becomes visible together ---------------------------------------------------------------------------------


class Step:
    """What a step of an optimizer does, gathered. Nothing of it can be seen before all of it is done, and nothing comes in between (see the engine's ``unbroken``): so whoever is interrupted,
    and a handler that saves the model, finds it as it was before the step or as it is after.

    ``requests`` prepare what is to be done: ``doings`` are iterators that do it when they are gone through, if all ``conditions`` (iterators of one truth each) still hold then."""

    __slots__ = ("requests", "conditions", "doings", "after")

    def __init__(self) -> None:
        self.requests: list[Callable[[Step], None]] = []
        self.conditions: list[Any] = []
        self.doings: list[Any] = []
        self.after: list[Callable[[], None]] = []

    def done(self) -> None:
        """Do it all."""
        for _ in range(_TRIES):
            tr = state.trace
            recorded = tr.count
            self.conditions, self.doings, self.after = [], [], []
            with state.updating:
                for prepare in self.requests:
                    recorded += prepare(self)
                if not self.conditions:  # nothing that depends on what is there
                    at_once(*self.doings)
                    break
                # A handler that has recorded something may have what would be overwritten.
                quiet = (map(is_, map(getattr, (state,), ("trace",)), (tr,)), map(eq, map(getattr, (tr,), ("count",)), (recorded,)))
                ready: list[bool] = []
                at_once(provided(map(all, (together((*self.conditions, *quiet)),)), *self.doings, map(ready.append, (True,))))
            if ready:
                break
        else:
            raise RuntimeError("an optimizer's step was interrupted again and again by what reads its parameters")
        for call_ in self.after:
            call_()


_TRIES = 100


def in_a_step(make: Callable[..., Any], *given: Iterable[Any]) -> None:
    """``make(...)`` for each of what is given; the updates that it makes are done together at the end (see :class:`Step`), where nothing is thrown."""
    if state.undo:
        guards.before_a_step()
    outer, mine = state.step, Step()
    try:
        state.step = mine
        for args in zip(*given, strict=True):
            make(*args)
    finally:
        state.step = outer
    mine.done()


def put(*doings: Any) -> None:
    """Go through these iterators together with the rest of the step; now, if there is none."""
    mine = state.step
    if mine is None:
        at_once(*doings)
    else:
        mine.requests.append(partial(_add, doings))


def _add(doings: Any, to: Step) -> int:
    to.doings += doings
    return 0


def _writing(tensors: list[Any], values: list[Value]) -> list[Any]:
    """What writes values into tensors of their shapes and types when it is gone through."""
    plain = [i for i, t in enumerate(tensors) if t._view is None and t._s.host is None]
    if state.undo:
        keep_all([t._s for t in tensors])
    if len(plain) == len(tensors):
        storages = [t._s for t in tensors]
        return _written(storages, values)
    return [map(write, tensors, values)]


def _written(storages: list[Any], values: Iterable[Value]) -> list[Any]:
    return [map(setattr, storages, repeat("value"), values), map(setattr, storages, repeat("version"), [s.version + 1 for s in storages])]


def update_columns(u: Update, columns: list[Any], places: tuple[int, ...]) -> None:
    """:func:`update` for many groups of tensors at once, outside of any graph. Column i holds the groups' i-th tensors; the operator's j-th result
    goes to the tensors of column ``places[j]``. No tensor of those columns stands in them twice."""
    if born_in:
        for t in [t for j in places for t in columns[j]]:
            check_not_captured(t, "add_")
    if len(columns[0]) > 1 and u.plain and not _config.EAGER:
        request: Any = partial(_columns, u, columns, places)
        mine = state.step
        if mine is None:
            mine = Step()
            mine.requests.append(request)
            mine.done()
        else:
            mine.requests.append(request)
    else:
        _one_by_one(u, columns, places)


def _one_by_one(u: Update, columns: list[Any], places: tuple[int, ...]) -> None:
    for row in zip(*columns, strict=True):
        update(u, row, tuple([row[c] for c in places]))


def _columns(u: Update, columns: list[Any], places: tuple[int, ...], step: Step) -> int:
    """Prepare :func:`update_columns`. How many outputs were recorded for it."""
    n = len(columns[0])
    tensors = list(chain.from_iterable(columns))
    if placing_in_use and PlacedAval in [aval_of(t).__class__ for t in tensors]:
        return _on_a_grid(u, tensors, n, places, step) or _apart(u, columns, places, step)
    plain = {t._view for t in tensors} == _NOTHING
    if plain:
        storages = [t._s for t in tensors]
        left = None if state.several or state.undo or state.observed is not None else update_packed(u, n, storages, places, step)
        if left is not None:
            return _columns(u, [[column[i] for i in left] for column in columns], places, step) if left else 0
        vals = [s.value for s in storages]
    else:
        vals = [t._s.value if t._view is None else read_view(t._view, t._s) for t in tensors]
    bundle = bundle_of(u.call, tuple([v.aval for v in vals]), u.classes, n)
    if bundle is not None and bundle.replaces(places):
        if plain and not state.several and not state.undo and state.observed is None and _at_once(u, bundle, vals, storages, places, step):
            return 0
        recorded = _recorded(u, bundle, vals, tensors, places, step)
        if recorded:
            return recorded
    return _apart(u, columns, places, step)


def _on_a_grid(u: Update, tensors: list[Tensor], n: int, places: tuple[int, ...], step: Step) -> int:
    """As :func:`_recorded`, of tensors that lie on a grid of devices."""
    vals = [t._s.value if t._view is None else read_view(t._view, t._s) for t in tensors]
    found = bundled(u.call, vals, u.classes, n, places)
    if found is None:
        return 0
    bundle, behind, more = found
    tr = state.trace
    refs = inputs_of(tr, [*behind, *more]) if bundle.device is tr.device else None
    if refs is None:
        return 0
    outs = append(tr, (bundle, *refs[: len(behind)], *_slots(u, tr), *refs[len(behind) :]), bundle.outs)
    if outs is None:
        return 0
    for j, c in enumerate(places):
        targets, outer, inner = tensors[c * n : c * n + n], vals[c * n : c * n + n], outs[j :: len(places)]
        if not _behind_alone(targets, outer, inner, step):
            step.doings += _writing(targets, list(map(placed, map(_aval, outer), inner)))
    return len(outs)


def _behind_alone(tensors: list[Tensor], outer: list[Value], inner: list[Value], step: Step) -> bool:
    """Prepare that placed values which these tensors' storages alone have get others behind them, instead of others in their place. Whether that can be done."""
    if state.undo or state.several or set(map(_view, tensors)) != _NOTHING:
        return False
    storages, boxes = list(map(_storage, tensors)), list(map(_array, outer))
    if set(map(type, storages)) != _ORDINARY or max(map(getrefcount, outer)) > LISTED + 2 or max(map(getrefcount, boxes)) > LISTED + 1:
        return False
    step.conditions += [map(is_, map(_get_value, storages), outer)]
    step.conditions += [map(ge, (LISTED + 1,), map(max, (map(getrefcount, held),))) for held in (outer, boxes)]
    step.doings += [map(_set_behind, boxes, inner), map(setattr, storages, repeat("version"), [s.version + 1 for s in storages])]
    return True


_aval, _array, _storage, _view = map(attrgetter, ("aval", "array", "_s", "_view"))
_get_value: Any = Storage.value.__get__  # type: ignore[attr-defined]
_set_behind: Any = Placed.value.__set__  # type: ignore[misc, attr-defined]


def _apart(u: Update, columns: list[Any], places: tuple[int, ...], step: Step) -> int:
    """As :func:`_columns`, a node for each group."""
    before = state.trace.count
    outer, inner = state.step, Step()
    try:
        state.step = inner
        _one_by_one(u, columns, places)
    finally:
        state.step = outer
    for prepare_ in inner.requests:
        prepare_(step)
    return max(0, state.trace.count - before)  # type: ignore[no-any-return]


def _at_once(u: Update, bundle: Bundle, vals: list[Value], storages: list[Any], places: tuple[int, ...], step: Step) -> bool:
    """Run the update with the step, if all that it reads is there. Whether that can be done."""
    n = bundle.count
    for c in places:
        if set(map(type, storages[c * n : c * n + n])) != _ORDINARY:
            return False
    results: list[Any] = []
    done = run_bundle(bundle, vals, list(u.rest), places, results)
    if done is None:
        return False
    run, shared = done
    step.doings.append(run)
    for j, c in enumerate(places):
        first = c * n
        held = None if shared is None else {i - first for i in shared if first <= i < first + n}
        part, values = storages[first : first + n], vals[first : first + n]
        step.conditions.append(unchanged(part, values))
        step.doings += replacing(part, values, islice(results, j, None, len(places)), held or None)
    return True


def _recorded(u: Update, bundle: Bundle, vals: list[Value], tensors: list[Any], places: tuple[int, ...], step: Step) -> int:
    """Record the update as one node, if all its inputs can stand in the trace. How many outputs it has; 0 if it was not done."""
    tr = state.trace
    refs = inputs_of(tr, vals) if bundle.device is tr.device else None
    if refs is None:
        return 0
    outs = append(tr, (bundle, *refs, *_slots(u, tr)), bundle.outs)
    if outs is None:
        return 0
    n = bundle.count
    for j, c in enumerate(places):
        step.doings += _writing(tensors[c * n : c * n + n], outs[j :: len(places)])
    return len(outs)


def _slots(u: Update, tr: Any) -> Any:
    """The places of the scalars in the trace; entered once for each trace."""
    if u.trace is not tr:
        u.slots = tuple([add_scalar(tr, x) for x in u.rest])
        u.trace = tr
    return u.slots


_NOTHING = {None}
_ORDINARY = {Storage}


def _in_graph(u: Update, tensors: tuple[Tensor, ...], targets: tuple[Tensor | None, ...]) -> list[Tensor]:
    # what is about to be overwritten must not be what the graph keeps
    kept = [t.clone() if any(t is x for x in targets) else t for t in tensors]
    results = apply_multi(u.call, [*kept, *u.rest])
    if not isinstance(results, tuple):
        results = (results,)
    made: list[Tensor] = []
    for t, r in zip(targets, results, strict=True):
        made.append(r if t is None else t.copy_(r))
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
    put(*_writing([t], [_number_value(x, s.value.aval)]))


def add_number(tensors: list[Any], x: float) -> list[Any]:
    """Add ``x`` to 0-dim tensors, outside of any trace; their new values as Python floats (or the tensor, where it lives elsewhere).

    Equal counts share one value.
    """
    storages = [t._s for t in tensors]
    alike = [s.value for s in storages]
    n = len(alike)
    if n and alike.count(alike[0]) == n and {t._view for t in tensors} == _NOTHING and set(map(type, storages)) == _ORDINARY and not state.undo:  # nearly always
        before = number(tensors[0])
        if before is not tensors[0]:
            put(*_written(storages, repeat(_number_value(before + x, alike[0].aval), n)))
            return [before + x] * n
    out: list[Any] = []
    old: Any = None
    new: Any = None
    total = 0.0
    written: list[Any] = []
    values: list[Any] = []
    for t in tensors:
        v = t._s.value
        if v is old and t._view is None:
            written.append(t)
            values.append(new)
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
        written.append(t)
        values.append(new)
        if t._view is None and t._s.host is None:
            old = v
        out.append(total)
    put(*_writing(written, values))
    return out


def _number_value(x: float, where: Any) -> Value:
    v = _new(Value)
    v.aval, v.array, v.trace, v.pos = where, np.asarray(x, where.dtype.np), None, -1
    return v
