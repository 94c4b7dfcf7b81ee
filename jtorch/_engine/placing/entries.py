"""Entries of calls on placed values, and how they are recorded: on the whole, or on the part that this process has."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jtorch import _config
from jtorch._engine.recording import entry as recording
from jtorch._engine.recording import forgetting, trace
from jtorch._engine.recording.bundle import Bundle
from jtorch._engine.recording.call import Call
from jtorch._engine.recording.entry import Entry, entry_of
from jtorch._engine.recording.placed_entry import PlacedEntry
from jtorch._engine.values import heard
from jtorch._engine.values.placed import Grid, Placed, PlacedAval, part_of, placed, placed_aval
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.unbroken import aside
from jtorch._engine.values.values import Aval, Value, aval, jax_devices, outside_jit, several, value_of

from .choice import choose
from .factors import factors_of
from .parts import program_of_parts, size_of_part, reading_apart

__all__ = ["bundled", "constrained", "fitted", "grid_of_devices", "lay", "lay_all", "move", "sharding_of", "spread_out"]


def _no_move(v: Value, places: Any) -> Value:
    raise NotImplementedError


move: Callable[[Value, Any], Value] = _no_move  # the same value (placed, or alike everywhere) in other places; set by jtorch.distributed.tensor
mixed: Callable[[Call, Any], None] = lambda call, inputs: None  # refuses operands that are alike everywhere, where torch does; set there too


def _made(call: Call, key: Any) -> Entry:
    inputs = key if isinstance(key, tuple) else (key,)
    grids = {a.grid for a in inputs if a.__class__ is PlacedAval}
    if len(grids) > 1:
        raise RuntimeError(f"{call.name}: the DTensors lie on different meshes")
    (grid,) = grids
    mixed(call, inputs)
    whole = tuple([a.whole if a.__class__ is PlacedAval else a for a in inputs])
    base = entry_of(call, whole[0] if len(whole) == 1 and isinstance(whole[0], Aval) else whole)
    closed = aside(jax.make_jaxpr(recording._named(call.apply, call.name)), *base.structs())
    f = factors_of(closed)
    alike = (None,) * len(grid.shape)
    before = [a.places if a.__class__ is PlacedAval else alike for a in inputs]
    ins, outs = choose(f, closed, before, [a.nbytes if isinstance(a, Aval) else 8 for a in inputs], grid.shape)
    avals = tuple([placed_aval(a, grid, tuple(p)) for a, p in zip(base.outs, outs, strict=True)])
    made = PlacedEntry(call, inputs, avals, base.out is not None, base.device)
    made.lies, made.grid, made.ins, made.parts, made.laid = avals, grid, [tuple(p) for p in ins], None, None
    if grid.coordinate is None:
        cut = any(isinstance(p, int) for some in (before, outs) for places in some for p in places)
        made.laid = _laid_by(call, reading_apart(closed) if cut else None, tuple([sharding_of(a) for a in avals]), base.out is not None)
    else:
        run = program_of_parts(closed, f, ins, grid.shape, grid.coordinate)
        single = base.out is not None
        made.parts = Call(None, None, lambda *arrays: run(*arrays)[0] if single else tuple(run(*arrays)), f"{call.name}_part", numbers=call.numbers)
    return call.entries.setdefault(key, made)  # type: ignore[no-any-return]


def _laid_by(call: Call, instead: Callable[..., list[Any]] | None, where: tuple[NamedSharding, ...], single: bool) -> Call:
    """The call, or what stands in its place, with its results laid out so, in one node: recording one for each result besides costs more than the operator. Its last input is the devices' token."""

    def apply(*arrays: Any) -> Any:
        out: Any
        if instead is None:
            out = call.apply(*arrays[:-1])
        else:
            found = instead(*arrays[:-1])
            out = found[0] if single else found
        if single:
            return jax.lax.with_sharding_constraint(out, where[0])
        return tuple([jax.lax.with_sharding_constraint(x, w) for x, w in zip(out, where, strict=True)])

    return Call(None, None, apply, call.name, numbers=call.numbers, runtime_scalars=call.runtime_scalars)


