"""Running a program before all of it is recorded: a step's when its backward begins, an evaluation's when its module is called.

Recording backward takes about as long as recording forward did, and until it is done XLA has nothing to do. But a loop's backward is what it was in the step before,
nearly always. So when ``backward()`` begins on a forward trace that was met before, the program that the whole trace ran as last time is sent off at once, and the
pass is recorded while it runs. Only if the recorded trace is the one that was expected, to the last node and input, are the results its results; otherwise they are dropped,
and the trace runs as if nothing had been tried. Nothing is donated to a program that is run ahead, and nothing outside sees it.

Outside of any graph the same goes for a loop that calls a module and looks at what it gives: what is expected there are the nodes that followed on the module's last calls, on the parameters that
it had then and on what it is given now.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

import numpy as np
from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch import _config

from jtorch._engine.recording.bundle import Bundle
from jtorch._engine.recording.trace import SMALL, Trace, are_arrays, put
from jtorch._engine.values.shards import in_use
from jtorch._engine.values.values import Value

__all__ = ["Begun", "begin", "begin_call", "forget", "learn", "learn_call"]

STEADY = 3  # times that a trace must have come before its like is expected
_MISSES = 2  # wrong guesses that are always forgiven; beyond them, one in so many as _RARELY
_RARELY = 8
_CHANGES = 2  # times that something else is expected instead
_CALLS = 512  # of modules that are known; one that is given another number each time would have no end of them


class Guess:
    """What followed on a forward trace: ``recipe`` of the whole, its ``live`` outputs, and the ``inputs`` that backward added. Of a module's call: all inputs, weakly, or which of the arguments they are,
    or which part of one (the argument's number, the offset, shape, strides and type)."""

    __slots__ = ("recipe", "live", "inputs", "donated", "module", "hits", "misses", "changes")

    def __init__(self, recipe: Any, live: tuple[int, ...], inputs: list[Any], changes: int, donated: tuple[int, ...] = (), module: Any = None) -> None:
        self.recipe, self.live, self.inputs, self.donated, self.module = recipe, live, inputs, donated, module
        self.hits = self.misses = 0
        self.changes = changes

    @property
    def wrong(self) -> bool:
        """Whether it was wrong too often."""
        return self.misses > _MISSES + self.hits // _RARELY


class _Expected:
    """An input that is expected: it equals the value ``of``; or, without that, what a line makes of a part of an argument's memory on the host, as of a column of a batch of indices. (No value is
    held: what nobody else holds may be overwritten.)"""

    __slots__ = ("of", "array")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, of: Any, array: Any) -> None:
        self.of, self.array = of, array

    def __eq__(self, v: Any) -> bool:
        mine, a = self.array, v.array
        if self.of is not None:
            return self.of() is v and (a is mine or (mine.__class__ is np.ndarray and _are_there([a]) and np.array_equal(np.asarray(a), mine, equal_nan=mine.dtype.kind in "fc")))
        return a.__class__ is np.ndarray and a.base is mine.base and a.shape == mine.shape and a.strides == mine.strides and a.dtype == mine.dtype and _address(a) == _address(mine)


class Begun:
    """Where a trace stood when backward began, and what was sent off then. Of a module's call, ``given`` are the values of its arguments, weakly, and what the host has of them."""

    __slots__ = ("key", "count", "given", "module", "guess", "plan", "scalars", "inputs", "results")

    def __init__(self, key: tuple[Any, ...], count: int, given: list[Any] | None = None, module: Any = None) -> None:
        self.key, self.count, self.given, self.module = key, count, given, module
        self.guess: Guess | None = None
        self.plan: Any = None
        self.scalars: Any = None
        self.inputs: Any = None
        self.results: Any = None

    def found(self, tr: Trace, recipe: Any) -> list[Any] | None:
        """The live outputs of the trace, if it became what was expected."""
        guess, inputs = self.guess, self.inputs
        results: list[Any] = self.results
        if guess is None:
            return None
        self.guess = self.results = self.inputs = None
        if recipe is guess.recipe and recipe.plan is self.plan and tr.inputs[self.count :] == inputs and tr.scalars == self.scalars and 0 not in tr.scalars:
            guess.hits += 1
            return results
        guess.misses += 1
        return None


def _are_there(arrays: list[Any]) -> bool:
    """Whether a program can be called on them: on a device, or still numpy's."""
    return are_arrays([a for a in arrays if a.__class__ is not np.ndarray])


_guesses: dict[tuple[Any, ...], Guess] = {}
_calls: dict[tuple[Any, ...], Guess] = {}  # by a module's number and what it is called with


