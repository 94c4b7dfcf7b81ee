"""Running a trace.

The structure of a trace is a key; behind it stands a ``Recipe`` that says how such traces run. Seen for the first time because somebody looked
at a value, a trace of operators that have programs already runs by those, one by one; met again, made of new operators, or ended by ``optimizer.step()``, it is compiled in
segments (``segments.py``), and equal segments share one executable. Values nobody holds are not computed, inputs nobody else holds are donated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import repeat
from operator import eq, itemgetter
from sys import getrefcount
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding
from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch._engine.families import family as families
from jtorch._engine.families.held import Held
from jtorch._engine.host.host_executor import NotOnHost, execute_on_host
from jtorch._engine.planning.liveness import LISTED, held_outputs, needed_nodes
from jtorch._engine.planning import ahead
from jtorch._engine.recording import guards
from jtorch._engine.values import log
from jtorch._engine.recording import gradient_pieces
from jtorch._engine.recording import trace
from jtorch._engine.recording.bundle import Bundle, expanded
from jtorch._engine.recording.entry import NUMBERS, Entry
from jtorch._engine.recording.guards import Checks, Found
from jtorch._engine.recording.program import Program, program_for
from jtorch._engine.planning.segments import SHORT, cut
from jtorch._engine.running import retention, small_looks
from jtorch._engine.values import memory
from jtorch._engine.values.shards import in_use, spread
from jtorch._engine.values.thread_state import state
from jtorch._engine.recording.trace import SCALAR, Trace, settle
from jtorch._engine.values.values import jax_device
from jtorch._engine.recording import undo
from jtorch._engine.values.unbroken import at_once, provided

__all__ = ["execute", "stats"]

# Traces ended by these are expected to come again.
_NOTHING = nullcontext()
_HOT = frozenset(("step", "backward", "module"))
_LOOPS = frozenset(("RnnBackward0", "CtcLossBackward0"))
_MET = 2  # programs of traces met for the first time that an operator is part of
_ALONE = 2  # nodes up to which a program of its own is not worth it


class _Stats:
    """Counters for tests and benchmarks."""

    __slots__ = ("executions", "compilations", "traces", "ahead")

    def __init__(self) -> None:
        self.executions = self.compilations = self.traces = 0
        self.ahead = 0  # executions whose programs had been sent off before they were recorded to the end


stats = _Stats()


class Recipe(retention.Kept):
    """What is known about traces of one structure: how often they came, and their plan."""

    __slots__ = ("needed", "scalars", "plan", "member", "small")

    def __init__(self) -> None:
        super().__init__()
        self.needed: list[int] | None = None
        self.scalars: list[Any] = []  # what they were when it last ran operator by operator
        self.plan: Plan | None = None
        self.member: families.Member | None = None  # how it runs as one of many sizes
        self.small: small_looks.Small | bool | None = False  # how numpy runs it where it is looked at; False: not known yet

    def programs(self) -> list[Any]:
        plan = self.plan
        if plan is None:
            return []
        return [step[0] for step in plan.steps] + ([plan.packing.program] if plan.packing is not None else [])


class Plan:
    """Programs in order. ``steps``: (program, gather, outputs, scalar slots, dead after).

    ``scalars`` are the runtime scalars of the last run; all but the ``dynamic`` ones are constants in the programs. ``checks``: (slot, what it is of) of what guards find.
    ``ahead``: they were compiled ahead, several at a time, for inputs on one device; a sharded program is compiled when it runs.
    ``asked``, ``packing``: outputs that are wanted end to end, and the program that gives them so (``gradient_pieces.py``).
    """

    __slots__ = ("steps", "inputs", "size", "checks", "ahead", "asked", "packing", "scalars", "dynamic")
    steps: list[Any]
    inputs: int
    size: int
    ahead: bool
    asked: list[Any]
    packing: gradient_pieces.Packing | None
    checks: list[Any]
    scalars: list[Any]
    dynamic: frozenset[int]

    def run(self, arrays: list[Any], scalars: list[Any], live: Sequence[int] = (), held: Any = ()) -> Run:
        """A run of it on these arrays, not begun yet."""
        return Run(self, arrays, scalars, live, held)

    def at_a_stroke(self, arrays: list[Any]) -> list[Any] | None:
        """What its one program gives, which takes nothing for itself, has no scalars and no guards, so that nothing is lost where this is interrupted. None if that has not run yet."""
        program, gather, _, _, _ = self.steps[0]
        packing = self.packing
        if packing is not None and packing.ready():
            program = packing
        return None if self.asked or program.native is None else program.at_a_stroke(gather(arrays))


class Run:
    """One execution of a plan, as far as it has come: ``at`` is the step that is next, and below zero while step ``~at`` is done elsewhere (``helper``).

    A step takes place as a whole, its results put into ``vals`` included, or not at all. So whoever is interrupted leaves a run that can go on (:meth:`finish`), and a handler
    that interrupts it may go on with it."""

    __slots__ = ("plan", "vals", "scalars", "at", "helper", "live", "held", "laid_out", "checked")

    def __init__(self, plan: Plan, arrays: list[Any], scalars: list[Any], live: Sequence[int] = (), held: Any = ()) -> None:
        """``arrays``: the inputs; the list is used up. ``live``, ``held``: the outputs that are wanted, and their values."""
        arrays.extend([None] * (plan.size - len(arrays)))
        self.plan, self.vals, self.scalars, self.live, self.held = plan, arrays, scalars, live, held
        self.at = 0
        self.helper: Any = None
        self.checked = plan.checks
        self.laid_out: Any = None  # what makes of results what values hold, where they are padded

    def finish(self) -> list[Any]:
        """Run what has not run yet. All slots that are left."""
        plan, vals = self.plan, self.vals
        steps = plan.steps
        if plan.asked and self.at == 0:
            gradient_pieces.begin(plan)
            stats.compilations += 1
        while True:
            k = self.at
            if k < 0:
                self.helper.wait()
                if self.at == k:  # it failed, and said so to another; once more
                    self.at = ~k
                continue
            if k == len(steps):
                return vals
            program, gather, outs, slots, dead = steps[k]
            packing = plan.packing
            if packing is not None and packing.ready():
                program = packing
            given = gather(vals)
            if slots is not None:
                given = (*slots_of(slots, self.scalars), *given)
            results: list[Any] = []
            after = (map(vals.__setitem__, dead, repeat(None)), map(vals.__setitem__, outs, results), map(setattr, (self,), ("at",), (k + 1,)))
            if program.native is not None:
                at_once(provided(map(eq, map(getattr, (self,), ("at",)), (k,)), program.into(given, results), *after))
            else:
                helper = program.first(given, partial(self._put, results, after))
                if self.at == k:  # no call in between
                    self.helper, self.at = helper, ~k
            del given, after

    @staticmethod
    def _put(results: list[Any], after: Any, found: list[Any]) -> None:
        at_once(map(results.extend, (found,)), *after)

    def results(self) -> list[Any]:
        """The wanted outputs of a finished run."""
        n_in, vals = self.plan.inputs, self.vals
        out = [vals[n_in + i] for i in self.live]
        return out if self.laid_out is None else self.laid_out(out)

    def found(self) -> list[Found]:
        """What its guards have found."""
        return [(self.vals[slot], every) for slot, every in self.checked]


_recipes: dict[Any, Recipe] = {}
retention.kept_in.append((_recipes, lambda key: key[0]))
retention.told.append(lambda: ahead.forget(set(_recipes.values())))


def execute(tr: Trace, why: str) -> None:
    """Compute the outputs of a trace that are still held. It has been taken: nothing more is recorded into it. Where this is interrupted, or fails, it can be asked for again."""
    with tr.lock:
        if not tr.nodes:
            return
        watched = tr.guards
        try:
            found = _execute(tr, why)
        except Exception:
            if tr.nodes:
                raise
            return  # a handler came in between and did it all
    if retention.full():
        retention.sweep(stats.executions)
    if found:
        guards.ran(found, tuple([g[3] for g in watched]), why)


def _execute(tr: Trace, why: str) -> list[Found]:
    if tr.host:
        try:
            execute_on_host(tr)
            return []
        except NotOnHost:
            if state.host_only:
                raise
    if tr.run is None:
        checks = guards.taken(tr) if tr.guards else ()
        tr.input_pos = {}  # so that the list alone holds what nobody else does
        live, held = held_outputs(tr)
        stats.executions += 1
        log.trace(tr, why, len(live))
        if not live and not checks:
            settle(tr, [], [])
            return []
        if state.undo:
            undo.ran(tr, live, held)
        inputs, nodes = tr.inputs, tr.nodes
        # Held by the list alone; and nobody but the value holds the array. (Of one on the host the program has a copy.)
        donated = [
            i for i, n in enumerate(map(getrefcount, inputs)) if n <= LISTED and (getrefcount(inputs[i].array) <= 2 or inputs[i].array.__class__ is np.ndarray)
        ]
        key: Any = (tuple(nodes), tuple(live), tuple(donated), checks)
        if in_use and not _on_one_device([v.array for v in inputs]):
            key += ("several",)
        recipe = _recipes.get(key)
        if recipe is None:
            recipe = _recipes.setdefault(key, Recipe())
            recipe.member = families.join(tr, live, checks)
        recipe.seen += 1
        recipe.used = stats.executions
        arrays = [v.array for v in inputs]
        if families.in_use:
            families.exact(tr, arrays, recipe.member)
        begun = tr.begun
        ready = None if begun is None else begun.found(tr, recipe)
        if ready is not None:
            stats.ahead += 1
            settle(tr, held, ready)
            return []
        if why == "look" and recipe.small is not None and not checks:
            results = _run_small(tr, recipe, arrays, live)
            if results is not None:
                settle(tr, held, results)
                return []
        hot = (why in _HOT or recipe.seen > 1 or (why == "look" and _worth_a_program(nodes))) and (len(nodes) > _ALONE or nodes[-1][0].__class__ is Bundle)
        with jax.ensure_compile_time_eval() if _being_traced() else _NOTHING:
            run = _member_run(recipe, tr, arrays, live, held, donated, checks, why) if recipe.member is not None else None
            if run is not None:
                state.ran = recipe
            elif hot:
                plan = plan_for(tr, recipe, checks, arrays, live, donated, why)
                if why == "backward":
                    state.ran = recipe
                    if begun is not None and len(key) == 4:
                        ahead.learn(begun, recipe, key, inputs)
                run = plan.run(arrays, tr.scalars, live, held)
            else:
                tr.nodes = expanded(nodes)
                results, found = _run_alone(tr, recipe, checks, arrays, live)
                settle(tr, held, results)
                return found
        if tr.run is None and tr.nodes:  # no handler has begun it, or even done it
            tr.run = run
        del run, arrays
    run = tr.run
    if run is None:
        return []
    with jax.ensure_compile_time_eval() if _being_traced() else _NOTHING:
        run.finish()
    checked: list[Found] = run.found()
    settle(tr, run.held, run.results())
    return checked


trace.executor = execute


def _worth_a_program(nodes: list[tuple[Any, ...]]) -> bool:
    """Whether a trace that is met for the first time is compiled as a whole: one program is sooner there than one for each of its operators, and gives the digits that it gives the next
    time. Operators that have been in several such traces get programs of their own: what is never the same twice runs by those."""
    if len(nodes) > SHORT or any([node[0].__class__ is Bundle for node in nodes]):
        return False
    fresh = {node[0] for node in nodes if node[0]._run is None and node[0].met < _MET}
    if len(fresh) < 2:
        return False
    for entry in fresh:
        entry.met += 1
    return True


def _member_run(recipe: Recipe, tr: Trace, arrays: list[Any], live: list[int], held: Any, donated: list[int], checks: Checks, why: str) -> Run | None:
    """A run of a family's program; None if the trace is to run by its exact shapes."""
    member = recipe.member
    if member is not None and not member.outgrown(recipe.seen) and _on_one_device(arrays):
        made = member.prepare(tr, arrays, live, donated, checks, why, _planned, Recipe)
        if made is not None:
            plan, given, laid_out, checked = made
            run = plan.run(given, tr.scalars, live, held)
            run.laid_out, run.checked = laid_out, checked
            return run  # type: ignore[no-any-return]
    recipe.member = None
    families.exact(tr, arrays, None)  # what stayed padded for the family's program
    return None


