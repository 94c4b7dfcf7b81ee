"""The trace: operators recorded and not yet run.

Positions: an output has its number 0, 1, 2, ... in order of recording; an input -1, -2, ...; a runtime scalar ``SCALAR`` - its number.
A node is ``(entry, position, ...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import and_, attrgetter, eq, is_
from threading import RLock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._engine.values.lanes import ESCAPED, Lanes, Level, lanes_of, within
from jtorch._engine.values.placed import Placed
from jtorch._engine.values.values import value_of
from jtorch._engine.values.values import aval
from jtorch import _config, _device

from jtorch._engine.recording.call import NO_ENTRY, Call
from jtorch._engine.recording.entry import Entry, make_entry
from jtorch._engine.recording.gradient_pieces import Pieces
from jtorch._engine.recording.needed import first_outputs, needed_nodes
from jtorch._engine.recording.placed_entry import PlacedEntry
from jtorch._engine.values.symbols import NotKnown, Symbol
from jtorch._engine.values.rows import Row
from jtorch._engine.values.thread_state import GRAD, State, state
from jtorch._engine.values.values import Value, jax_device, to_device
from jtorch._engine.values.unbroken import at_once, provided

__all__ = ["Trace", "record", "record_multi", "record_one", "add_input", "add_scalar", "append", "grow", "undo", "SCALAR", "force", "run_now", "has_tracer"]

SCALAR = -(1 << 40)


_FIRST, _ROOM, _MOST = 64, 256, 2048  # what there is at first, and what is added at least and at most


class Trace:
    """Pending nodes, the values they read and the values they will give: those that nobody else holds when it runs are not computed.

    ``outputs`` may hold None for a value that nobody ever held. While it is recorded, there is room at the end of ``outputs`` and ``scalars`` (``count`` and ``scalar_count`` are
    in use): storing into a list is no call, after which something else could come.

    Nothing is appended any more once it has a ``lock``: it is about to run, is running, or was interrupted on the way, and then goes on when somebody looks (``run`` is how far it has
    come). Only when all its results are put away does it forget its ``nodes``.
    """

    __slots__ = ("lock", "run", "count", "input_count", "scalar_count", "nodes", "inputs", "input_pos", "outputs", "scalars", "device", "input_bytes", "backwards", "begun", "root", "host", "guards", "dynamic", "marked", "symbolic")

    def __init__(self, device: _device.device) -> None:
        self.lock: Any = None
        self.run: Any = None
        self.count = self.input_count = self.scalar_count = 0  # of outputs, inputs and scalars
        self.nodes: list[tuple[Any, ...]] = []
        self.inputs: list[Value] = []
        self.input_pos: dict[Value, int] = {}
        self.outputs: list[Value | None] = [None] * _FIRST
        self.scalars: list[Any] = [None] * _FIRST
        self.device = device
        self.input_bytes = 0
        self.backwards = 0  # backward passes that it holds
        self.begun: Any = None  # how it was when the first of them began (ahead.py)
        self.dynamic: bool | None = None  # whether one program is to be made for all sizes, where somebody has said so
        self.root = 0  # id of the module whose call began it
        self.marked = bool(state.undo)  # whether there are, or were when it began, marks to which what is written may be undone (undo.py)
        self.symbolic = False  # whether it is a function's (bodies.py): it never runs, and anything can be its input
        self.guards: list[Any] = []  # (index that is to be in range, its bounds, first output of what uses it): see guards.py
        self.host = state.host and device is _device.CPU  # run by numpy instead of XLA (host.py)


class _State(State):
    def __init__(self) -> None:
        super().__init__()
        self.trace = Trace(_device.CPU)
        self.traces = {}


state.__class__ = _State
state.__init__()  # type: ignore[misc]

executor: Callable[[Trace, str], None]  # set by executor.py


def trace_for(device: _device.device) -> Trace:
    """Make the pending trace of ``device`` the current one. Traces of different devices wait side by side."""
    current: Trace = state.trace
    if current.device is not device:
        state.traces[current.device] = current
        current = state.trace = state.traces.pop(device, None) or Trace(device)
    return current


def take(tr: Trace) -> None:
    """Nothing is recorded into a trace of this thread any more: it is about to run."""
    if state.observed is not None:
        state.observed.cut()
    if state.before_run is not None:
        state.before_run(tr)
    lock, fresh, others = RLock(), Trace(tr.device), state.traces
    # No call from here on, so that nothing comes in between: a handler may have taken it in the meantime.
    if tr.lock is None:
        tr.lock = lock
        del tr.outputs[tr.count :]
        del tr.scalars[tr.scalar_count :]
        if state.trace is tr:
            state.trace = fresh
        elif tr.device in others and others[tr.device] is tr:
            del others[tr.device]


def flush(why: str = "asked") -> None:
    """Run everything that this thread has recorded on every device."""
    for other in list(state.traces.values()):
        take(other)
        executor(other, why)
    tr = state.trace
    if tr.nodes and not tr.symbolic:
        take(tr)
        executor(tr, why)


def run_prefix(k: int, why: str) -> None:
    """Run the first ``k`` nodes of the current trace; the rest stays recorded, as a trace of its own."""
    tr: Trace = state.trace
    if state.before_run is not None:
        state.before_run(tr)
    first, rest = Trace(tr.device), Trace(tr.device)
    c = sum(len(node[0].outs) for node in tr.nodes[:k])
    total = tr.count
    first.nodes, first.inputs, first.scalars = tr.nodes[:k], list(tr.inputs), tr.scalars[: tr.scalar_count]
    first.outputs, rest.outputs = tr.outputs[:c], tr.outputs[c:total]
    rest.scalars = []
    first.guards = [g for g in tr.guards if g[2] < c]
    rest.guards = [(v, bounds, user - c, m) for v, bounds, user, m in tr.guards if user >= c]
    for node in tr.nodes[k:]:
        refs: list[Any] = [node[0]]
        for p in node[1:]:
            if p >= c:
                refs.append(p - c)
            elif p <= SCALAR:
                refs.append(SCALAR - len(rest.scalars))
                rest.scalars.append(tr.scalars[SCALAR - p])
            else:
                v = tr.inputs[-1 - p] if p < 0 else first.outputs[p]
                if v is None:
                    v = _pending(first, p)
                at = rest.input_pos.get(v)
                if at is None:
                    at = rest.input_pos[v] = -1 - len(rest.inputs)
                    rest.inputs.append(v)
                refs.append(at)
        rest.nodes.append(tuple(refs))
    rest.count, rest.input_count, rest.scalar_count = total - c, len(rest.inputs), len(rest.scalars)
    first.lock = RLock()
    ours, theirs = [v for v in first.outputs if v is not None], [v for v in rest.outputs if v is not None]
    as_it_was = map(and_, map(is_, map(getattr, (state,), ("trace",)), (tr,)), map(eq, map(getattr, (tr,), ("count",)), (total,)))
    at_once(provided(
        as_it_was, map(_set_trace, ours, repeat(first)), map(_set_pos, theirs, [v.pos - c for v in theirs]), map(_set_trace, theirs, repeat(rest)),
        map(setattr, (state, tr, tr, tr, tr), ("trace", "lock", "nodes", "outputs", "inputs"), (rest, first.lock, [], [], [])),
    ))  # fmt: skip
    if tr.lock is first.lock:  # otherwise a handler has recorded or run something in the meantime: next time
        del ours, theirs
        v = None
        executor(first, why)


def settle(tr: Trace, held: list[Value], arrays: list[Any]) -> None:
    """The results of a trace are there: put them away, and forget the rest. (Nothing happens if a handler was faster.)"""
    at_once(provided(
        map(_nodes_of, (tr,)), map(_set_array, held, arrays), map(_set_trace, held, repeat(None)),
        map(setattr, (tr,) * 5, ("nodes", "outputs", "inputs", "guards", "run"), ([], [], [], [], None)),
    ))  # fmt: skip


def at_a_stroke(tr: Trace, held: list[Value], results: list[Any]) -> None:
    """The same where ``results``, iterators that compute them and give them to the values ``held``, are gone through in the same call. (Nothing happens if a handler was faster, or has begun it.)"""
    at_once(provided(
        map(and_, map(bool, map(_nodes_of, (tr,))), map(is_, map(_run_of, (tr,)), (None,))), *results, map(_set_trace, held, repeat(None)),
        map(setattr, (tr,) * 4, ("nodes", "outputs", "inputs", "guards"), ([], [], [], [])),
    ))  # fmt: skip


_run_of = Trace.run.__get__  # type: ignore[misc]
_nodes_of = Trace.nodes.__get__  # type: ignore[misc,attr-defined]  # the slot itself: a C function
_set_trace, _set_pos, _set_array = Value.trace.__set__, Value.pos.__set__, Value.array.__set__  # type: ignore[misc,attr-defined]


def _pending(tr: Trace, pos: int) -> Value:
    count = 0
    for node in tr.nodes:
        outs = node[0].outs
        if pos < count + len(outs):
            v = Value()
            v.aval, v.array, v.trace, v.pos = outs[pos - count], None, tr, pos
            tr.outputs[pos] = v
            return v
        count += len(outs)
    raise IndexError(pos)


def force(v: Value, why: str = "look") -> Any:
    """The array of a value, running what it waits for."""
    tr = v.trace
    while tr is not None:
        if tr.symbolic:
            raise NotKnown
        if tr.lock is not None:  # it is running, or was interrupted
            executor(tr, why)
        elif tr is state.trace or state.traces.get(tr.device) is tr:
            take(tr)  # type: ignore[arg-type]
            executor(tr, why)  # type: ignore[arg-type]
        else:
            _force_foreign(v, tr)
        before, tr = tr, v.trace
        if tr is before:
            raise RuntimeError(f"a value of {v.aval} was lost")  # never, as far as we know
    array = v.array
    return array.take(v) if array.__class__ in HELD else array  # type: ignore[attr-defined]


def _force_foreign(v: Value, tr: Trace) -> None:
    """``v`` is pending in another thread's trace. Its owner may be recording right now, so run a copy of what is there: outputs are
    registered before their node, so every node that can be seen is whole. The owner will run its own again."""
    nodes, inputs, scalars = list(tr.nodes), list(tr.inputs), tr.scalars[: tr.scalar_count]
    keep = list(inputs)  # a second reference to each: nothing is donated
    if tr.lock is not None:  # its owner runs it by now, and did not see the references: wait for that
        executor(tr, "thread")
        return
    copy = _what_it_needs(v, tr, nodes, inputs, scalars)
    copy.lock = RLock()
    executor(copy, "thread")
    del keep


def _what_it_needs(v: Value, tr: Trace, nodes: list[Any], inputs: list[Value], scalars: list[Any]) -> Trace:
    """The nodes that a value needs, as a trace of their own: how far the other thread has come does not change what is compiled."""
    first = first_outputs(nodes)
    copy = Trace(tr.device)
    copy.host = tr.host or state.host_only
    copy.nodes, copy.inputs, copy.scalars = [], [], []
    where: dict[int, int] = {}
    count = 0
    for k in needed_nodes(nodes, (v.pos,)):
        for p in nodes[k][1:]:
            if p < 0 and p not in where:
                if p <= SCALAR:
                    where[p] = SCALAR - len(copy.scalars)
                    copy.scalars.append(scalars[SCALAR - p])
                else:
                    where[p] = -1 - len(copy.inputs)
                    copy.inputs.append(inputs[-1 - p])
        copy.nodes.append((nodes[k][0], *[where[p] for p in nodes[k][1:]]))
        for p in range(first[k], first[k + 1]):
            where[p] = count
            count += 1
    copy.outputs = [None] * count
    copy.outputs[where[v.pos]] = v
    return copy


HELD: set[type] = {Pieces, Row}  # what may stand for an array until somebody wants that: ``take(value)`` gives it
_ARRAYS: set[type] = set()  # classes of concrete jax arrays that were seen
_INPUTS: set[type] = {Row}  # and what else may stand for an input's array until its trace runs
_GIVEN = -2  # ``pos`` of a value on the host that was an input; less by one for each further time
SMALL = 1 << 16  # bytes; what is larger is not given twice
_TINY, _OFTEN = 1 << 10, 24  # bytes of what is given so many times: put costs as much as that


def was_given(v: Value) -> bool:
    """Whether it came from the host, as a program's input, and is small."""
    return v.pos <= _GIVEN and v.trace is None and v.aval.nbytes <= SMALL


