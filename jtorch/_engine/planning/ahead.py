"""Running a step's program before its backward pass is recorded.

Recording backward takes about as long as recording forward did, and until it is done XLA has nothing to do. But a loop's backward is what it was in the step before,
nearly always. So when ``backward()`` begins on a forward trace that was met before, the program that the whole trace ran as last time is sent off at once, and the
pass is recorded while it runs. Only if the recorded trace is the one that was expected, to the last node and input, are the results its results; otherwise they are dropped,
and the trace runs as if nothing had been tried. Nothing is donated to a program that is run ahead, and nothing outside sees it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch import _config

from jtorch._engine.recording.bundle import Bundle
from jtorch._engine.recording.trace import SMALL, Trace, are_arrays

__all__ = ["Begun", "begin", "forget", "learn"]

STEADY = 3  # times that a trace must have come before its like is expected
_MISSES = 2  # wrong guesses that are always forgiven; beyond them, one in so many as _RARELY
_RARELY = 8
_CHANGES = 2  # times that something else is expected instead


class Guess:
    """What followed on a forward trace: ``recipe`` of the whole, its ``live`` outputs, and the ``inputs`` that backward added."""

    __slots__ = ("recipe", "live", "inputs", "hits", "misses", "changes")

    def __init__(self, recipe: Any, live: tuple[int, ...], inputs: list[Any], changes: int) -> None:
        self.recipe, self.live, self.inputs = recipe, live, inputs
        self.hits = self.misses = 0
        self.changes = changes

    @property
    def wrong(self) -> bool:
        """Whether it was wrong too often."""
        return self.misses > _MISSES + self.hits // _RARELY


class Begun:
    """Where a trace stood when backward began, and what was sent off then."""

    __slots__ = ("key", "count", "guess", "plan", "scalars", "results")

    def __init__(self, key: tuple[Any, ...], count: int) -> None:
        self.key, self.count = key, count
        self.guess: Guess | None = None
        self.plan = self.scalars = self.results = None

    def found(self, tr: Trace, recipe: Any) -> list[Any] | None:
        """The live outputs of the trace, if it became what was expected."""
        guess, results = self.guess, self.results
        if guess is None:
            return None
        self.guess = self.results = None
        if recipe is guess.recipe and recipe.plan is self.plan and tr.inputs[self.count :] == guess.inputs and tr.scalars == self.scalars and 0 not in tr.scalars:
            guess.hits += 1
            return results
        guess.misses += 1
        return None


def _are_there(arrays: list[Any]) -> bool:
    """Whether a program can be called on them: on a device, or still numpy's."""
    return are_arrays([a for a in arrays if a.__class__ is not np.ndarray])


_guesses: dict[tuple[Any, ...], Guess] = {}


def forget(kept: set[Any]) -> None:
    """Expect nothing more of recipes that are not kept."""
    for key, guess in list(_guesses.items()):
        if guess.recipe not in kept:
            _guesses.pop(key, None)


def begin(tr: Trace) -> None:
    """``backward()`` begins on this trace."""
    if tr.host or _config.EAGER or tr.guards or _being_traced():
        return
    key = tuple(tr.nodes)
    tr.begun = begun = Begun(key, len(tr.inputs))
    guess = _guesses.get(key)
    if guess is None or guess.wrong:
        return
    recipe = guess.recipe
    plan = recipe.plan
    if plan is not None and tr.scalars[: tr.scalar_count] == plan.scalars[: tr.scalar_count]:
        arrays = [v.array for v in tr.inputs] + [v.array for v in guess.inputs]
        if not _are_there(arrays):
            return
        begun.plan, begun.scalars = plan, plan.scalars
        try:
            begun.results = plan.at_a_stroke(arrays)
            if begun.results is None:
                run = plan.run(arrays, [], guess.live)
                run.finish()
                begun.results = run.results()
        except RuntimeError:  # a handler has run the trace, which may have taken the inputs for itself
            if tr.lock is None:
                raise
            return
        begun.guess = guess


def learn(begun: Begun, recipe: Any, key: Any, inputs: list[Any]) -> None:
    """A trace ran as one program that takes nothing for itself: expect it where another begins alike."""
    plan = recipe.plan
    nodes, live, donated, checks = key
    known = _guesses.get(begun.key)
    if known is not None and not (known.wrong and known.changes < _CHANGES):
        return
    added = inputs[begun.count :]  # a guess keeps them, so they must be small
    if (
        recipe.seen >= STEADY and plan.ahead and len(plan.steps) == 1 and not donated and not checks and not plan.steps[0][3]
        and not any(n[0].__class__ is Bundle for n in nodes) and _are_there([v.array for v in inputs])
        and sum(v.aval.nbytes for v in added) <= SMALL
    ):  # fmt: skip
        _guesses[begun.key] = Guess(recipe, live, added, 0 if known is None else known.changes + 1)