def _run_small(tr: Trace, recipe: Recipe, arrays: list[Any], live: list[int]) -> list[Any] | None:
    """What numpy makes of a trace that is looked at; None if it is not for numpy."""
    steps = recipe.small
    if steps is False:
        steps = recipe.small = None if _being_traced() else small_looks.small(tr, live)
    if steps is None or not all([a.__class__ is np.ndarray or (a.__class__ is not Held and len(a.devices()) == 1) for a in arrays]):
        return None
    recipe.scalars = tr.scalars
    return small_looks.run(steps, arrays, tr.scalars, live)  # type: ignore[arg-type]


def _run_alone(tr: Trace, recipe: Recipe, checks: Checks, arrays: list[Any], live: list[int]) -> tuple[list[Any], list[Found]]:
    spread(arrays, tr.inputs)
    nodes = tr.nodes
    if recipe.needed is None:
        recipe.needed = needed_nodes(nodes, _wanted(live, checks))
    needed = set(recipe.needed) if len(recipe.needed) < len(nodes) else None
    fresh = [k for k in recipe.needed if nodes[k][0]._run is None] if recipe.seen == 1 else []
    before = memory.in_use() if fresh else 0
    scalars = recipe.scalars = tr.scalars
    vals: list[Any] = []
    for k, node in enumerate(nodes):
        entry: Entry = node[0]
        if needed is not None and k not in needed:
            vals.extend([None] * len(entry.outs))
            continue
        out = entry.run(*[vals[p] if p >= 0 else arrays[-1 - p] if p > SCALAR else _array_of(scalars[SCALAR - p]) for p in node[1:]])
        if entry.out is not None:
            vals.append(out)
        else:
            vals.extend(out)
    if fresh:
        retention.charge(recipe, retention.measured(before, len(fresh)))
    found = []
    if checks:
        indices = [vals[p] if p >= 0 else arrays[-1 - p] for p, _, _ in checks]
        entry, every = guards.node_for([what for _, what, _ in checks], range(len(checks)))
        found.append((entry.run(*indices), every))
    return [vals[i] for i in live], found