def forget(kept: set[Any]) -> None:
    """Expect nothing more of recipes that are not kept."""
    for guesses in (_guesses, _calls):
        for key, guess in list(guesses.items()):
            if guess.recipe not in kept:
                guesses.pop(key, None)


def _make_room() -> None:
    """Forget calls that never came again, and those of modules that are no more; all, if that is not enough: what is steady is soon known again."""
    for key, guess in list(_calls.items()):
        if not guess.hits or guess.module() is None:
            _calls.pop(key, None)
    if len(_calls) > _CALLS // 2:
        _calls.clear()


def begin(tr: Trace) -> None:
    """``backward()`` begins on this trace."""
    if tr.begun is not None and tr.begun.guess is not None:
        tr.begun.guess.misses += 1
        tr.begun = None
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
        _send(tr, begun, guess, plan, tr.inputs + guess.inputs, guess.inputs)


def begin_call(tr: Trace, module: Any, key: tuple[Any, ...], given: list[Value]) -> None:
    """A module is called, and nothing is recorded yet. ``key``: its number, and what it is called with; ``given``: the values among that, which are there."""
    if tr.host or _config.EAGER or in_use:
        return
    tr.begun = begun = Begun(key, 0, [(ref(v), v.array if v.array.__class__ is np.ndarray else None) for v in given], ref(module))
    guess = _calls.get(key)
    if guess is not None and guess.module() is not module:  # another one had the number
        _calls.pop(key, None)
        return
    if guess is None or guess.wrong or _being_traced():
        return
    plan = guess.recipe.plan
    inputs: list[Any] = []
    for i in guess.inputs:
        if i.__class__ is tuple:
            k, *lies = i
            base = given[k].array
            if base.__class__ is not np.ndarray or not base.flags.c_contiguous:
                return
            inputs.append(_Expected(None, _part(base, *lies)))
            continue
        v = given[i] if i.__class__ is int else i()
        if v is None:  # parameters have been replaced, or what lives for one call is among the inputs
            if guess.hits:
                _calls.pop(key, None)
            else:
                guess.misses += _MISSES + 1
            return
        if i.__class__ is int and v.array.__class__ is np.ndarray and v.aval.nbytes > SMALL:
            put(v)  # as the line that records it would
        inputs.append(_Expected(ref(v) if i.__class__ is int else i, v.array))
    if plan is not None and all([inputs[d].array.__class__ is np.ndarray for d in guess.donated]):
        _send(tr, begun, guess, plan, inputs, inputs)


def _part(base: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    return np.ndarray(shape, kind, base, offset, strides)


def _address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]  # type: ignore[no-any-return]


def _send(tr: Trace, begun: Begun, guess: Guess, plan: Any, inputs: list[Any], added: list[Any]) -> None:
    arrays = [v.array for v in inputs]
    if not _are_there(arrays):
        return
    begun.plan, begun.scalars, begun.inputs = plan, plan.scalars, added
    try:
        begun.results = plan.at_a_stroke(arrays) if len(plan.steps) == 1 else None
        if begun.results is None:
            run = plan.run(arrays, [], guess.live)
            run.finish()
            begun.results = run.results()
    except RuntimeError:  # a handler has run the trace, which may have taken the inputs for itself
        if tr.lock is None and begun.given is None:
            raise
        return  # what is wrong with a module's call shows where it is recorded, or looked at
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


def learn_call(begun: Begun, recipe: Any, key: Any, inputs: list[Value]) -> None:
    """A trace that a module's call began was looked at, and ran as programs that take nothing for themselves (but for what the host has, of which they have copies): expect it where the module is
    called alike."""
    plan = recipe.plan
    nodes, _, donated, checks = key
    if recipe.seen < STEADY or checks or recipe.member is not None or not all([inputs[d].array.__class__ is np.ndarray for d in donated]):
        return
    known = _calls.get(begun.key)
    if known is not None and not (known.wrong and known.changes < _CHANGES):
        return
    if plan.ahead and not any([step[3] for step in plan.steps]) and not any([n[0].__class__ is Bundle for n in nodes]) and _are_there([v.array for v in inputs]):
        given = begun.given or ()
        at = {v: i for i, (g, _) in enumerate(given) if (v := g()) is not None}
        under = {id(a): i for i, (_, a) in enumerate(given) if a is not None}

        def known_by(v: Value) -> Any:
            if v in at:
                return at[v]
            a = v.array
            i = under.get(id(a.base)) if a.__class__ is np.ndarray else None
            return ref(v) if i is None else (i, _address(a) - _address(a.base), a.shape, a.strides, a.dtype)

        if len(_calls) >= _CALLS:
            _make_room()
        _calls[begun.key] = Guess(recipe, key[1], list(map(known_by, inputs)), 0 if known is None else known.changes + 1, donated, begun.module)
