"""A call that was watched, as guards, programs and what is to be done with their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, repeat
from operator import attrgetter, eq, is_
from sys import getrefcount
from typing import Any
from weakref import ref

import numpy as np

from jtorch._compile.guarding import Guards, Written, same
from jtorch._core.graph.node import Node, next_seq, node_repr
from jtorch._core.graph.view_history import edge_of
from jtorch._core.state.step_state import one_value
from jtorch._core.storage.bare_tensor import Storage, new_tensor
from jtorch._core.storage.host_memory import settled, unchanged
from jtorch._core.storage.view_steps import read
from jtorch._engine.placing.entries import fitted, part_aval
from jtorch._engine.recording import trace as _trace
from jtorch._engine.recording.trace import force
from jtorch._engine.running.replay import Recorded, outside
from jtorch._engine.values.placed import PlacedAval, behind, in_use, placed
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.unbroken import at_once, provided, together
from jtorch._engine.values.values import Value, several

__all__ = ["AGAIN", "OTHERWISE", "TENSOR_KEPT", "CompiledBackward", "Replay", "array_of", "new_value", "nothing_more", "zeros"]

_value, _aval, _edge, _grad, _storage, _view, _code = map(attrgetter, ("value", "aval", "_edge", "_grad", "_s", "_view", "__code__"))
_three, _array, _two = attrgetter("_s", "_edge", "_view"), attrgetter("array"), attrgetter("_meta", "_edge")
_NOTHING = {(None, None)}
_get_array: Any = Value.array.__get__  # type: ignore[attr-defined]
_set_version: Any = Storage.version.__set__  # type: ignore[attr-defined]
_get_value: Any = Storage.value.__get__  # type: ignore[attr-defined]
_ORDINARY = {Storage}
_GIVEN_AS_IT_IS = _trace._INPUTS
AGAIN = object()
OTHERWISE = object()


class CompiledBackward(Node):
    """The backward of what a replay recorded: nodes that were recorded when the call was watched."""

    __slots__ = ("saved", "replay", "avals")
    __repr__ = node_repr

    def name(self) -> str:
        return "CompiledFunctionBackward"

    @property
    def outs(self) -> Any:
        return self.avals

    def release(self) -> None:
        self.saved = None

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        if run.create:
            raise RuntimeError("torch.compile with aot_autograd does not currently support double backward")
        if self.saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
                "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
                "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward."
            )
        r = self.replay
        cts = [behind(_fitting(buffer[i], a)) if i in buffer else zeros(part_aval(a) if a.__class__ is PlacedAval else a) for i, a in enumerate(self.avals)]
        found = r.backward.record([*self.saved, *cts], r.backward.scalars, r.backward_live)
        if not run.retain:
            self.release()
        return [placed(a, found[at]) if a.__class__ is PlacedAval else found[at] for at, a in zip(r.gradients, r.gradient_avals, strict=True)]


def _fitting(v: Value, a: Any) -> Value:
    """A cotangent as it lay when the backward was recorded."""
    return v if v.aval is a or a.__class__ is not PlacedAval else fitted(v, a)


def zeros(a: Any) -> Value:
    """Zeros on the host."""
    v = Value()
    v.aval, v.array, v.trace, v.pos = a, np.zeros(a.shape, a.dtype.np), None, -1
    return v


class Replay:
    """See :mod:`observed`, which makes them.

    ``sources``: for each input of the recorded nodes, ``("fixed", i)``, ``("arg", i)``, ``("draw", i)`` or ``("const", value)``.
    ``writes``: (output, storage, how many versions) of tensors that were there; ``quick`` (storages, their inputs, their outputs; ``more``: how many versions) are those that can be overwritten, ``slow`` the
    others; ``grads``: (leaf, output or None, type, strides).
    """

    guards: Guards
    recorded: Recorded
    sources: list[Any]
    tensors: list[Any]  # those that take part and were there before: guarded
    storages: list[Storage]
    avals: list[Any]
    edges: list[Any]
    views: list[Any]
    no_grad: list[Any]
    some_grad: list[Any]
    arg_avals: list[Any]
    live: tuple[int, ...]
    live_avals: list[Any]
    writes: list[Any]
    arg_writes: list[Any]
    grads: list[Any]
    draws: list[Any]
    scalars: list[Any]
    dynamic: list[tuple[int, int]]  # (scalar, number among what ``compute`` gives)
    compute: Any
    decisions: list[Any]
    slots: list[Any]
    counts: list[Any]
    effects: list[Any]
    result: Any
    checks: list[Any]  # (input, bounds)
    looked: list[tuple[int, bool]]  # outputs that were asked for their truth, and it
    engines: list[Any]  # of the draws
    checked: list[Callable[[], Any]]  # for each of these, the array that was last found to be within: arrays do not change
    backward: Recorded | None
    backward_live: tuple[int, ...]
    saved: list[Any]
    gradients: list[Any]
    gradient_avals: list[Any]
    targets: list[Any]
    lies: list[tuple[int, Any]]  # inputs that are to lie so, should they lie on one device
    wide: list[int]  # those of ``quick`` that lie on a grid of devices
    outs: list[Any]

    def __init__(self) -> None:
        self.backward = None
        self.gradient_avals, self.lies, self.wide = [], [], []
        self.asked: Any = None  # what ``ready`` asks, once it was written
        self.packing: Any = None  # what packing.py knows of it
        self.packed: Any = None  # the replay that runs in its place as long as it can
        self.shown: set[int] = set()  # outputs that are given out
        self.kept: Any = None
        self.orders: dict[bool, tuple[tuple[int, ...], tuple[int, ...]]] = {}  # which outputs go to values that are there, and which to new ones

    def ready(self, args: list[Any]) -> list[Value] | None:
        """The values of the fixed tensors and of the arguments if everything is as it was; None if not."""
        asked = self.asked
        if asked is None:
            asked = self.asked = self._required()
        values = asked()
        if values is None and self._settled():
            values = asked()
        if args and self.written_args and values is not None and not {id(t._s) for t in args}.isdisjoint(self.storage_ids):
            return None
        return values

    def _settled(self) -> bool:
        """Whether what somebody has looked at meanwhile is more like what it was than it seemed: memory that numpy no longer has, counts that are equal."""
        odd = [s for s in self.storages if s.__class__ is not Storage]
        for s in odd:
            if s.host is not None:
                settled(s)
            else:
                _ = s.value
        apart = [held for held, key in self.slots if key is None and any([s.value is not held[0].value for s in held])]
        joined = [one_value(held) for held in apart]
        return any(joined) or any([s.__class__ is Storage for s in odd])

    def _required(self) -> Callable[[], list[Value] | None]:
        """What :meth:`ready` asks."""
        w = Written()
        self.guards.write(w)
        for t, (s, edge, view) in zip(self.tensors, self.threes, strict=True):
            name = w.name(t)
            w.require(f"{name}._s is {w.name(s)} and {name}._edge is {w.name(edge)} and {name}._view is {w.name(view)}")
            w.pause()
        for t in self.no_grad:
            w.require(f"{w.name(t)}._grad is None")
            w.pause()
        for t in self.some_grad:
            w.require(f"{w.name(t)}._grad is not None")
            w.pause()
        for leaf, aval in self.grad_forms:
            g = f"{w.name(leaf)}._grad"
            w.require(f"{g}._view is None and {g}._s.__class__ is {w.name(Storage)} and {g}._s.value.aval is {w.name(aval)} and {g}._edge is None")
            w.pause()
        for s, aval in zip(self.storages, self.avals, strict=True):
            name = w.name(s)
            w.require(f"{name}.__class__ is {w.name(Storage)} and {name}.value.aval is {w.name(aval)}")
            w.find(f"{name}.value.array.value" if aval.__class__ is PlacedAval else f"{name}.value")
        for held, _ in self.slots:
            if held.__class__ is list and held and held[0].__class__ is Storage:
                first = f"{w.name(held[0])}.value"
                w.require(f"{first}.array is not None")
                for s in held[1:]:
                    w.require(f"{w.name(s)}.value is {first}")
                w.pause()
        return w.function()

    def does(self) -> bool:
        """Whether the call changes anything, or draws numbers: it must not be made twice."""
        return bool(self.writes or self.arg_writes or self.grads or self.grad_writes or self.draws or self.counts or self.effects)

    def does_more(self) -> bool:
        """Whether it changes what a graph of its operators does not: attributes, gradients."""
        return bool(self.effects or self.grads or self.grad_writes or self.counts)

    def can_be_packed(self) -> bool:
        """Whether its calls cost more than what is computed, and nothing but these stands in the way of laying its parameters end to end."""
        plans = self.recorded._plans.values()
        return self.backward is None and not self.looked and not self.recorded.checks and not several and all(places is not None for _, places in plans) and self.recorded._small()

    def why_not(self, args: list[Any]) -> str:
        """What has changed since this was seen."""
        found = self.guards.failed()
        if found:
            return found
        if self.ready(args) is not None:
            return "a decision about numbers goes another way" if self.numbers() is None else ""
        if any(t._grad is not None for t in self.no_grad) or any(t._grad is None for t in self.some_grad):
            return "gradients are there, or are not, other than then"
        return "a parameter or buffer has another shape, type, storage or requires_grad"

    def numbers(self) -> list[Any] | None:
        """What the expressions are now: those of the scalars, of effects and counts. None if a decision would go another way."""
        if not self.slots and not self.decisions:
            return []
        return self._computed([float(held[0].value.array) if key is None else held[key] for held, key in self.slots])

    def _computed(self, slots: list[Any]) -> list[Any] | None:
        """The same, from what is in the slots."""
        try:
            found = self.compute(slots)
        except Exception:
            return None
        n = len(self.decisions)
        if not n:
            return found  # type: ignore[no-any-return]
        return found[n:] if all(map(same, found[:n], self.decisions)) else None

    def run(self, args: list[Any], values: list[Value], numbers: list[Any]) -> Any:
        """Do what the call did. Nothing was done if it returns AGAIN (a handler came in between that changed what is to be overwritten) or OTHERWISE (a value that the call asked for its truth has another)."""
        if self.backward is None and state.trace.nodes:
            _trace.flush("step")
        given: list[Any] = list(self.gather(values))
        for at, kind, i in self.others:
            if kind == "arg":
                given[at] = behind(read(args[i]))
            elif kind == "grad":
                given[at] = behind(read(i._grad))
            elif kind == "view":
                given[at] = behind(read(i))
            else:
                given[at] = i if kind == "const" else None
        for at, lies in self.lies:
            given[at].lies = lies
        if not self.looked:
            self._check(given)
        marks = [(e, e.snapshot(), e.next_normal, e.next_normal_f32) for e in self.engines] if self.looked else ()
        for at, redraw, aval in self.draws:
            v = Value()
            v.aval, v.array, v.trace, v.pos = aval, redraw(), None, -1
            if at is not None:
                given[at] = v
        scalars = self.scalars
        if self.dynamic:
            scalars = list(scalars)
            for slot, n in self.dynamic:
                scalars[slot] = numbers[n]
        if self.looked:
            return self._if_as_then(args, given, scalars, numbers, marks)
        if self.backward is None:
            return self._whole(args, values, given, scalars, numbers)
        outs = self.recorded.record(given, scalars, self.live)
        doings, result = self._put_away(args, outs, self.writes, None, numbers, self._node(args, given, outs))
        at_once(*doings)
        return result

    def _check(self, given: list[Value]) -> None:
        """What is required of inputs' values."""
        for n, (at, bounds) in enumerate(self.checks):
            array = force(given[at])
            if self.checked[n]() is not array:
                bounds.check(np.asarray(array))
                self.checked[n] = ref(array)

    def _whole(self, args: list[Any], values: list[Value], given: list[Value], scalars: list[Any], numbers: list[Any]) -> Any:
        """Run the programs, and put away what they give: all of it or nothing."""
        arrays = list(map(_array, given))
        if set(map(type, arrays)) - _GIVEN_AS_IT_IS:
            arrays = list(map(array_of, given))
        with state.updating:
            mine = self._taken(given, arrays)
            alone = bool(mine) and not state.several
            if alone:
                result, rest = self._in_place(args, given, arrays, scalars, numbers, mine)
        if alone:
            if rest is not None:
                rest()
            return result
        if mine:  # another thread may come to hold what is to be overwritten: once nobody finds it any more, the executor sees whether one does
            outs = self.recorded.taken(given, scalars, self.live)
            del arrays
            values.clear()
        else:
            found, checks = self.recorded.run(arrays, given, scalars, self.live)
            if checks:
                outside(checks)
            outs = list(map(new_value, self.live_avals, found))
        doings, result = self._put_away(args, outs, self.writes, None, numbers, None)
        at_once(*doings)
        if mine:
            force(outs[0], "step")
        return result

    def _if_as_then(self, args: list[Any], given: list[Value], scalars: list[Any], numbers: list[Any], marks: Any) -> Any:
        """The same where values were asked for their truth: they are computed with all else, and if one is another now, the rest is dropped."""
        with state.updating:
            found, checks = self.recorded.run(list(map(array_of, given)), given, scalars, self.live)
        for n, truth in self.looked:
            if bool(np.asarray(found[n])) is not truth:
                for engine, mark, normal, single in marks:
                    engine.rewind(mark)
                    engine.next_normal, engine.next_normal_f32 = normal, single
                return OTHERWISE
        self._check(given)  # after it: of another answer nothing of this is required
        if checks:
            outside(checks)
        outs = list(map(new_value, self.live_avals, found))
        node = None if self.backward is None else self._node(args, given, outs)
        doings, result = self._put_away(args, outs, self.writes, None, numbers, node)
        at_once(*doings)
        return result

    def _in_place(self, args: list[Any], given: list[Value], arrays: list[Any], scalars: list[Any], numbers: list[Any], mine: tuple[int, ...]) -> tuple[Any, Any]:
        """The same where nobody but the storages has the inputs ``mine``: what is in their values will be another array. And what is to be called then, if anything."""
        tr = state.trace
        storages, into, at = self.quick
        kept = self._same_gradients()
        order = self.orders.get(kept is None)
        if order is None:
            first = at if kept is None else at + kept[1]
            order = self.orders[kept is None] = first, tuple([n for n in range(len(self.live)) if n not in first])
        same, before = [given[i] for i in into], [arrays[i] for i in into]
        as_it_was = (
            self._unchanged(storages, same), map(is_, map(_get_array, same), before), map(is_, map(getattr, (state,), ("trace",)), (tr,)), map(eq, map(getattr, (tr,), ("count",)), (0,)),
        )  # fmt: skip
        at, fresh = order
        targets = [*same, *(() if kept is None else kept[0]), *[new_value(self.live_avals[n], None) for n in fresh]]
        at += fresh
        outs = dict(zip(at, targets, strict=True))
        doings, result = self._put_away(args, outs, self.slow, kept, numbers, None)
        versions = [s.version + more for s, more in zip(storages, self.more, strict=True)]
        run, rest = self.recorded.into(arrays, given, scalars, self.live, mine, targets, at)
        done: list[bool] = []
        at_once(provided(map(all, (together(as_it_was),)), *run, map(_set_version, storages, versions), *doings, map(done.append, (True,))))
        return (result, rest) if done else (AGAIN, None)

    def _taken(self, given: list[Value], arrays: list[Any]) -> tuple[int, ...]:
        """The inputs that are overwritten: what is written in place, if nobody else holds any of it."""
        mine = self.donatable
        if not mine or self.recorded.checks:
            return ()
        if self.wide:
            outer = [s.value for s in map(self.quick[0].__getitem__, self.wide)]
            boxes = list(map(_array, outer))
            if max(map(getrefcount, outer)) > TENSOR_KEPT or max(map(getrefcount, boxes)) > TENSOR_KEPT:
                return ()
        held = list(map(given.__getitem__, mine))
        values, inside = max(map(getrefcount, held)), max(map(getrefcount, map(arrays.__getitem__, mine)))
        return mine if values <= _VALUE_HELD and inside <= _ARRAY_HELD and set(map(type, map(arrays.__getitem__, mine))) <= _GIVEN_AS_IT_IS else ()

    def _unchanged(self, storages: list[Storage], same: list[Value]) -> Iterable[bool]:
        """Whether the storages have these values, or such as lie behind theirs, when it is asked for."""
        wide = self.wide
        if not wide:
            return unchanged(storages, same)
        every = len(wide) == len(storages)
        inside = map(getattr, map(_array, map(_get_value, storages if every else map(storages.__getitem__, wide))), repeat("value"), repeat(None))
        found = map(is_, inside, same if every else map(same.__getitem__, wide))
        if every:
            return found
        plain = [i for i in range(len(storages)) if i not in set(wide)]
        return chain(found, unchanged([storages[i] for i in plain], [same[i] for i in plain]))

    def _put_away(self, args: list[Any], outs: Any, writes: list[Any], kept: Any, numbers: list[Any], node: Any) -> tuple[list[Any], Any]:
        """What puts the outputs where the call put them, when it is gone through, and what the call returns. ``kept``: gradients that are in their tensors as it is."""
        into: list[Any] = []
        values: list[Value] = []
        versions: list[int] = []
        for n, s, more in writes:
            into.append(s)
            values.append(_as_it_lies(outs[n], s.value.aval))
            versions.append(s.version + more)
        for n, leaf, more in self.grad_writes:
            s = leaf._grad._s
            into.append(s)
            values.append(_as_it_lies(outs[n], s.value.aval))
            versions.append(s.version + more)
        for n, i, more in self.arg_writes:
            s = args[i]._s
            into.append(s)
            values.append(_as_it_lies(outs[n], s.value.aval))
            versions.append(s.version + more)
        for storages, n, aval in self.counts:
            into += storages
            values += [new_value(aval, np.asarray(numbers[n], aval.dtype.np))] * len(storages)
            versions += [s.version + 1 for s in storages]
        doings: list[Any] = [map(setattr, into, repeat("value"), values), map(setattr, into, repeat("version"), versions)] if into else []
        if self.grads and kept is None:
            doings += self._new_gradients(outs)
        made: dict[int, Any] = {}
        for effect in self.effects:
            doings.append(effect(self, args, outs, numbers, made, node))
        return doings, self.result(self, args, outs, numbers, made, node)

    def _new_gradients(self, outs: Any) -> list[Any]:
        leaves: list[Any] = []
        tensors: list[Any] = []
        places: list[int] = []
        for leaf, n, aval, strides in self.grads:
            leaves.append(leaf)
            tensors.append(None if n is None else new_tensor(_as_it_lies(outs[n], aval), strides))
            if n is not None:
                places.append(n)
        whole = self.backward is None and len(places) == len(leaves)
        self.kept = (leaves, tensors, [t._s for t in tensors], [behind(t._s.value) for t in tensors], tuple(places)) if whole else None
        return [map(setattr, leaves, repeat("_grad"), tensors)]

    def _same_gradients(self) -> tuple[list[Value], tuple[int, ...]] | None:
        """The values of the tensors that the gradients were in last time, and which outputs these are, if nobody else has them; there may be none."""
        if not self.grads:
            return [], ()
        kept = self.kept
        if kept is None:
            return None
        leaves, tensors, storages, values, at = kept
        if not all(map(is_, map(_grad, leaves), tensors)) or not all(map(is_, map(_storage, tensors), storages)):
            return None
        outer = list(map(_value, storages))
        if not all(map(is_, map(behind, outer) if in_use else outer, values)):
            return None
        boxes = [v.array for v in outer if v.aval.__class__ is PlacedAval] if in_use else ()
        if boxes and (max(map(getrefcount, outer)) > TENSOR_KEPT or max(map(getrefcount, boxes)) > TENSOR_KEPT):
            return None
        del outer, boxes
        if max(map(getrefcount, tensors)) > TENSOR_KEPT or max(map(getrefcount, storages)) > TENSOR_KEPT or max(map(getrefcount, values)) > TENSOR_KEPT:
            return None
        return (values, at) if nothing_more(tensors) else None

    def _node(self, args: list[Any], given: list[Value], results: list[Value]) -> Any:
        edges: list[Any] = []
        for kind, i in self.targets:
            t = args[i] if kind == "arg" else i
            edges += (edge_of(t), t._nr)
        node = CompiledBackward()
        node.edges, node.seq, node.hooks, node.extra = tuple(edges), next_seq(), None, None
        node.saved = [given[i] if kind == "in" else results[i] for kind, i in self.saved]
        node.replay, node.avals = self, tuple(self.out_avals)
        return node