def _wanted(live: Sequence[int], checks: Checks) -> Sequence[int]:
    return [*live, *[p for p, _, _ in checks if p >= 0]] if checks else live


def _array_of(number: Any) -> Any:
    """A Python number as a strongly typed 0-dim array."""
    return np.asarray(number)


def plan_for(tr: Trace, recipe: Recipe, checks: Checks, arrays: list[Any], live: Sequence[int], donated: list[int], why: str) -> Plan:
    """The recipe's plan. What numpy holds among ``arrays`` is put on the device if the plan wants it there."""
    plan = _planned(tr, recipe, checks, arrays, live, donated, why, None)
    if not plan.ahead:
        spread(arrays, tr.inputs)
    return plan


def _planned(
    tr: Trace, recipe: Recipe, checks: Checks, arrays: list[Any], live: Sequence[int], donated: list[int], why: str, ahead: bool | None = False
) -> Plan:
    """The recipe's plan, which is made if there is none or numbers that were constants in it have changed. ``ahead``: whether it is compiled ahead; None: if its inputs allow that."""
    scalars = tr.scalars
    plan = recipe.plan
    if plan is None:
        tr.nodes = expanded(tr.nodes)
        dynamic = _always_dynamic(tr.nodes)
        if recipe.seen > 1:  # what changed since it last ran operator by operator will change again
            dynamic |= _changed(scalars, recipe.scalars)
        plan = _made(tr, recipe, dynamic, checks, arrays, live, donated, why, ahead)
    elif scalars != plan.scalars or 0 in scalars:  # -0.0 equals 0.0
        fresh = _changed(scalars, plan.scalars) - plan.dynamic
        if fresh:
            tr.nodes = expanded(tr.nodes)
            log.scalars_changed(tr, fresh, plan.scalars)
            plan = _made(tr, recipe, fresh | plan.dynamic, checks, arrays, live, donated, why, ahead)
        plan.scalars = list(scalars)
    return plan


