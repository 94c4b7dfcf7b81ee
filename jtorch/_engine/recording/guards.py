"""Guards: indices out of range are errors, though XLA clamps them without a word, and so are other values that torch refuses.

An operator declares what its indices (or probabilities, pivots, ...) must satisfy (``@op(..., guard=...)``). An index that is on the host is checked by the line that uses it. Those that
are still to be computed are checked by the program that uses them, in one more output; what that says is looked at where the program waits for a value in any case, and then
torch's exception is raised, if the value that is waited for depends on it, and what was written since the line that used the index is undone (``undo.py``). An optimizer's step looks before it writes.
``JTORCH_EAGER=1`` raises it at the line.
"""

from __future__ import annotations

import atexit
import math
import os
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jtorch import _config
from jtorch._errors import warn, warn_once
from jtorch._registry import Range, Says, Wrong

from jtorch._engine.recording.call import Call, arguments
from jtorch._engine.recording.entry import Entry, entry_of
from jtorch._engine.values.lanes import Lanes
from jtorch._engine.values.thread_state import state
from jtorch._engine.recording.trace import Trace, add_input, flush, force
from jtorch._engine.recording.undo import Mark, depends, mark
from jtorch._engine.values.values import Aval, Value

__all__ = ["before_a_step", "bounds_of", "look", "node_for", "pending", "ran", "taken", "watch"]

_UNSIGNED = {n: np.dtype(f"u{n}") for n in (1, 2, 4, 8)}  # negative numbers are the largest there: one comparison instead of two
_maximum = np.maximum.reduce
MOST = 64  # programs whose guards wait to be looked at; then the oldest are waited for


class _Shown(NamedTuple):
    """What a guard is shown of an input of which JAX does not know the type."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)


class _Bounds:
    """One input of an entry: number ``at``, and what it must satisfy. ``high`` is None where that is not a range."""

    __slots__ = ("at", "rule", "high", "error", "passed")

    def __init__(self, at: int, wanted: Range | Wrong) -> None:
        self.at, self.error = at, wanted.error
        self.rule: _Rule = wanted.wrong if isinstance(wanted, Wrong) else (wanted.low, wanted.high, wanted.also)
        self.high = None if isinstance(wanted, Wrong) else wanted.high
        self.passed: weakref.WeakSet[Value] = weakref.WeakSet()  # with elements below zero, or ``also``, and looked at

    def in_lanes(self, lanes: int) -> _Bounds:
        """The same of each lane of a value whose first ``lanes`` dims are a vmap's."""
        return _Bounds(self.at, Wrong(None, _of_lanes(self.rule, lanes), self.error))  # type: ignore[arg-type]  # no range

    def check(self, array: np.ndarray) -> None:
        """Raises for the first element outside."""
        if callable(self.rule):
            found = np.asarray(self.rule(array))
            bad = found != 0
        else:
            low, high, also = self.rule
            found, bad = array, (array < low) | (array >= high)
            if also is not None:
                bad &= array != also
        flat = bad.reshape(-1)
        if flat.any():
            at = int(flat.argmax())
            raise self.error(int(found.reshape(-1)[at]), at)

    def size(self, a: Aval) -> int:
        """How many elements are checked of an input of this aval."""
        return math.prod(jax.eval_shape(self.rule, a.struct).shape if callable(self.rule) else a.shape)


@cache
def _of_lanes(rule: Callable[[Any], Any], lanes: int) -> Callable[[Any], Any]:
    if lanes > 1:
        rule = _of_lanes(rule, lanes - 1)
    return lambda array: np.stack([rule(a) for a in array]) if array.__class__ is np.ndarray and len(array) else jax.vmap(rule)(array)


_Rule = Callable[[Any], Any] | tuple[int, int, int | None]
Checks = tuple[tuple[int, tuple[Aval, _Bounds], int], ...]  # (position of an index, what it is, first output of what uses it)
Every = tuple[tuple[int, _Bounds, int], ...]  # (elements, bounds, number of the guard in its trace) of indices that are checked together
# (value, place) of the first element outside among them, one index after the other; the place is -1 if there is none.
Found = tuple[Any, Every]