def _as_it_lies(v: Value, a: Any) -> Value:
    """What was computed, as a value with this aval, which may lie on a grid of devices."""
    return placed(a, v) if a.__class__ is PlacedAval else v


def array_of(v: Value) -> Any:
    """A value's array as it is given to a program."""
    array = v.array if v.trace is None and v.array.__class__ in _GIVEN_AS_IT_IS else force(v)
    return _trace.given(v, array) if array.__class__ is np.ndarray else array


def nothing_more(tensors: list[Any]) -> bool:
    """Whether these tensors are in no graph, and have nothing that few have."""
    return set(map(_two, tensors)) == _NOTHING


def new_value(aval: Any, array: Any) -> Value:
    v = Value()
    v.aval, v.array, v.trace, v.pos = aval, array, None, -1
    return v


def _held_alone() -> tuple[int, int]:
    """What getrefcount says in ``_whole`` of a value that a storage alone holds, and of its array."""
    storage = Storage()
    v = storage.value = Value()
    v.array = object()
    given = [v]
    values = [v]
    arrays = [v.array]
    del v
    held = list(map(given.__getitem__, (0,)))
    return max(map(getrefcount, held)), max(map(getrefcount, map(arrays.__getitem__, (0,)))) + 0 * len(values)


def _kept_alone() -> int:
    """The same of what a slot holds beside a list of ours, in ``_same_gradients``."""
    storage = Storage()
    storage.value = object()
    kept = [storage.value]
    return max(map(getrefcount, kept))


_VALUE_HELD, _ARRAY_HELD = _held_alone()
TENSOR_KEPT = _kept_alone()
