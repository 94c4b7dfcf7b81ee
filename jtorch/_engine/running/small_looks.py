"""Looks at little: a condition, an index, the largest of a few numbers, computed by numpy where the value is looked at.

A program of XLA's costs ten microseconds to call, and as much again to wait for where it is worth a thread to XLA; numpy does such a step in one. So a short trace whose values are small
and whose operations have one right answer (comparisons, rounded arithmetic, choices, layouts, sums of integers: nothing transcendental) is not sent off at all. What else is pending runs as always.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jax.extend.core import Literal

from jtorch import _device
from jtorch._engine.host.host_executor import NotOnHost, function_on_host, host_function, jaxpr_of
from jtorch._engine.recording import kept
from jtorch._engine.recording.bundle import Bundle
from jtorch._engine.recording.entry import Entry
from jtorch._engine.recording.identity import of_node
from jtorch._engine.recording.needed import needed_nodes
from jtorch._engine.recording.trace import SCALAR, Trace

__all__ = ["BEGIN", "FIRST", "LOOK", "Small", "run", "small"]


class Limits(NamedTuple):
    """What is worth it."""

    kind: str
    nodes: int  # of a trace
    operations: int
    bytes: int  # of one value


LOOK = Limits("look", 10, 32, 4096)
FIRST = Limits("first", 64, 256, 1 << 20)  # what was never looked at before, and may never be again: numpy takes milliseconds at most, where a program takes XLA a tenth of a second
BEGIN = Limits("begin", 2000, 4000, 1 << 22)  # what a model's parameters begin with: once each, where a program would be compiled for it
_EXACT = frozenset(
    "add sub mul div rem max min neg abs sign floor ceil round sqrt is_finite clamp eq ne lt le gt ge and or xor not select_n convert_element_type shift_left "
    "shift_right_arithmetic shift_right_logical broadcast_in_dim reshape squeeze expand_dims transpose rev concatenate slice split iota copy copy_p stop_gradient "
    "reduce_and reduce_or reduce_max reduce_min argmax argmin gather scatter dynamic_slice dynamic_update_slice pad sort unstack stack tile cummax cummin square "
    "bitcast_convert_type clz population_count le_to lt_to eq_to".split()
)
_EXACT_ON_INTEGERS = frozenset("reduce_sum reduce_prod reduce_xor cumsum cumprod dot_general integer_pow scatter-add scatter_add".split())
_ROUNDED = frozenset("add sub mul div rem square sqrt integer_pow".split())
_ENDS = frozenset("abs sign floor ceil round max min clamp reduce_max reduce_min cummax".split())  # across these XLA puts nothing together
_INNER = ("jaxpr", "call_jaxpr")

Step = tuple[Callable[..., list[np.ndarray]] | None, tuple[int, ...], int]


class Small(NamedTuple):
    """How numpy runs a trace."""

    steps: tuple[Step, ...]  # (a function, or None if what it gives is not needed; what it reads; how many outputs it has)
    live: Sequence[int]  # which of the outputs are wanted


def small(tr: Trace, live: Sequence[int], most: Limits = LOOK) -> Small | None:
    """How numpy runs traces like this one; None if they are to be programs."""
    nodes = tr.nodes
    if tr.device is not _device.CPU or len(nodes) > most.nodes or any([v.aval.nbytes > most.bytes for v in tr.inputs]):
        return None
    needed = set(needed_nodes(nodes, live))
    room: float = most.operations
    traced: dict[Entry, Any] = {}
    for k in needed:
        entry = nodes[k][0]
        if entry.__class__ is Bundle or any([a.nbytes > most.bytes for a in entry.outs]):
            return None
        if not entry.fills():
            room -= _cost_of(entry, most, traced)
            if room < 0:
                return None
    if most is FIRST and _rounds_in_a_row(nodes, needed, traced):
        return None
    try:
        return _as_one(nodes, needed, live, traced) if most is not BEGIN else Small(tuple([_alone(node, k in needed) for k, node in enumerate(nodes)]), live)
    except NotOnHost:
        return None


def _alone(node: tuple[Any, ...], needed: bool) -> Step:
    entry, *refs = node
    run: Any = None if not needed else partial(_filled, entry.outs[0].shape, entry.outs[0].dtype.np) if entry.fills() else function_on_host(entry)
    return run, tuple(refs), len(entry.outs)


def _as_one(nodes: Sequence[Any], needed: set[int], live: Sequence[int], traced: dict[Entry, Any]) -> Small:
    """All nodes as one function: what comes again is run from one line to the next. ``traced``: entries' jaxprs that are known."""
    made = host_function()
    given: dict[int, Any] = {}
    vals: list[Any] = []
    for k, (entry, *refs) in enumerate(nodes):
        if k not in needed:
            vals.extend([None] * len(entry.outs))
            continue
        for p in refs:
            if p < 0 and p not in given:
                given[p] = made.input()
        ins = [vals[p] if p >= 0 else given[p] for p in refs]
        if entry.fills():
            vals.extend(made.call(partial(_filled, entry.outs[0].shape, entry.outs[0].dtype.np), ins, 1))
        else:
            vals.extend(made.run(traced.get(entry) or jaxpr_of(entry), ins))
    run = made.function(list(given.values()), [vals[p] for p in live])
    return Small(((run, tuple(given), len(live)),), range(len(live)))


