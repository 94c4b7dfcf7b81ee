"""Running a trace.

The structure of a trace is a key; behind it stands a ``Recipe`` that says how such traces run. Seen for the first time because somebody looked
at a value, a trace of operators that have programs already runs by those, one by one; met again, made of new operators, or ended by ``optimizer.step()``, ``backward()`` or a module's
next call, it is compiled in segments (``segments.py``), and equal segments share one executable. Values nobody holds are not computed, inputs nobody else holds are donated.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np
from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch._engine.families import family as families
from jtorch._engine.families.held import Held
from jtorch._engine.host.host_executor import NotOnHost, execute_on_host
from jtorch._engine.planning.liveness import LISTED, held_outputs
from jtorch._engine.planning import ahead
from jtorch._engine.recording import guards
from jtorch._engine.values import log
from jtorch._engine.recording import trace
from jtorch._engine.recording.bundle import Bundle, expanded
from jtorch._engine.recording.entry import Entry
from jtorch._engine.recording.guards import Checks, Found
from jtorch._engine.planning.segments import SHORT
from jtorch._engine.running import retention, small_looks
from jtorch._engine.running.donations import settled
from jtorch._engine.running.plan import Plan, Run, stats
from jtorch._engine.running.plan_making import always_dynamic, make_plan, wanted
from jtorch._engine.values import shards
from jtorch._engine.values.rows import own
from jtorch._engine.values.shards import in_use, on_one_device, sent, spread
from jtorch._engine.values.values import outside_jit
from jtorch._engine.values.thread_state import state
from jtorch._engine.recording.needed import needed_nodes
from jtorch._engine.recording.trace import SCALAR, Trace, at_a_stroke, settle
from jtorch._engine.recording import undo

__all__ = ["execute", "stats"]

_HOT = frozenset(("step", "backward", "module"))  # traces ended by these are expected to come again
_MET = 2  # programs of traces met for the first time that an operator is part of
_MANY = 12  # operators without a program of their own that a long trace has, for it to be worth a few of its own
_ALONE = 2  # nodes up to which a program of its own is not worth it


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


_recipes: dict[Any, Recipe] = {}
retention.kept_in.append((_recipes, lambda key: key[0]))
retention.told.append(lambda: ahead.forget(set(_recipes.values())))


running: list[Trace] = []  # of all threads: who forks waits for those of the others


def execute(tr: Trace, why: str) -> None:
    """Compute the outputs of a trace that are still held. It has been taken: nothing more is recorded into it. Where this is interrupted, or fails, it can be asked for again."""
    with tr.lock:
        if not tr.nodes:
            return
        watched = tr.guards
        running.append(tr)
        try:
            found = _execute(tr, why)
        except Exception:
            if tr.nodes:
                raise
            return  # a handler came in between and did it all
        finally:
            running.remove(tr)
    if retention.full():
        retention.sweep(stats.executions)
    if found:
        guards.ran(found, tuple([g[3] for g in watched]), why)


def _execute(tr: Trace, why: str) -> list[Found]:
    if tr.host or state.host_only:
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
        shown = _as_it_is(tr, inputs, nodes)
        if recipe is None:
            donated = list(settled((key[0], key[1], *key[3:]), key[2]))
            key = (key[0], key[1], tuple(donated), *key[3:])
            recipe = _recipes.get(key)
        if recipe is None:
            recipe = _recipes.setdefault(key, Recipe())
            recipe.member = families.join(shown, live, checks, recipe)
            retention.met(recipe, len(nodes))
        recipe.seen += 1
        recipe.used = stats.executions
        arrays = [v.array for v in inputs]
        if families.in_use:
            families.exact(shown, arrays, recipe.member)
        begun = tr.begun
        ready = None if begun is None else begun.found(shown, recipe)
        if ready is not None:
            stats.ahead += 1
            settle(tr, held, ready)
            return []
        if (why == "look" or why == "begin") and recipe.small is not None and not checks:
            results = _run_small(shown, recipe, arrays, live, small_looks.LOOK if why == "look" else small_looks.BEGIN)
            if results is None and recipe.seen == 1 and recipe.member is None and why == "look":
                results = _run_small(shown, recipe, arrays, live, small_looks.FIRST)
            if results is not None:
                settle(tr, held, results)
                return []
        traced = _being_traced()
        hot = (why in _HOT or recipe.seen > 1 or (why == "look" and _worth_a_program(nodes))) and (len(nodes) > _ALONE or nodes[-1][0].__class__ is Bundle)
        with outside_jit():
            run = _member_run(recipe, shown, arrays, live, held, donated, checks, why) if recipe.member is not None else None
            if run is not None:
                state.ran = recipe
            elif hot:
                plan = plan_for(shown, recipe, checks, arrays, live, donated, why)
                if why == "backward":
                    state.ran = recipe
                    if begun is not None and len(key) == 4:
                        ahead.learn(begun, recipe, key, inputs)
                elif why == "look" and begun is not None and begun.given is not None and len(key) == 4:
                    ahead.learn_call(begun, recipe, key, inputs)
                places = None if checks or traced or plan.steps[0][0].native is None else plan.places(live)
                if places is not None:
                    at_a_stroke(tr, held, plan.into(arrays, shown.scalars, held, places, inputs))
                    if in_use and not plan.ahead:
                        sent([v.array for v in held])
                    if not tr.nodes:
                        return []
                run = plan.run(arrays, shown.scalars, live, held)
            else:
                shown.nodes = expanded(nodes)
                results, found = _run_alone(shown, recipe, checks, arrays, live)
                settle(tr, held, results)
                return found
        if tr.run is None and tr.nodes:  # no handler has begun it, or even done it
            tr.run = run
        del run, arrays
    run = tr.run
    if run is None:
        return []
    with outside_jit():
        run.finish()
    checked: list[Found] = run.found()
    settle(tr, run.held, run.results())
    return checked


trace.executor = execute


def _as_it_is(tr: Trace, inputs: list[Any], nodes: list[Any]) -> Trace:
    """The trace for all that finds out how it is to run. In the middle of that a handler may run it; then ``tr`` itself has forgotten what it was, and half of one and half of the other would
    make a plan that is kept, and is wrong."""
    shown: Trace = _new(Trace)
    shown.nodes, shown.inputs, shown.scalars, shown.device, shown.dynamic = nodes, inputs, tr.scalars, tr.device, tr.dynamic
    return shown


_new: Any = object.__new__


def _worth_a_program(nodes: list[tuple[Any, ...]]) -> bool:
    """Whether a trace that is met for the first time is compiled as a whole: one program is sooner there than one for each of its operators, and gives the digits that it gives the next
    time. Operators that have been in several such traces get programs of their own: what is never the same twice runs by those. A long one without a way back is compiled in pieces, where those are fewer (one with it takes XLA longer than its operators by themselves)."""
    if any([node[0].__class__ is Bundle for node in nodes]) or (len(nodes) > SHORT and any([node[0].call.op is None for node in nodes])):
        return False
    fresh = {node[0] for node in nodes if node[0]._run is None and node[0].met < _MET}
    if len(fresh) < (2 if len(nodes) <= SHORT else _MANY):
        return False
    for entry in fresh:
        entry.met += 1
    return True


def _member_run(recipe: Recipe, tr: Trace, arrays: list[Any], live: list[int], held: Any, donated: list[int], checks: Checks, why: str) -> Run | None:
    """A run of a family's program; None if the trace is to run by its exact shapes."""
    member = recipe.member
    if member is not None and not member.outgrown(recipe) and _on_one_device(arrays):
        made = member.prepare(tr, arrays, live, held, donated, checks, why, _planned, Recipe)
        if made is not None:
            plan, given, laid_out, checked = made
            run = plan.run(given, tr.scalars, live, held)
            run.laid_out, run.checked = laid_out, checked
            return run  # type: ignore[no-any-return]
    recipe.member = None
    families.exact(tr, arrays, None)  # what stayed padded for the family's program
    return None