pending: deque[tuple[Any, Every, bool, tuple[Mark, ...]]] = deque()  # what was found and not looked at yet; whether somebody waited for that run
_calls: dict[Any, Call] = {}
_last: list[Any] = [lambda: None, 0]  # the batch that was looked at last, and its largest element


def watch(entry: Entry, vals: Any) -> None:
    """Check the indices among the inputs of an entry, now or when they are known."""
    every = entry.guard
    if every.__class__ is not tuple:
        every = entry.guard = bounds_of(entry)
        if not every:  # no guard for inputs of these types: calls may take the short way
            entry.guard, entry.simple_on, entry.guarded_on = None, entry.guarded_on, None
    tr = state.trace
    for bounds in every:
        if bounds.__class__ is Says:
            (warn_once if bounds.once else warn)(bounds.text)
            continue
        v, lanes = vals[bounds.at], 0
        while v.__class__ is Value and v.array.__class__ is Lanes:
            v, lanes = v.array.value, lanes + 1
        if lanes and callable(bounds.rule):
            bounds = bounds.in_lanes(lanes)
        if v.__class__ is not Value:
            if not callable(bounds.rule) or bounds.rule(v):
                bounds.check(np.asarray(v))
            continue
        if v.trace is not None and not tr.host:
            tr.guards.append((v, bounds, tr.count, mark(entry.device.type == "cpu")))
            continue
        largest = getattr(v, "largest", None)
        if largest is None:
            array = force(v)
            if array.__class__ is not np.ndarray:
                if isinstance(array, jax.core.Tracer):
                    continue
                if not tr.host:
                    # A device's array may be there already, but that is a question of time: the trace must not depend on it.
                    tr.guards.append((v, bounds, tr.count, mark(entry.device.type == "cpu")))
                    continue
                array = np.asarray(array)
            largest = v.largest = math.inf if bounds.high is None else _bound(array)
        if (bounds.high is None or largest >= bounds.high) and v not in bounds.passed:
            bounds.check(np.asarray(v.array))
            bounds.passed.add(v)


def _bound(array: np.ndarray) -> int:
    """No element is larger, as unsigned numbers. Columns of one batch are looked at together, when the first of them comes."""
    base = array.base
    if base is not None and base.__class__ is np.ndarray and base.size <= 64 * array.size and base.dtype == array.dtype:
        if _last[0]() is not base:
            _last[:] = weakref.ref(base), _largest(base)
        return _last[1]  # type: ignore[no-any-return]
    return _largest(array)


def _largest(array: np.ndarray) -> int:
    return int(_maximum(array.view(_UNSIGNED[array.itemsize]), None)) if array.size else 0


def bounds_of(entry: Entry) -> tuple[_Bounds | Says, ...]:
    if entry.device.type == "meta":
        return ()
    # Found again by identity: two numbers of one type must not be one.
    structs = [jax.ShapeDtypeStruct(s.shape, s.dtype) if isinstance(a, type) else s if a.dtype.np is a.dtype.memory else _Shown(a.shape, a.dtype.memory) for a, s in zip(entry.inputs, entry.structs(), strict=True)]
    ranges = entry.call.guard(*arguments(entry.call.key, structs))
    position = {id(s): i for i, s in enumerate(structs)}
    here = entry.device.type == "cpu"
    wanted = [(position[id(r.index)], r) for r in ranges if not isinstance(r, Says) and 0 not in r.index.shape and (here or not r.cpu)]
    said = [r for r in ranges if isinstance(r, Says)]
    return (*said, *[_Bounds(at, r) for at, r in wanted if isinstance(r, Range) or not r.number or isinstance(entry.inputs[at], type)])


def taken(tr: Trace) -> Checks:
    """The checks of a trace that is about to run."""
    out = []
    for v, bounds, user, _ in tr.guards:
        at = v.pos if v.trace is tr else tr.input_pos.get(v)
        out.append((add_input(tr, v) if at is None else at, (v.aval, bounds), user))
    return tuple(out)  # type: ignore[arg-type]