def _record(entry: PlacedEntry, args: Any) -> list[Value]:
    if entry.parts is None:
        if heard.listeners:
            heard.tell_operator(entry.grid.shape, [a.aval.places if a.__class__ is Value and a.aval.__class__ is PlacedAval else None for a in args], entry.ins, entry.device.type == "cpu")
        given = [part_of(a) if a.__class__ is Value and a.aval.__class__ is PlacedAval else a for a in args]
        given.append(_token(entry.grid.devices, entry.device))
        return list(map(placed, entry.lies, trace.record_multi(entry.laid, given)))
    given = []
    for v, p in zip(args, entry.ins, strict=True):
        a: Any = v.aval if v.__class__ is Value else None
        if a is None or a.__class__ is not PlacedAval and p == (None,) * len(p):
            given.append(v)
        else:
            given.append(part_of(fitted(v, placed_aval(a.whole if a.__class__ is PlacedAval else a, entry.grid, p))))
    return list(map(placed, entry.lies, trace.record_multi(entry.parts, given)))


_bundles: dict[Any, Bundle | None] = {}
forgetting.remembered.append(_bundles)


def bundled(call: Call, vals: Sequence[Value], classes: tuple[type, ...], count: int, places: tuple[int, ...]) -> tuple[Bundle, list[Value], tuple[Value, ...]] | None:
    """A call on ``count`` groups of placed values (column after column) whose i-th results lie as column ``places[i]`` does, as one node: the bundle, what lies behind the values, and what it is given besides.
    None where the groups do not lie on one grid, or something would have to move first."""
    avals = tuple([v.aval for v in vals])
    key = (call, avals, classes, count, places)
    if key not in _bundles:
        _bundles[key] = _bundle(call, avals, classes, count, places)
    found = _bundles[key]
    if found is None:
        return None
    grid = avals[0].grid  # type: ignore[attr-defined]
    more = () if grid.coordinate is not None else (_token(grid.devices, found.device),)
    return found, list(map(part_of, vals)), more  # type: ignore[return-value]