def _run_small(tr: Trace, recipe: Recipe, arrays: list[Any], live: list[int], most: small_looks.Limits) -> list[Any] | None:
    """What numpy makes of a trace that is looked at; None if it is not for numpy."""
    steps = recipe.small
    if steps is False or most is small_looks.FIRST:
        steps = None if _being_traced() else small_looks.small(tr, live, most)
        if most is not small_looks.FIRST:
            recipe.small = steps
    if steps is None or not all([a.__class__ is np.ndarray or (a.__class__ is not Held and on_one_device(a)) for a in arrays]):
        return None
    recipe.scalars = tr.scalars
    return small_looks.run(steps, arrays, tr.scalars, most is small_looks.FIRST)  # type: ignore[arg-type]


def _run_alone(tr: Trace, recipe: Recipe, checks: Checks, arrays: list[Any], live: list[int]) -> tuple[list[Any], list[Found]]:
    if in_use:
        own(arrays)
    spread(arrays, tr.inputs)
    nodes = tr.nodes
    if recipe.needed is None:
        recipe.needed = needed_nodes(nodes, wanted(live, checks))
    needed = set(recipe.needed) if len(recipe.needed) < len(nodes) else None
    fresh = [k for k in recipe.needed if nodes[k][0]._run is None] if recipe.seen == 1 else []
    before = retention.weighed() if fresh else None
    scalars = recipe.scalars = tr.scalars
    vals: list[Any] = []
    for k, node in enumerate(nodes):
        entry: Entry = node[0]
        if needed is not None and k not in needed:
            vals.extend([None] * len(entry.outs))
            continue
        out = entry.run(*[vals[p] if p >= 0 else arrays[-1 - p] if p > SCALAR else _array_of(scalars[SCALAR - p]) for p in node[1:]])
        made = [out] if entry.out is not None else out
        vals.extend(made)
        if in_use:
            sent(made)
    if fresh:
        retention.charge(recipe, retention.measured(before, len(fresh)))
    found = []
    if checks:
        indices = [vals[p] if p >= 0 else arrays[-1 - p] for p, _, _ in checks]
        entry, every = guards.node_for([what for _, what, _ in checks], range(len(checks)))
        found.append((entry.run(*indices), every))
    return [vals[i] for i in live], found


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
    tr: Trace, recipe: Recipe, checks: Checks, arrays: list[Any], live: Sequence[int], donated: list[int], why: str, ahead: bool | None = False, whole: bool = False
) -> Plan:
    """The recipe's plan, which is made if there is none or numbers that were constants in it have changed. ``ahead``: whether it is compiled ahead; None: if its inputs allow that. ``whole``: one program."""
    scalars = tr.scalars
    plan = recipe.plan
    if plan is None:
        tr.nodes = expanded(tr.nodes)
        dynamic = always_dynamic(tr.nodes)
        if recipe.seen > 1:  # what changed since it last ran operator by operator will change again
            dynamic |= _changed(scalars, recipe.scalars)
        plan = _made(tr, recipe, dynamic, checks, arrays, live, donated, why, ahead, whole=whole)
    elif scalars != plan.scalars or 0 in scalars:  # -0.0 equals 0.0
        fresh = _changed(scalars, plan.scalars) - plan.dynamic
        if fresh:
            tr.nodes = expanded(tr.nodes)
            log.scalars_changed(tr, fresh, plan.scalars)
            plan = _made(tr, recipe, fresh | plan.dynamic, checks, arrays, live, donated, why, ahead, whole=whole)
        plan.scalars = list(scalars)
    return plan


def _made(
    tr: Trace, recipe: Recipe, dynamic: set[int] | frozenset[int], checks: Checks, arrays: list[Any], live: Sequence[int], donated: list[int], why: str, ahead: bool | None,
    successors: dict[int, int] | None = None, whole: bool = False,
) -> Plan:
    wide = False
    if ahead is None:
        ahead = _on_one_device(arrays)
        wide = not ahead and sum([v.aval.nbytes for v in tr.inputs]) <= shards.FEW_BYTES
    before = retention.weighed()
    plan = recipe.plan = make_plan(tr, dynamic, checks, live, donated, why, ahead, successors, whole, wide)
    retention.made(recipe, before)
    return plan


def _changed(now: list[Any], before: list[Any]) -> set[int]:
    return {i for i, (a, b) in enumerate(zip(now, before, strict=False)) if a != b or a.__class__ is not b.__class__ or (a == 0 and str(a) != str(b))}


def _on_one_device(arrays: list[Any]) -> bool:
    return all(a.__class__ is np.ndarray or on_one_device(a) for a in arrays)
