"""Gradients of small parameters as they leave the program that computes them: end to end in one array.

Calling a program costs a microsecond for each array that goes in or comes out, and freeing one costs another. An optimizer whose state is packed (``packed_updates.py``)
reads all its gradients at once, so it asks for them in one piece (:func:`ask`): the program of the last backward is compiled once more, in a thread, with these
outputs end to end, and takes over when it is ready. A value among them holds the :class:`Pieces` where its array would be; whoever else wants it gets an array
of its own (:meth:`Pieces.take`). The next backward gives them so again only if the update took them as one (:meth:`Pieces.welcome`), so a program that
clips its gradients, or a new model of the same structure, gets arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import starmap
from typing import Any

import numpy as np
from jax import lax

from jtorch._engine.values import log
from jtorch._engine.recording.program import Program
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.values import Aval, Value, outside_jit

__all__ = ["Packing", "Pieces", "ask", "together", "piece"]

ENOUGH = 16  # executions of a program after which another of its kind is worth compiling


class Pieces:
    """``flat``: outputs of a program end to end, those at ``order`` (positions in the trace), which begin at ``starts``. ``taken``: arrays that were given out."""

    __slots__ = ("flat", "packing", "number", "order", "starts", "taken")

    def __init__(self, flat: Any, packing: Packing, number: int) -> None:
        self.flat, self.packing, self.number = flat, packing, number
        self.order, self.starts = packing.groups[number]
        self.taken: dict[int, Any] = {}

    def welcome(self) -> None:
        """They were taken as one: the next ones will be."""
        self.packing.wanted.add(self.number)

    def take(self, v: Value) -> Any:
        """Give a value its own array."""
        array = piece(self.flat, self.starts[v.pos], v.aval)
        self.taken[v.pos] = array
        v.array = array
        return array


def piece(flat: Any, start: int, like: Aval) -> Any:
    """One of the arrays of which ``flat`` was made."""
    if state.host or state.host_only:
        return np.asarray(flat)[start : start + math.prod(like.shape)].reshape(like.shape)
    with outside_jit():  # one program for each size
        return lax.dynamic_slice(flat, (np.int32(start),), (math.prod(like.shape),)).reshape(like.shape)


class Packing:
    """The program of a plan once more, with some of its outputs end to end."""

    __slots__ = ("program", "groups", "places", "wanted")

    def __init__(self, program: Program, outs: list[int], orders: list[tuple[int, ...]], n_in: int) -> None:
        number = {slot: i for i, slot in enumerate(outs)}
        avals = _avals(program, outs)
        self.groups = [(order, _starts(order, [avals[p + n_in] for p in order])) for order in orders]
        together = {p for order in orders for p in order}
        rest = [slot for slot in outs if slot - n_in not in together]
        # Where each output of the plan is found: in an array of its own, or among the pieces of a group.
        where = {slot: i for i, slot in enumerate(rest)} | {p + n_in: len(rest) + k for k, order in enumerate(orders) for p in order}
        self.places = [where[slot] for slot in outs]
        self.program = Program(
            program.body, [program.outs[number[slot]] for slot in rest], (), [[program.outs[number[p + n_in]] for p in order] for order in orders]
        )
        self.wanted = set(range(len(orders)))  # the groups that will be taken as one when it runs next

    def ready(self) -> bool:
        return len(self.wanted) == len(self.groups) and self.program.compiled()

    @property
    def native(self) -> Any:
        return self.program.native

    def into(self, given: tuple[Any, ...], out: list[Any]) -> Any:
        """As the program's, with pieces in the place of some arrays. (Nothing is lost if this is interrupted: the program takes nothing for itself.)"""
        return map(out.extend, map(self._with_pieces, starmap(self.program.native, (given,))))

    def at_a_stroke(self, given: tuple[Any, ...]) -> list[Any]:
        """As the program's."""
        return self._with_pieces(self.program.native(*given))

    def first(self, given: tuple[Any, ...], then: Callable[[Any], Any]) -> Any:
        return self.program.first(given, lambda results: then(self._with_pieces(results)))

    def _with_pieces(self, results: list[Any]) -> list[Any]:
        first = len(results) - len(self.groups)
        for k in range(len(self.groups)):
            results[first + k] = Pieces(results[first + k], self, k)
        self.wanted.clear()
        return [results[i] for i in self.places]


def _avals(program: Program, outs: list[int]) -> dict[int, Aval]:
    """What a program's outputs are, by slot."""
    made = [a for entry, *_ in program.body for a in entry.outs]
    return {slot: made[i] for slot, i in zip(outs, program.outs, strict=True)}


def _starts(order: tuple[int, ...], avals: list[Aval]) -> dict[int, int]:
    ends = np.cumsum([math.prod(a.shape) for a in avals]).tolist()
    return dict(zip(order, [0, *ends], strict=False))


def ask(values: Sequence[Value]) -> None:
    """Ask that these values, of one element type, come end to end from the program that this thread's last backward ran. Nothing happens if they cannot."""
    recipe = state.ran
    plan = None if recipe is None else recipe.plan
    if plan is None or len(plan.steps) != 1 or recipe.seen < ENOUGH or plan.steps[0][0].given is None:
        return
    program, _, outs, _, _ = plan.steps[0]
    order = tuple([v.pos for v in values])
    avals = _avals(program, outs)
    if len(set(order)) < len(order) or any(avals.get(v.pos + plan.inputs) is not v.aval for v in values):
        return  # they came from elsewhere
    if plan.packing is not None:
        known = [k for k, (other, _) in enumerate(plan.packing.groups) if other == order]
        if known or plan.packing.wanted:
            plan.packing.wanted.update(known)
            return
        plan.packing = None  # it was for another optimizer's grouping
    if not any(p in other for other in plan.asked for p in order):
        plan.asked.append(order)


def begin(plan: Any) -> None:
    """Compile the program that was asked for, in a thread."""
    program, _, outs, _, _ = plan.steps[0]
    plan.packing = Packing(program, outs, plan.asked, plan.inputs)
    log.gathering(len(program.body), sum(map(len, plan.asked)))
    plan.asked = []
    plan.packing.program.compile(program.given)


def together(values: Sequence[Value]) -> Pieces | None:
    """The pieces that these values, and no others, are, in this order."""
    pieces = next((v.array for v in values if v.array.__class__ is Pieces), None)
    if pieces is None or len(values) != len(pieces.order):
        return None
    taken = pieces.taken
    for v, p in zip(values, pieces.order, strict=True):
        if v.pos != p or (v.array is not pieces and (v.array is None or taken.get(p) is not v.array)):
            return None
    return pieces
