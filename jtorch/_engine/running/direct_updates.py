"""Running an optimizer's updates at once, without a trace around them: a step whose gradients are there already.

The programs of a bundle are those that a trace of this one node would run. What is spared is looking for what is pending, held and dead: all inputs are there,
all outputs are wanted, and the inputs that the outputs replace are dead if nobody else holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from sys import getrefcount
from typing import Any

import numpy as np
from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch._engine.values import log
from jtorch._engine.recording.bundle import Bundle
from jtorch._engine.running import retention
from jtorch._engine.running.donations import settled
from jtorch._engine.planning.liveness import LISTED
from jtorch._engine.running.executor import Recipe, _changed, plan_for
from jtorch._engine.running.packed_updates import PackedUpdate
from jtorch._engine.running.plan import slots_of, stats
from jtorch._engine.values.thread_state import state
from jtorch._engine.recording.trace import SCALAR, Trace, are_arrays, put
from jtorch._engine.values.values import Value

__all__ = ["ready", "run_bundle", "run_packed"]

_recipes: dict[Any, Recipe] = {}
retention.kept_in.append((_recipes, lambda key: (key,)))
_HELD = LISTED + 1  # by the list, and by its storage or its value


def ready(vals: list[Value]) -> list[Any] | None:
    """The values' arrays on the device. None if one is not there yet or never will be, or nothing can be run at once."""
    if state.host or _being_traced():
        return None
    arrays = [v.array for v in vals]
    if not are_arrays(arrays):
        for v in vals:
            if v.array.__class__ is np.ndarray:
                put(v)
        arrays = [v.array for v in vals]
        if not are_arrays(arrays):  # a pending value has no array
            return None
    return arrays


def _shared(vals: list[Value], arrays: list[Any], columns: list[range]) -> set[int] | None:
    """Which of the values in these columns somebody holds beside a storage and ``vals``, or their arrays beside them and ``arrays``. None: nobody any."""
    counts, array_counts = list(map(getrefcount, vals)), list(map(getrefcount, arrays))
    shared: set[int] = set()
    for at in columns:
        if max(counts[at.start : at.stop]) > _HELD or max(array_counts[at.start : at.stop]) > _HELD:
            shared.update(i for i in at if counts[i] > _HELD or array_counts[i] > _HELD)
    return shared or None


def run_bundle(bundle: Bundle, vals: list[Value], scalars: list[Any], places: tuple[int, ...], results: list[Any]) -> tuple[Any, set[int] | None] | None:
    """An iterator that adds the bundle's outputs on ``vals`` (column after column), each of which a storage and this list hold, to ``results``. Those in the columns ``places`` are
    to be overwritten. The second is which of them somebody else holds too (None: there are none); the arrays of the others are gone then.
    The whole is None if a value is not there, if numpy would have to do it, or if the program has not run yet: it is recorded first.
    """
    arrays = ready(vals)
    if arrays is None:
        return None
    n = bundle.count
    shared = _shared(vals, arrays, [range(c * n, c * n + n) for c in places])
    key = (bundle, places, None if shared is None else frozenset(shared))
    recipe = _recipes.get(key)
    if recipe is None:
        every = [i for c in places for i in range(c * n, c * n + n)]
        taken = settled(key[:2], tuple(every) if shared is None else tuple([i for i in every if i not in shared]))
        shared = set(every).difference(taken) or None
        key = (bundle, places, None if shared is None else frozenset(shared))
        recipe = _recipes.get(key)
    if recipe is None:
        recipe = _recipes[key] = Recipe()
    recipe.seen += 1
    recipe.used = stats.executions
    plan = recipe.plan
    if plan is None or (scalars != plan.scalars and _changed(scalars, plan.scalars) - plan.dynamic):
        tr = Trace(bundle.device)
        tr.inputs, tr.scalars = vals, scalars
        tr.nodes = [(bundle, *range(-1, -len(vals) - 1, -1), *range(SCALAR, SCALAR - len(scalars), -1))]
        donated = [i for c in places for i in range(c * n, c * n + n) if shared is None or i not in shared]
        plan = plan_for(tr, recipe, (), arrays, range(len(bundle.outs)), donated, "step")
    if len(plan.steps) > 1 or plan.steps[0][0].native is None:
        return None
    stats.executions += 1
    log.update(bundle.call.name, len(bundle.outs))
    program, gather, _, slots, _ = plan.steps[0]
    return program.into((*(slots_of(slots, scalars) if slots is not None else ()), *gather(arrays)), results), shared


def run_packed(
    update: PackedUpdate, params: list[Value], arrays: list[Any], grads: Any, flats: list[Any], scalars: Sequence[Any], results: list[Any]
) -> tuple[Any, set[int] | None]:
    """An iterator that does an update of parameters (a storage and this list hold each; ``arrays`` are theirs; ``grads`` as :class:`PackedUpdate` says) whose state is packed into
    ``flats``, which are gone afterwards; it adds two lists to ``results``, the parameters' new arrays and the new state. And which of the old arrays somebody else holds too, as :func:`run_bundle`."""
    fresh = not update.compiled
    if fresh:
        update.compiled = True
        stats.compilations += 1
        before = retention.weighed()
        log.packing(update.name, len(params))
    stats.executions += 1
    update.used = stats.executions
    update.seen += 1
    shared = _shared(params, arrays, [range(len(params))])
    given = (slots_of(update.slots, scalars), arrays, grads, flats, update.offsets)
    program = update.program(given, shared is not None)
    if fresh:
        retention.charge(update, retention.measured(before, 1))
    return map(results.extend, starmap(program, (given,))), shared
