"""The trace: operators recorded and not yet run.

Positions: an output has its number 0, 1, 2, ... in order of recording; an input -1, -2, ...; a runtime scalar ``SCALAR`` - its number.
A node is ``(entry, position, ...)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jtorch._engine.values.values import value_of
from jtorch._engine.values.values import aval
from jtorch import _config, _device

from jtorch._engine.recording.call import NO_ENTRY, Call
from jtorch._engine.recording.entry import Entry, make_entry
from jtorch._engine.recording.gradient_pieces import Pieces
from jtorch._engine.values.thread_state import State, state
from jtorch._engine.values.values import Value, jax_device, to_device

__all__ = ["Trace", "record", "record_multi", "record_one", "add_input", "SCALAR", "force", "run_now", "has_tracer"]

SCALAR = -(1 << 40)


class Trace:
    """Pending nodes, the values they read and the values they will give: those that nobody else holds when it runs are not computed.

    ``outputs`` may hold None for a value that nobody ever held.
    """

    __slots__ = ("nodes", "inputs", "input_pos", "outputs", "scalars", "device", "input_bytes", "backwards", "begun", "root", "host", "guards", "dynamic")

    def __init__(self, device: _device.device) -> None:
        self.nodes: list[tuple[Any, ...]] = []
        self.inputs: list[Value] = []
        self.input_pos: dict[Value, int] = {}
        self.outputs: list[Value | None] = []
        self.scalars: list[Any] = []
        self.device = device
        self.input_bytes = 0
        self.backwards = 0  # backward passes that it holds
        self.begun: Any = None  # how it was when the first of them began (ahead.py)
        self.dynamic: bool | None = None  # whether one program is to be made for all sizes, where somebody has said so
        self.root = 0  # id of the module whose call began it
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


def flush(why: str = "asked") -> None:
    """Run everything that this thread has recorded on every device."""
    for other in list(state.traces.values()):
        state.traces.pop(other.device, None)
        if other.nodes:
            executor(other, why)
    tr = state.trace
    if tr.nodes:
        state.trace = Trace(tr.device)
        executor(tr, why)


def run_prefix(k: int, why: str) -> None:
    """Run the first ``k`` nodes of the current trace; the rest stays recorded, as a trace of its own."""
    tr: Trace = state.trace
    first, rest = Trace(tr.device), Trace(tr.device)
    c = sum(len(node[0].outs) for node in tr.nodes[:k])
    first.nodes, first.inputs, first.scalars = tr.nodes[:k], tr.inputs, tr.scalars
    first.outputs, rest.outputs = tr.outputs[:c], tr.outputs[c:]
    tr.outputs = []
    first.guards = [g for g in tr.guards if g[2] < c]
    rest.guards = [(v, bounds, user - c) for v, bounds, user in tr.guards if user >= c]
    tr.guards = []
    for v in first.outputs:
        if v is not None:
            v.trace = first
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
    for v in rest.outputs:
        if v is not None:
            v.trace = rest
            v.pos -= c
    state.trace = rest
    tr.inputs, v = [], None
    executor(first, why)


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
    if v.trace is not None:
        tr = v.trace
        if tr is state.trace:
            state.trace = Trace(tr.device)
            executor(tr, why)
        elif state.traces.get(tr.device) is tr:
            del state.traces[tr.device]
            executor(tr, why)
        else:
            _force_foreign(v, tr)
    array = v.array
    return array.take(v) if array.__class__ in HELD else array


def _force_foreign(v: Value, tr: Trace) -> None:
    """``v`` is pending in another thread's trace. Its owner may be recording right now, so run a copy of what is there: outputs are
    registered before their node, so every node that can be seen is whole. The owner will run its own again."""
    copy = Trace(tr.device)
    copy.host = tr.host or state.host_only
    copy.nodes = list(tr.nodes)
    copy.inputs, copy.scalars = list(tr.inputs), list(tr.scalars)
    copy.outputs = [None] * len(tr.outputs)
    copy.outputs[v.pos] = v
    keep = list(copy.inputs)  # a second reference to each: nothing is donated
    executor(copy, "thread")
    del keep


HELD: set[type] = {Pieces}  # what may stand for an array until somebody wants that: ``take(value)`` gives it
_ARRAYS: set[type] = set()  # classes of concrete jax arrays that were seen
_GIVEN = -2  # ``pos`` of a value on the host that was an input
SMALL = 1 << 16  # bytes; what is larger is not given twice


def are_arrays(arrays: list[Any]) -> bool:
    """Whether all are arrays on a device, ready to be inputs."""
    return set(map(type, arrays)) <= _ARRAYS


def put(v: Value) -> None:
    """A numpy array to the device."""
    v.array = to_device(v.array, v.aval.device)


def add_input(tr: Trace, v: Value) -> int | None:
    """Register a value as an input of the trace. None if it is a JAX tracer: the operator must then be applied at once."""
    if v.array.__class__ not in _ARRAYS or v.trace is not None:
        array = v.array if v.trace is None and v.array.__class__ is not Pieces else force(v, "thread")
        if array.__class__ is np.ndarray:
            if v.pos != _GIVEN and array.nbytes <= SMALL:
                v.pos = _GIVEN  # in its first trace it stays where it is: a program takes it from there for less than put costs
            elif not tr.host:
                put(v)
        elif isinstance(array, jax.core.Tracer):
            return None
        elif isinstance(array, jax.Array):
            _ARRAYS.add(array.__class__)
    inputs = tr.inputs
    inputs.append(v)
    tr.input_pos[v] = pos = -len(inputs)
    tr.input_bytes += v.aval.nbytes
    return pos


def reserve(tr: Trace, avals: Any) -> list[Value]:
    """Pending values for the outputs of the node that is appended next."""
    n = len(tr.outputs)
    outs: list[Value] = []
    for a in avals:
        v = Value()
        v.aval = a
        v.array = None
        v.trace = tr
        v.pos = n
        n += 1
        outs.append(v)
    tr.outputs += outs
    return outs


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


def record(call: Call, args: Any) -> tuple[Entry, list[Value]]:
    """Append one node for ``call`` on values and Python numbers; its outputs come back at once, pending."""
    key = key_of(args)
    entry = call.entries.get(key)
    if entry is None:
        entry = make_entry(call, key)
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
                    if tr is not state.trace:  # adding the input ran the trace
                        return record(call, args)
                node.append(pos)
        else:
            node.append(SCALAR - len(tr.scalars))
            tr.scalars.append(a)
    result = reserve(tr, entry.outs)
    tr.nodes.append(tuple(node))
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
            if known is None or state.trace is not tr:
                return record(call, (v, *numbers))[1][0]
        pos = known
    outputs = tr.outputs
    out = Value()
    out.aval = entry.out
    out.array = None
    out.trace = tr
    out.pos = len(outputs)
    outputs.append(out)
    if numbers:
        tr.nodes.append((entry, pos, SCALAR - len(tr.scalars)))
        tr.scalars.append(numbers[0])
    else:
        tr.nodes.append((entry, pos))
    return out


def record_multi(call: Call, args: Any) -> list[Value]:
    """As :func:`record`, the outputs alone."""
    return record(call, args)[1]


def run_now(entry: Entry, args: Any) -> list[Value]:
    """Apply an operator to JAX tracers directly, which is how everything works inside ``jax.jit``, ``grad`` and ``vmap``."""
    arrays = []
    for a in args:
        if a.__class__ is Value:
            if a.trace is not None:
                force(a)
            arrays.append(a.array)
        else:
            arrays.append(np.asarray(a))
    out = entry.call.apply(*arrays)
    result = []
    for array, q in zip((out,) if entry.out is not None else out, entry.outs, strict=True):
        v = Value()
        v.aval, v.array, v.trace, v.pos = q, array, None, -1
        result.append(v)
    return result


def _meta(a: Any) -> Value:
    v = Value()
    v.aval, v.array, v.trace, v.pos = a, None, None, -1
    return v


def moved(v: Value, where: _device.device) -> Value:
    """The same value on another device."""
    array = force(v)
    if where.type == "meta":
        return _meta(aval(v.aval.shape, v.aval.dtype, where))
    return value_of(jax.device_put(array, jax_device(where)) if isinstance(array, jax.core.Tracer) else to_device(array, where), where)