def are_arrays(arrays: list[Any]) -> bool:
    """Whether all are arrays on a device, ready to be inputs."""
    return set(map(type, arrays)) <= _ARRAYS


def put(v: Value) -> None:
    """A numpy array to the device."""
    v.array = to_device(v.array, v.aval.device)


def given(v: Value, array: np.ndarray) -> Any:
    """The array of a value on the host that a program is given: in its first trace it stays where it is, for a program takes it from there for less than :func:`put` costs."""
    times = _GIVEN - v.pos if v.pos < 0 else -1
    if array.nbytes <= (SMALL if times < 0 else _TINY) and times < _OFTEN:
        v.pos = _GIVEN - 1 - times
        return array
    put(v)
    return v.array


def add_input(tr: Trace, v: Value) -> int | None:
    """Register a value as an input of the trace. None if it is a JAX tracer: the operator must then be applied at once."""
    if (v.array.__class__ not in _INPUTS or v.trace is not None) and not tr.symbolic:
        array = v.array if v.trace is None and v.array.__class__ is not Pieces else force(v, "thread")
        if array.__class__ is np.ndarray:
            if not tr.host:
                given(v, array)
        elif array.__class__ is Lanes or array.__class__ is Placed or isinstance(array, jax.core.Tracer):
            return None
        elif array.__class__ is Symbol:
            raise NotKnown
        elif isinstance(array, jax.Array):
            _ARRAYS.add(array.__class__)
            _INPUTS.add(array.__class__)
    one = (v,)
    # No call from here on, so that no handler comes in between.
    known = tr.input_pos
    if v in known:
        return known[v]
    pos = -1 - tr.input_count
    tr.inputs += one
    tr.input_count = -pos
    known[v] = pos
    tr.input_bytes += v.aval.nbytes
    return pos