def node_for(every: list[tuple[Aval, _Bounds]], numbers: Sequence[int]) -> tuple[Entry, Every]:
    """The entry that checks indices of these avals (of the guards with these numbers in their trace), and what it is of."""
    rules = tuple([b.rule for _, b in every])
    call = _calls.get(rules)
    if call is None:
        call = _calls[rules] = Call(None, ("outside", *rules), _outside(rules), "outside")
    return entry_of(call, tuple([a for a, _ in every])), tuple([(b.size(a), b, i) for (a, b), i in zip(every, numbers, strict=True)])


def _outside(rules: tuple[_Rule, ...]) -> Callable[..., Any]:
    def outside(*indices: Any) -> Any:
        large = any(not callable(r) and r[1] >= 2**31 for r in rules)
        flat, bad = [], []
        for i, rule in zip(indices, rules, strict=True):
            if callable(rule):
                flat.append(jnp.reshape(rule(i), -1))
                bad.append(flat[-1] != 0)
                continue
            low, high, also = rule
            flat.append(i.astype(np.int64 if large else np.int32 if i.dtype.itemsize < 4 else i.dtype).reshape(-1))
            out = (flat[-1] < low) | (flat[-1] >= high)
            bad.append(out if also is None else out & (flat[-1] != also))
        n = sum(i.size for i in flat)
        kind = np.int64 if n >= 2**31 else np.int32
        at = jnp.min(jnp.where(jnp.concatenate(bad), jax.lax.iota(kind, n), n))
        value = jnp.concatenate([i.astype(np.int64) for i in flat])[jnp.minimum(at, n - 1)]
        return jnp.stack([value, jnp.where(at < n, at, -1).astype(np.int64)])

    return outside


def ran(found: list[Found], marks: tuple[Mark, ...], why: str) -> None:
    """A trace has been sent off. If somebody waits for it, what its guards find is looked at then; otherwise as soon as it is there. ``marks``: those of all its guards."""
    for array, every in found:
        pending.append((array, every, why == "look" or _config.EAGER, tuple([marks[i] for _, _, i in every])))
    if _config.EAGER:
        look()
    while len(pending) > MOST:
        _raise(*pending.popleft())


def before_a_step() -> None:
    """An optimizer is about to write: what it would write must not come from values that are refused. (On an accelerator that would cost the time in which the step is recorded; there a
    wrong index ends the program in torch.)"""
    if state.observed is None and any([not m.gone and m.waits for m in state.undo]):
        flush("backward")
        for _ in range(len(pending)):
            _raise(*pending.popleft())


def look(v: Value | None = None) -> None:
    """Called where the program has just waited for a value (``v``, if it is one): raise what the guards have found, if the value depends on it. What nobody has waited for stays if it is not
    there."""
    for _ in range(len(pending)):
        try:
            array, every, waited, marks = pending.popleft()
        except IndexError:  # another thread was faster
            return
        if (waited or array.is_ready()) and (v is None or _passed(array, every, marks) or depends(v, marks[_first(array, every)])):
            _raise(array, every, waited, marks)
        else:
            pending.append((array, every, waited, marks))


@atexit.register
def _at_exit(owner: int = os.getpid()) -> None:
    """A program that never looked hears of it when it ends (but not from a fork of it, where XLA does not run)."""
    while pending and os.getpid() == owner:
        _raise(*pending.popleft())


def _first(array: Any, every: Every) -> int:
    """Which of the checks failed first."""
    _, at = np.asarray(array).tolist()
    for k, (size, _, _) in enumerate(every):
        if at < size:
            return k
        at -= size
    raise IndexError(at)


def _passed(array: Any, every: Every, marks: tuple[Mark, ...]) -> bool:
    return np.asarray(array).tolist()[1] < 0  # type: ignore[no-any-return]


def _raise(array: Any, every: Every, waited: bool, marks: tuple[Mark, ...]) -> None:
    value, at = np.asarray(array).tolist()
    if marks[0].gone:  # it came after another that has failed
        return
    if at < 0:
        for m in marks:
            m.passed()
        return
    k = _first(array, every)
    for m in marks[:k]:
        m.passed()
    marks[k].roll_back()
    bounds = every[k][1]
    error = bounds.error(value, at - sum(size for size, _, _ in every[:k]))
    error.add_note(f"The value was still to be computed in the line that used it; what was written since then has been undone. That line:\n{marks[k].shown()}With JTORCH_EAGER=1 the error comes out there.")
    raise error
