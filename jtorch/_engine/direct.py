"""Running a bundle at once, without a trace around it: an optimizer's step whose gradients are there already.

The programs are those that a trace of this one node would run. What is spared is looking for what is pending, held and dead: all inputs are there,
all outputs are wanted, and the inputs that the outputs replace are dead if nobody else holds them.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any

from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from . import log
from .bundle import Bundle
from .executor import LISTED, Recipe, _changed, run_compiled, slots_of, stats
from .state import state
from .trace import SCALAR, Trace, are_arrays
from .values import Value

__all__ = ["run_bundle"]

_recipes: dict[Any, Recipe] = {}
_HELD = LISTED + 1  # by the list, and by its storage or its value


def run_bundle(bundle: Bundle, vals: list[Value], scalars: list[Any], places: tuple[int, ...]) -> tuple[list[Any], set[int] | None] | None:
    """The bundle's outputs on ``vals`` (column after column), each of which a storage and this list hold. Those in the columns ``places`` will be overwritten.

    The second result are the inputs among them that somebody else holds too (None: there are none); the arrays of the others are gone.
    The whole is None if a value is not there, or if numpy would have to do it.
    """
    arrays = [v.array for v in vals]
    if state.host or not are_arrays(arrays) or _being_traced():  # a pending value has no array
        return None
    n = bundle.count
    counts, array_counts = list(map(getrefcount, vals)), list(map(getrefcount, arrays))
    shared: set[int] | None = None
    for c in places:
        if max(counts[c * n : c * n + n]) > _HELD or max(array_counts[c * n : c * n + n]) > _HELD:
            shared = shared or set()
            shared.update(i for i in range(c * n, c * n + n) if counts[i] > _HELD or array_counts[i] > _HELD)
    key = (bundle, places, None if shared is None else frozenset(shared))
    recipe = _recipes.get(key)
    if recipe is None:
        recipe = _recipes[key] = Recipe()
    recipe.seen += 1
    stats.executions += 1
    plan = recipe.plan
    if plan is not None and len(plan.steps) == 1 and (scalars == recipe.scalars or not _changed(scalars, recipe.scalars) - recipe.dynamic):
        program, gather, _, slots, _ = plan.steps[0]
        return program.run(*(slots_of(slots, scalars) if slots is not None else ()), *gather(arrays)), shared
    tr = Trace(bundle.device)
    tr.inputs, tr.scalars = vals, scalars
    tr.nodes = [(bundle, *range(-1, -len(vals) - 1, -1), *range(SCALAR, SCALAR - len(scalars), -1))]
    log.trace(tr, "update", len(bundle.outs))
    donated = [i for c in places for i in range(c * n, c * n + n) if shared is None or i not in shared]
    return run_compiled(tr, recipe, (), arrays, range(len(bundle.outs)), donated, "step")[0], shared