def inputs_of(tr: Trace, vals: Sequence[Value]) -> list[int] | None:
    """The values' positions in the trace. None if one of them must be applied at once, or adding it ran the trace."""
    refs: list[int] = []
    known = tr.input_pos
    for v in vals:
        if v.trace is tr:
            refs.append(v.pos)
            continue
        pos = known.get(v)
        if pos is None:
            pos = add_input(tr, v)
            if pos is None or tr.lock is not None:
                return None
        refs.append(pos)
    return refs


def grow(tr: Trace) -> None:
    """More room for what is recorded."""
    tr.outputs += [None] * min(len(tr.outputs) + _ROOM, _MOST)
    tr.scalars += [None] * min(len(tr.scalars) + _ROOM, _MOST)


def add_scalar(tr: Trace, x: Any) -> int:
    """A Python number becomes a runtime scalar of the trace."""
    k = tr.scalar_count
    try:
        tr.scalars[k] = x
    except IndexError:
        grow(tr)
        return add_scalar(tr, x)
    tr.scalar_count = k + 1
    return SCALAR - k


def append(tr: Trace, node: tuple[Any, ...], avals: Sequence[Any]) -> list[Value] | None:
    """Record a node: pending values for its outputs. None if a handler ran the trace in the meantime (then what the node refers to is an input of the next one)."""
    while True:
        first = n = tr.count
        outs: list[Value] = []
        for a in avals:
            v = Value()
            v.aval = a
            v.array = None
            v.trace = tr
            v.pos = n
            n += 1
            outs.append(v)
        outputs = tr.outputs
        if len(outputs) < n:
            grow(tr)
            continue
        # No call from here to the last: positions are given, outputs and node are there, or nothing is.
        if tr.lock is not None:
            return None
        if tr.count == first:
            try:
                tr.count = n
                outputs[first:n] = outs
                tr.nodes.append(node)
            except BaseException:
                undo(tr, first, node)
                raise
            return outs


