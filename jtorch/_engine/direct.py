"""Running a bundle at once, without a trace around it: an optimizer's step whose gradients are there already.

The programs are those that a trace of this one node would run. What is spared is looking for what is pending, held and dead: all inputs are there,
all outputs are wanted, and the inputs that the outputs replace are dead if nobody else holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any

from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from . import executor, log
from .bundle import Bundle
from .executor import LISTED, Recipe, stats
from .state import state
from .trace import SCALAR, Trace, are_arrays
from .values import Value

__all__ = ["run_bundle"]

_recipes: dict[Any, Recipe] = {}
_HELD = LISTED + 1  # by the list, and by its storage or its value


def run_bundle(bundle: Bundle, vals: list[Value], scalars: list[Any], replaced: Sequence[int]) -> tuple[list[Any], set[int]] | None:
    """The bundle's outputs on ``vals``, each of which a storage and this list hold, and nobody has to. ``replaced``: the inputs that will be overwritten.

    The second result is those of ``replaced`` that nobody else held: their arrays are gone. None if a value is not there, or numpy would have to do it.
    """
    arrays = [v.array for v in vals]
    if state.host or not are_arrays(arrays) or {v.trace for v in vals} != _THERE or _being_traced():
        return None
    counts, array_counts = list(map(getrefcount, vals)), list(map(getrefcount, arrays))
    donated = [i for i in replaced if counts[i] <= _HELD and array_counts[i] <= _HELD]
    key = (bundle, tuple(donated), len(replaced))
    recipe = _recipes.get(key)
    if recipe is None:
        recipe = _recipes[key] = Recipe()
    recipe.seen += 1
    n = len(vals)
    tr = Trace(bundle.device)
    tr.inputs, tr.scalars = vals, scalars
    if recipe.plan is None or scalars != recipe.scalars:  # a plan may have to be made
        tr.nodes = [(bundle, *range(-1, -n - 1, -1), *range(SCALAR, SCALAR - len(scalars), -1))]
    stats.executions += 1
    log.trace(tr, "update", len(bundle.outs))
    del counts, array_counts
    results, _ = executor.run_compiled(tr, recipe, (), arrays, range(len(bundle.outs)), donated, "step")
    return results, set(donated)


_THERE = {None}