def _made(
    tr: Trace, recipe: Recipe, dynamic: set[int] | frozenset[int], checks: Checks, arrays: list[Any], live: Sequence[int], donated: list[int], why: str, ahead: bool | None,
    successors: dict[int, int] | None = None, whole: bool = False,
) -> Plan:
    if ahead is None:
        ahead = _on_one_device(arrays)
    before = memory.in_use()
    plan = recipe.plan = _make_plan(tr, dynamic, checks, live, donated, why, ahead, successors, whole)
    retention.made(recipe, before, len(tr.nodes))
    return plan


def _changed(now: list[Any], before: list[Any]) -> set[int]:
    return {i for i, (a, b) in enumerate(zip(now, before, strict=False)) if a != b or a.__class__ is not b.__class__ or (a == 0 and str(a) != str(b))}


def slots_of(groups: Any, scalars: Sequence[Any]) -> list[Any]:
    """The runtime scalars of a program, packed by class: one array each."""
    return [np.array([scalars[i] for i in slots], kind) for kind, slots in groups]


def _is_update(node: tuple[Any, ...]) -> bool:
    op = node[0].call.op
    return op is not None and op.runtime_scalars


def _always_dynamic(nodes: list[tuple[Any, ...]]) -> set[int]:
    """Scalars of operators that say theirs change (an optimizer's learning rate and step)."""
    found: set[int] = set()
    for node in nodes:
        if _is_update(node):
            found.update(SCALAR - p for p in node[1:] if p <= SCALAR)
    return found