def undo(tr: Trace, count: int, node: Any) -> None:
    """Memory ran out while a node was recorded: it does not count. (What else is thrown comes when it has been recorded.)"""
    if not tr.nodes or tr.nodes[-1] is not node:
        tr.count = count


def has_tracer(args: Any) -> bool:
    for a in args:
        if isinstance(a, Value) and a.trace is None and isinstance(a.array, jax.core.Tracer):
            return True
    return False


def key_of(args: Any) -> Any:
    if len(args) == 1:
        a = args[0]
        return a.aval if a.__class__ is Value else (a.__class__,)
    return tuple([a.aval if a.__class__ is Value else a.__class__ for a in args])


def _no_placing(entry: PlacedEntry, args: Any) -> list[Value]:
    raise NotImplementedError


record_placed: Callable[[PlacedEntry, Any], list[Value]] = _no_placing  # set by placing/entries.py


def record(call: Call, args: Any) -> tuple[Entry, list[Value]]:
    """Append one node for ``call`` on values and Python numbers; its outputs come back at once, pending."""
    key = key_of(args)
    entry = call.entries.get(key)
    if entry is None:
        entry = make_entry(call, key)
    if entry.__class__ is PlacedEntry:
        return entry, record_placed(entry, args)
    if entry.moves:
        args = list(args)
        for i in entry.moves:
            args[i] = moved(args[i], entry.device)
        return record(call, args)
    tr = state.trace
    if tr.device is not entry.device:
        if entry.device.type == "meta":
            return entry, [_meta(a) for a in entry.outs]
        tr = trace_for(entry.device)
    node: list[Any] = [entry]
    for a in args:
        if a.__class__ is Value:
            if a.trace is tr:
                node.append(a.pos)
            else:
                pos = tr.input_pos.get(a)
                if pos is None:
                    pos = add_input(tr, a)
                    if pos is None:
                        return entry, run_now(entry, args)
                    if tr.lock is not None:  # adding the input ran the trace
                        return record(call, args)
                node.append(pos)
        else:
            node.append(add_scalar(tr, a))
    result = append(tr, tuple(node), entry.outs)
    if result is None:
        return record(call, args)
    if _config.EAGER:
        flush("eager")
    return entry, result