def _bundle(call: Call, avals: tuple[Any, ...], classes: tuple[type, ...], count: int, places: tuple[int, ...]) -> Bundle | None:
    if {a.__class__ for a in avals} != {PlacedAval} or len({a.grid for a in avals}) != 1:
        return None
    grid = avals[0].grid
    parts = []
    for i in range(count):
        own = avals[i::count]
        entry: Any = entry_of(call, (*own, *classes))
        if tuple(entry.lies) != tuple([own[c] for c in places]):
            return None
        if grid.coordinate is None:
            parts.append(entry_of(entry.laid, (*[a.whole for a in own], *classes, _token(grid.devices, entry.device).aval)))
        elif all(a.places == p for a, p in zip(own, entry.ins, strict=False)):
            parts.append(entry_of(entry.parts, (*map(part_aval, own), *classes)))
        else:
            return None
    return Bundle(call, tuple(parts), len(avals) // count) if all(not p.moves and p.device is parts[0].device for p in parts) else None


def part_aval(a: PlacedAval) -> Aval:
    """Of what lies behind a placed value: what this process has of it, or the whole where it sees all devices."""
    if a.grid.coordinate is None:
        return a.whole
    return aval(tuple(size_of_part(a.shape, a.places, a.grid.shape, a.grid.coordinate)), a.dtype, a.device)  # type: ignore[arg-type]


def spec_of(a: PlacedAval) -> list[Any]:
    """For each dim the names of the grid's dims that cut it, None if none does."""
    spec: list[Any] = [None] * len(a.shape)
    for m, p in enumerate(a.places):
        if isinstance(p, int):
            spec[p] = (*(spec[p] or ()), a.grid.names[m])
    return spec


@functools.cache  # avals are kept for good
def sharding_of(a: PlacedAval) -> NamedSharding:
    """Where the whole of a placed value lies. (Dims that are not cut in equal parts are not cut.)"""
    spec = spec_of(a)
    sizes = dict(zip(a.grid.names, a.grid.shape, strict=True))
    for d, (n, names) in enumerate(zip(a.shape, spec, strict=True)):
        if n % math.prod(sizes[name] for name in names or ()):
            spec[d] = None
    return NamedSharding(a.grid.devices, PartitionSpec(*spec))


_laying: dict[Any, Call] = {}
_tokens: dict[Any, Value] = {}


def constrained(v: Value, where: NamedSharding, device: Any) -> Value:
    """An ordinary value that XLA lays out so."""
    return trace.record_multi(_laying_as(where), (v, _token(where.mesh, device)))[0]


def _laying_as(where: NamedSharding) -> Call:
    call = _laying.get(where)
    if call is None:
        call = _laying[where] = Call(None, None, lambda x, token: jax.lax.with_sharding_constraint(x, where), "lay")
    return call


def _token(mesh: Any, device: Any) -> Value:
    """For want of another, an input that says which devices a program is for."""
    found = _tokens.get(mesh)
    if found is None:
        several.append(True)
        with outside_jit():
            found = _tokens[mesh] = value_of(jax.device_put(np.zeros((), np.int32), NamedSharding(mesh, PartitionSpec())), device)
    return found


def lay(v: Value) -> Value:
    """A placed value whose whole XLA lays out as its aval says."""
    a: Any = v.aval
    return placed(a, constrained(part_of(v), sharding_of(a), a.device))


def lay_all(values: Sequence[Value], avals: tuple[PlacedAval, ...]) -> list[Value]:
    """What lies behind placed values of one grid once XLA has laid it out as the avals say: recorded as one node for all of them."""
    found = _layings.get(avals)
    if found is None:
        token = _token(avals[0].grid.devices, avals[0].device).aval
        found = _layings[avals] = Bundle(_laying_as(sharding_of(avals[0])), tuple([entry_of(_laying_as(sharding_of(a)), (a.whole, token)) for a in avals]), 1)
    tr = state.trace
    if found.device is tr.device and not _config.EAGER:
        refs = trace.inputs_of(tr, [*values, _token(avals[0].grid.devices, found.device)])
        outs = None if refs is None else trace.append(tr, (found, *refs), found.outs)
        if outs is not None:
            return outs
    return [constrained(v, sharding_of(a), a.device) for v, a in zip(values, avals, strict=True)]


_layings: dict[Any, Bundle] = {}
forgetting.remembered.append(_layings)


def spread_out(v: Value, a: PlacedAval) -> Value:
    """An ordinary value that is there, cut and sent to the devices of a grid."""
    several.append(True)
    del several[1:]
    array = trace.force(v)
    if isinstance(array, jax.core.Tracer):
        return lay(placed(a, v))
    with outside_jit():
        where = sharding_of(a)
        if where.is_fully_replicated and isinstance(array, jax.Array):
            array = array.copy()  # JAX makes what lies on a device already a part of the whole, and programs overwrite that
        return placed(a, value_of(jax.device_put(array, where), a.device))


def grid_of_devices(kind: str, numbers: Sequence[int], shape: tuple[int, ...], names: Sequence[str], owner: Any) -> Grid:
    """A grid of this process's devices."""
    there = jax_devices(kind)
    return Grid(shape, None, Mesh(np.array([there[i] for i in numbers]).reshape(shape), tuple(names)), owner, tuple(names))


def part_of_grid(grid: Grid, names: Sequence[str], owner: Any) -> Grid:
    """Some of the dims of a grid. What lies on them lies alike along the others."""
    at = dict(zip(grid.names, grid.shape, strict=True))
    return Grid(tuple(at[n] for n in names), None, grid.devices, owner, tuple(names))


def fitted(v: Value, a: PlacedAval) -> Value:
    """The same value in other places, for memory that lies there."""
    if v.aval is a:
        return v
    if v.aval.__class__ is not PlacedAval:
        v = placed(placed_aval(v.aval, a.grid, (None,) * len(a.places)), v)
    return move(v, a.places)


def _seen(p: Placed) -> Any:
    """The whole, for who looks. (Where each process has its part, all of them must.)"""
    v = placed(p.aval, p.value)
    return np.asarray(trace.force(part_of(v if p.aval.grid.coordinate is None else move(v, (None,) * len(p.aval.places)))))


Placed.seen = _seen  # type: ignore[method-assign]
recording.placed_entry = _made
trace.record_placed = _record