def _on_one_device(arrays: list[Any]) -> bool:
    return all(a.__class__ is np.ndarray or len(a.devices()) == 1 for a in arrays)


def _make_plan(
    tr: Trace, dynamic: set[int] | frozenset[int], checks: Checks, live: Sequence[int], donated: list[int], why: str, ahead: bool,
    successors: dict[int, int] | None = None, whole: bool = False,
) -> Plan:  # fmt: skip
    """Cut the trace into segments and find (or compile) the program of each. ``ahead``: compile it now, for inputs on the trace's device. ``successors``: which output takes the place of
    a donated input. ``whole``: one program, however long."""
    nodes = tr.nodes
    n_in = len(tr.inputs)
    first: list[int] = []
    owner: list[int] = []
    for k, node in enumerate(nodes):
        first.append(len(owner))
        owner.extend([k] * len(node[0].outs))
    needed = needed_nodes(nodes, _wanted(live, checks))
    place = {k: i for i, k in enumerate(needed)}
    tokens = [id(nodes[k][0]) for k in needed]
    reads = [[place[owner[p]] for p in nodes[k][1:] if p >= 0] for k in needed]
    updates = [_is_update(nodes[k]) for k in needed]
    # A checkpoint's second run begins a program: only so is what it computes again not there before, on every backend.
    walls = [i for i, k in enumerate(needed) if nodes[k][0].call.name == "barrier"]
    # XLA's CPU compiler copies what a loop leaves behind for another loop of the same program: the first loop backward begins one too.
    walls += [i for i, k in enumerate(needed) if nodes[k][0].call.name in _LOOPS][:1]
    held = [place[owner[i]] for i in live]
    bounds = sorted({0, *(() if whole else cut(tokens, reads, updates, lambda i: nodes[needed[i]][0].weight(), held)), *walls, len(needed)})

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
    plan.asked, plan.packing = [], None
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