def record_one(call: Call, v: Value, numbers: tuple[Any, ...]) -> Value:
    """As :func:`record`, of one value and at most one number with one output: written straight down for views."""
    entry = call.last
    if not numbers:
        if entry.first is not v.aval:
            entry = call.last = call.entries.get(v.aval, NO_ENTRY)
    elif entry.first is not v.aval or entry.second is not numbers[0].__class__:
        entry = call.last = call.entries.get((v.aval, numbers[0].__class__), NO_ENTRY)
    tr = state.trace
    if entry.simple_on is not tr.device or len(numbers) > 1 or _config.EAGER:
        return record(call, (v, *numbers))[1][0]
    if v.trace is tr:
        pos = v.pos
    else:
        known = tr.input_pos.get(v)
        if known is None:
            known = add_input(tr, v)
            if known is None or tr.lock is not None:
                return record(call, (v, *numbers))[1][0]
        pos = known
    node = (entry, pos, add_scalar(tr, numbers[0])) if numbers else (entry, pos)
    out = Value()
    out.aval = entry.out
    out.array = None
    out.trace = tr
    # As in append.
    if tr.lock is not None:
        return record(call, (v, *numbers))[1][0]
    out.pos = n = tr.count
    try:
        tr.count = n + 1
        tr.outputs[n] = out
        tr.nodes.append(node)
    except IndexError:
        tr.count = n
        grow(tr)
        return record_one(call, v, numbers)
    except BaseException:
        undo(tr, n, node)
        raise
    return out


def record_multi(call: Call, args: Any) -> list[Value]:
    """As :func:`record`, the outputs alone."""
    return record(call, args)[1]


def run_now(entry: Entry, args: Any) -> list[Value]:
    """Apply an operator to JAX tracers directly, which is how everything works inside ``jax.jit``, ``grad`` and ``vmap``; to all lanes of ``torch.vmap`` at once."""
    levels = [a.array.level for a in args if a.__class__ is Value and a.array.__class__ is Lanes]
    if levels:
        return _in_lanes(entry.call, args, max(levels, key=_DEPTH))
    arrays = []
    for a in args:
        if a.__class__ is Value:
            if a.trace is not None:
                force(a)
            arrays.append(jnp.asarray(a.array) if a.array.__class__ is np.ndarray else a.array)  # an operator's function is one of jax arrays
        else:
            arrays.append(np.asarray(a))
    out = entry.call.apply(*arrays)
    if state.stops and not state.mode & GRAD:
        out = jax.tree.map(jax.lax.stop_gradient, out)
    result = []
    for array, q in zip((out,) if entry.out is not None else out, entry.outs, strict=True):
        v = Value()
        v.aval, v.array, v.trace, v.pos = q, array, None, -1
        result.append(v)
    return result


def _in_lanes(call: Call, args: Any, level: Level) -> list[Value]:
    """Record an operator for all lanes of the innermost level among its values: ``jax.vmap`` of its function. RuntimeError if that ``vmap`` is over."""
    if not level.under_way:
        raise RuntimeError(ESCAPED)
    given = [(lanes_of(a, level) if a.__class__ is Value else None) for a in args]
    axes = tuple([None if g is None else 0 for g in given])
    outs = record(lanes_call(call, axes), [a if g is None else g for a, g in zip(args, given, strict=True)])[1]
    return [within(v, level) for v in outs]


def lanes_call(call: Call, axes: tuple[int | None, ...]) -> Call:
    """The call for all lanes; ``axes``: 0 for each argument that has them along its first dim."""
    found = _lane_calls.get((call, axes))
    if found is None:

        def apply(*arrays: Any) -> Any:
            return jax.vmap(call.apply, axes, 0)(*arrays)

        found = _lane_calls[call, axes] = Call(None, None, apply, f"{call.name}_lanes", numbers=call.numbers, residuals=call.residuals, origin=(lanes_call, (call, axes)), kinds=call.kinds or ())
    return found


_lane_calls: dict[Any, Call] = {}
_DEPTH = attrgetter("depth")


def _meta(a: Any) -> Value:
    v = Value()
    v.aval, v.array, v.trace, v.pos = a, None, None, -1
    return v


def moved(v: Value, where: _device.device) -> Value:
    """The same value on another device."""
    array = force(v)
    if where.type == "meta":
        return _meta(aval(v.aval.shape, v.aval.dtype, where))
    return value_of(jax.device_put(array, jax_device(where)) if isinstance(array, jax.core.Tracer) else to_device(array, where), where, v.aval.dtype)