def _filled(shape: tuple[int, ...], kind: Any, before: np.ndarray, value: Any = 0) -> list[np.ndarray]:
    """What ``fill_`` and ``zero_`` leave. JAX is not asked: every model begins with them."""
    return [np.full(shape, value, kind)]


def _cost_of(entry: Entry, most: Limits, traced: dict[Entry, Any]) -> float:
    name = kept.name(of_node, entry)
    key, known = (None, None) if name is None else kept.fact(most.kind, name, entry.device)
    if known is None:
        closed = traced[entry] = jaxpr_of(entry)
        known = _cost(closed.jaxpr, most.bytes)
        kept.keep_fact(key, known)
    return known  # type: ignore[no-any-return]


def _cost(jaxpr: Any, most: int) -> float:
    """How many operations it is; infinite if one of them is large or has not one right answer."""
    count: float = 0
    for eqn in jaxpr.eqns:
        inner = [eqn.params[key] for key in _INNER if key in eqn.params]
        if inner and eqn.primitive.name in ("jit", "pjit", "closed_call", "custom_jvp_call"):
            count += _cost(getattr(inner[0], "jaxpr", inner[0]), most)
        elif (eqn.primitive.name in _EXACT or _has_one_answer(eqn)) and all([_fits(v, most) for v in (*eqn.invars, *eqn.outvars)]):
            count += 1
        else:
            return math.inf
    return count


def _has_one_answer(eqn: Any) -> bool:
    name = eqn.primitive.name
    if name == "integer_pow" and eqn.params["y"] == 2:
        return True
    return name in _EXACT_ON_INTEGERS and np.dtype(eqn.outvars[0].aval.dtype).kind in "biu" and eqn.params.get("y", 0) >= 0


def _rounds_in_a_row(nodes: Sequence[Any], needed: set[int], traced: dict[Entry, Any]) -> bool:
    """Whether one rounded operation reads what another has rounded: XLA may make one of the two (a product that is added, a division of a quotient), and what is looked at
    once more, then by a program, must have the same digits."""
    flags: list[Any] = []
    try:
        for k, (entry, *refs) in enumerate(nodes):
            if k not in needed or entry.fills():
                flags.extend([False] * len(entry.outs))
                continue
            closed = traced.get(entry)
            if closed is None:
                closed = traced[entry] = jaxpr_of(entry)
            flags.extend(_rounded(closed.jaxpr, [p >= 0 and flags[p] for p in refs]))
    except _InARowError:
        return True
    return False


class _InARowError(Exception):
    pass


def _rounded(jaxpr: Any, given: Sequence[bool]) -> list[bool]:
    """Which outputs are rounded results as they are, or moved about."""
    flags = dict(zip(jaxpr.invars, given, strict=True))
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        ins = [not isinstance(v, Literal) and flags.get(v, False) for v in eqn.invars]
        inner = [eqn.params[key] for key in _INNER if key in eqn.params]
        outs: Sequence[bool]
        if inner:
            outs = _rounded(getattr(inner[0], "jaxpr", inner[0]), ins)
        elif name in _ROUNDED and np.dtype(eqn.outvars[0].aval.dtype).kind == "f":
            if any(ins):
                raise _InARowError
            outs = [True]
        else:
            outs = [any(ins) and name not in _ENDS and np.dtype(v.aval.dtype).kind == "f" for v in eqn.outvars]
        flags.update(zip(eqn.outvars, outs, strict=True))
    return [not isinstance(v, Literal) and flags.get(v, False) for v in jaxpr.outvars]


def _fits(v: Any, most: int) -> bool:
    kind = np.dtype(v.aval.dtype)
    return kind.kind in "biuf" and (kind.kind != "f" or kind.itemsize > 2) and (isinstance(v, Literal) or v.aval.size * kind.itemsize <= most)


def run(how: Small, arrays: Sequence[Any], scalars: Sequence[Any], first: bool = False) -> list[np.ndarray] | None:
    """The live outputs. ``arrays``: the inputs, on the host or the cpu. None for a first look that meets subnormal numbers, which programs take for zeros."""
    given = [a if a.__class__ is np.ndarray else np.asarray(a) for a in arrays]
    made: list[Any] = []
    with _quiet():
        for function, refs, count in how.steps:
            if function is None:
                made.extend([None] * count)
            else:
                made.extend(function(*[made[p] if p >= 0 else given[-1 - p] if p > SCALAR else np.asarray(scalars[SCALAR - p]) for p in refs]))
    if first and any([a is not None and _subnormal(a) for a in (*given, *made)]):
        return None
    # A part of another array would keep that alive, and values must not share memory with what a program may be given for its own.
    found = map(made.__getitem__, how.live)  # numpy gives scalars of its own where there are no dims
    return [a if a.__class__ is np.ndarray and a.base is None and a.flags.writeable and a.flags.c_contiguous else np.array(a, order="C") for a in found]


def _subnormal(a: Any) -> bool:
    """Whether there is a number that is not zero and below what the type has all digits of."""
    kind = a.dtype
    if kind.kind != "f":
        return False
    size = np.abs(a)
    return bool(((size < np.finfo(kind).tiny) & (size > 0)).any())


def _quiet() -> Any:
    return np.errstate(all="ignore")
