"""How traces of one structure run: the programs in order (:class:`Plan`), and one execution of them, as far as it has come (:class:`Run`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import repeat
from operator import eq
from typing import Any

from jtorch._engine.recording import gradient_pieces
from jtorch._engine.recording.guards import Found
from jtorch._engine.running.packed_plan import Watch, slots_of
from jtorch._engine.values.rows import own
from jtorch._engine.values.shards import in_use, sent
from jtorch._engine.values.unbroken import at_once, provided
from jtorch._engine.values.values import Value

__all__ = ["Plan", "Run", "slots_of", "stats"]


set_array: Any = Value.array.__set__  # type: ignore[misc]  # the slot itself: a C function


class _Stats:
    """Counters for tests and benchmarks."""

    __slots__ = ("executions", "compilations", "traces", "ahead")

    def __init__(self) -> None:
        self.executions = self.compilations = self.traces = 0
        self.ahead = 0  # executions whose programs had been sent off before they were recorded to the end


stats = _Stats()


class Plan:
    """Programs in order. ``steps``: (program, gather, outputs, scalar slots, dead after).

    ``scalars`` are the runtime scalars of the last run; all but the ``dynamic`` ones are constants in the programs. ``checks``: (slot, what it is of) of what guards find.
    ``ahead``: they were compiled ahead, several at a time, for inputs on one device; a sharded program is compiled when it runs.
    ``asked``, ``packing``: outputs that are wanted end to end, and the program that gives them so (``gradient_pieces.py``). ``watch``: the same for a sharded program, and its inputs (``packed_plan.py``).
    """

    __slots__ = ("steps", "inputs", "size", "checks", "ahead", "asked", "packing", "scalars", "dynamic", "watch", "_places")
    steps: list[Any]
    inputs: int
    size: int
    ahead: bool
    asked: list[Any]
    packing: gradient_pieces.Packing | None
    checks: list[Any]
    scalars: list[Any]
    dynamic: frozenset[int]
    watch: Watch | None
    _places: tuple[Any, tuple[int, ...] | None]

    def places(self, live: Sequence[int]) -> tuple[int, ...] | None:
        """Where its one program gives each of the outputs ``live``, all of which it was made for. None if there are several programs."""
        if len(self.steps) != 1 or self.asked or self.packing is not None:
            return None
        known = self._places
        if known[0] is not self.steps:
            outs = list(self.steps[0][2])
            wanted = [self.inputs + n for n in live]
            known = self._places = self.steps, tuple(map(outs.index, wanted)) if set(wanted) <= set(outs) else None
        return known[1]

    def into(self, arrays: list[Any], scalars: Sequence[Any], held: Sequence[Value], places: Iterable[int], inputs: Sequence[Value] = ()) -> list[Any]:
        """Iterators that run its one program, which has run before, and give its outputs at ``places`` to these values. ``inputs``: those of the arrays."""
        program, gather, _, slots, _ = self.steps[0]
        more: list[Any] = []
        if in_use and not self.ahead:
            if inputs:
                if self.watch is None:
                    self.watch = Watch()
                places = tuple(places)
                found, more = self.watch.into(self, inputs, arrays, scalars, held, places)
                if found is not None:
                    return found
            own(arrays)
        given = gather(arrays)
        if slots is not None:
            given = (*slots_of(slots, scalars), *given)
        results: list[Any] = []
        return [program.into(given, results), map(set_array, held, map(results.__getitem__, places)), *more]

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
        if in_use:
            own(arrays)
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
            if in_use and not plan.ahead:
                sent(results)

    @staticmethod
    def _put(results: list[Any], after: Any, found: list[Any]) -> None:
        at_once(map(results.extend, (found,)), *after)
        if in_use:
            sent(found)

    def results(self) -> list[Any]:
        """The wanted outputs of a finished run."""
        n_in, vals = self.plan.inputs, self.vals
        out = [vals[n_in + i] for i in self.live]
        return out if self.laid_out is None else self.laid_out(out)

    def found(self) -> list[Found]:
        """What its guards have found."""
        return [(self.vals[slot], every) for slot, every in self.checked]
