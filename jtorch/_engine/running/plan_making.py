"""Making a plan: a trace is cut into segments, and the program of each is found or compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import jax
from jax.sharding import SingleDeviceSharding

from jtorch._engine.planning.segments import cut
from jtorch._engine.recording import guards
from jtorch._engine.recording.entry import NUMBERS, Entry
from jtorch._engine.recording.guards import Checks
from jtorch._engine.recording.needed import needed_nodes
from jtorch._engine.recording.program import Program, program_for
from jtorch._engine.recording.trace import SCALAR, Trace
from jtorch._engine.running.plan import Plan, stats
from jtorch._engine.values.values import Aval, jax_device

__all__ = ["always_dynamic", "make_plan", "wanted"]

_FEW = 4  # nodes before a wall that are no program of their own
_LOOPS = frozenset(("RnnBackward0", "CtcLossBackward0"))


def wanted(live: Sequence[int], checks: Checks) -> Sequence[int]:
    return [*live, *[p for p, _, _ in checks if p >= 0]] if checks else live


def _is_update(node: tuple[Any, ...]) -> bool:
    return node[0].call.runtime_scalars  # type: ignore[no-any-return]


def always_dynamic(nodes: list[tuple[Any, ...]]) -> set[int]:
    """Scalars of operators that say theirs change (an optimizer's learning rate and step)."""
    found: set[int] = set()
    for node in nodes:
        if _is_update(node):
            found.update(SCALAR - p for p in node[1:] if p <= SCALAR)
    return found


def make_plan(
    tr: Trace, dynamic: set[int] | frozenset[int], checks: Checks, live: Sequence[int], donated: list[int], why: str, ahead: bool,
    successors: dict[int, int] | None = None, whole: bool = False, wide: bool = False,
) -> Plan:  # fmt: skip
    """Cut the trace into segments and find (or compile) the program of each. ``ahead``: compile it now, for inputs on the trace's device. ``successors``: which output takes the place of
    a donated input. ``whole``: one program, however long. ``wide``: see ``cut``."""
    nodes = tr.nodes
    n_in = len(tr.inputs)
    first: list[int] = []
    owner: list[int] = []
    for k, node in enumerate(nodes):
        first.append(len(owner))
        owner.extend([k] * len(node[0].outs))
    needed = needed_nodes(nodes, wanted(live, checks))
    place = {k: i for i, k in enumerate(needed)}
    tokens = [id(nodes[k][0]) for k in needed]
    reads = [[place[owner[p]] for p in nodes[k][1:] if p >= 0] for k in needed]
    updates = [_is_update(nodes[k]) for k in needed]
    # A checkpoint's second run begins a program: only so is what it computes again not there before, on every backend.
    walls = [i for i, k in enumerate(needed) if nodes[k][0].call.name in (("barrier",) if wide else ("barrier", "barrier_of_parts"))]
    # XLA's CPU compiler copies what a loop leaves behind for another loop of the same program: the first loop backward begins one too.
    walls += [i for i, k in enumerate(needed) if nodes[k][0].call.name in _LOOPS][:1]
    held = [place[owner[i]] for i in live]
    # Not of sizes that are symbols.
    sizes = [sum([a.nbytes for a in nodes[k][0].outs]) for k in needed] if ahead and all([a.__class__ is Aval for k in needed for a in nodes[k][0].outs]) else None
    cuts = () if whole else cut(tokens, reads, updates, lambda i: nodes[needed[i]][0].weight(), held, wide, sizes)
    bounds = sorted({0, *(c for c in cuts if not any([0 < w - c < _FEW for w in walls])), *walls, len(needed)})

    # When each slot (inputs first, then outputs) is read for the last time, by segment.
    segment_of: dict[int, int] = {}
    for s in range(len(bounds) - 1):
        for i in range(bounds[s], bounds[s + 1]):
            segment_of[needed[i]] = s
    last_read: dict[int, int] = {}
    for k in needed:
        for p in nodes[k][1:]:
            if p > SCALAR:
                last_read[n_in + p if p >= 0 else -1 - p] = segment_of[k]
    # An index is checked in the segment that uses it: its program has one more output, however many there are.
    checked: dict[int, list[tuple[int, Any, int]]] = {}
    for i, (p, what, user) in enumerate(checks):
        used_in = segment_of.get(owner[user]) if user < len(owner) else None
        s = used_in if used_in is not None else segment_of[owner[p]] if p >= 0 else 0  # without one, what it was for is not computed
        slot = n_in + p if p >= 0 else -1 - p
        checked.setdefault(s, []).append((slot, what, i))
        last_read[slot] = max(s, last_read.get(slot, s))
    live_slots = {n_in + i for i in live}
    gone = set(donated)

    plan = Plan()
    plan.inputs, plan.size, plan.checks, plan.ahead = n_in, n_in + len(owner), [], ahead
    plan.asked, plan.packing, plan.watch, plan._places = [], None, None, (None, None)
    plan.scalars, plan.dynamic = list(tr.scalars), frozenset(dynamic)
    steps = []
    fresh: list[Program] = []
    here = SingleDeviceSharding(jax_device(tr.device)) if ahead else None
    for s in range(len(bounds) - 1):
        part = needed[bounds[s] : bounds[s + 1]]
        if not part and s not in checked:
            continue
        inside: dict[int, int] = {}  # slot -> number inside the program
        ins: list[int] = []
        in_number: dict[int, int] = {}
        groups: dict[type, dict[int, int]] = {}
        body: list[tuple[Any, ...]] = []
        made: list[int] = []

        def ref(slot: int, inside: Any = inside, ins: Any = ins, in_number: Any = in_number) -> int:
            if slot in inside:
                return inside[slot]  # type: ignore[no-any-return]
            j = in_number.get(slot)
            if j is None:
                j = in_number[slot] = len(ins)
                ins.append(slot)
            return -1 - j  # type: ignore[no-any-return]

        for k in part:
            entry: Entry = nodes[k][0]
            refs: list[Any] = []
            for p in nodes[k][1:]:
                if p <= SCALAR:
                    i = SCALAR - p
                    if i in dynamic:
                        kind = tr.scalars[i].__class__
                        group = groups.setdefault(kind, {})  # several nodes may read one scalar
                        refs.append(("s", kind, group.setdefault(i, len(group))))
                    else:
                        number = tr.scalars[i]
                        refs.append(("c", number.__class__, number, str(number) if number == 0 else ""))
                    continue
                refs.append(ref(n_in + p if p >= 0 else -1 - p))
            body.append((entry, *refs))
            for q in range(len(entry.outs)):
                slot = n_in + first[k] + q
                inside[slot] = len(made)
                made.append(slot)
        outs = [slot for slot in made if slot in live_slots or last_read.get(slot, -1) > s]
        dead = [slot for slot in ins if last_read.get(slot) == s and slot not in live_slots and (slot >= n_in or slot in gone)]
        spare = _donatable(ins, dead, outs, nodes, owner, first, tr, n_in)
        if successors:
            outs = _in_order(ins, spare, outs, {i: n_in + o for i, o in successors.items()}, partial(_aval, nodes=nodes, owner=owner, first=first, tr=tr, n_in=n_in))
        if s in checked:
            check, every = guards.node_for([what for _, what, _ in checked[s]], [i for _, _, i in checked[s]])
            body.append((check, *[ref(slot) for slot, _, _ in checked[s]]))
            inside[plan.size] = len(made)
            outs.append(plan.size)
            plan.checks.append((plan.size, every))
            plan.size += 1
        key = Program.key(body, [inside[slot] for slot in outs], spare) + (() if ahead else ((),))  # never one that is compiled for one device
        program, new = program_for(key, why)
        slots = tuple((kind, tuple(groups[kind])) for kind in groups) or None
        if new:
            stats.compilations += 1
            if here is not None:
                given = [jax.ShapeDtypeStruct((len(of),), NUMBERS[kind].dtype) for kind, of in slots or ()]
                for slot in ins:
                    a = _aval(slot, nodes, owner, first, tr, n_in)
                    given.append(jax.ShapeDtypeStruct(a.shape, a.dtype.np, sharding=here))
                program.compile(given)
        if here is not None:
            fresh.append(program)  # if it is not new, a run that was interrupted, or another thread, may be compiling it
        steps.append((program, _gather(ins), outs, slots, dead))
    for program in fresh:
        program.ready()
    plan.steps = steps
    return plan


def _in_order(ins: list[int], spare: tuple[int, ...], outs: list[int], successors: dict[int, int], aval_of: Callable[[int], Any]) -> list[int]:
    """The outputs so that JAX, which gives the n-th donated input to the n-th output of its shape and type, gives each to the one that follows it: else XLA copies both."""
    wanted = [successors.get(ins[j]) for j in spare]
    taken = set(wanted) & set(outs)
    rest = [slot for slot in outs if slot not in taken]
    ordered: list[Any] = []
    for j, slot in zip(spare, wanted, strict=True):
        if slot is None or slot not in taken:
            slot = next((o for o in rest if aval_of(o) is aval_of(ins[j])), None)
            if slot is None:
                continue
            rest.remove(slot)
        ordered.append(slot)
    return ordered + rest


def _gather(ins: list[int]) -> Any:
    if not ins:
        return lambda vals: ()
    if len(ins) == 1:
        only = ins[0]
        return lambda vals: (vals[only],)
    return itemgetter(*ins)


def _aval(slot: int, nodes: Any, owner: Any, first: Any, tr: Trace, n_in: int) -> Any:
    if slot < n_in:
        return tr.inputs[slot].aval
    k = owner[slot - n_in]
    return nodes[k][0].outs[slot - n_in - first[k]]


def _donatable(ins: list[int], dead: list[int], outs: list[int], nodes: Any, owner: Any, first: Any, tr: Trace, n_in: int) -> tuple[int, ...]:
    """Dead inputs that an output of the same aval can take the place of. Trace inputs come first: they are the parameters."""
    room: dict[Any, int] = {}
    for slot in outs:
        a = _aval(slot, nodes, owner, first, tr, n_in)
        room[a] = room.get(a, 0) + 1
    dead_set, chosen = set(dead), []
    for j, slot in enumerate(ins):
        if slot in dead_set:
            a = _aval(slot, nodes, owner, first, tr, n_in)
            if room.get(a, 0):
                room[a] -= 1
                chosen.append(j)
    return tuple(chosen)
