"""Undoing what was written after a line that turns out to have failed.

Where an operator requires something of values that are still to be computed (``guards.py``), the program goes on, though torch would not have come further. Until it is known that all was
well, what is overwritten is kept: old values of storages, gradients of leaves, states of generators. If it was not, they come back, and the exception is raised as if nothing had been done since.
"""

from __future__ import annotations

import weakref
from typing import Any

from jtorch._engine.values.callers import lines, shown
from jtorch._engine.values.thread_state import state

__all__ = ["Mark", "depends", "keep", "keep_all", "keep_gradient", "keep_generator", "mark", "ran"]

_SHOWN = 6  # lines of the program, innermost last


class Mark:
    """A line that used values which were not known. ``old``: what was first overwritten between it and the next mark."""

    __slots__ = ("marks", "old", "gradients", "generators", "lines", "gone", "waits")

    def __init__(self, waits: bool) -> None:
        self.marks: list[Mark] = state.undo
        self.old: dict[Any, Any] = {}
        self.gradients: dict[Any, Any] = {}
        self.generators: dict[Any, Any] = {}
        self.lines = lines(_SHOWN)
        self.gone = False
        self.waits = waits

    def passed(self) -> None:
        """All was well: what was kept is of use to an older mark only."""
        marks = self.marks
        if self.gone or self not in marks:
            return
        self.gone = True
        i = marks.index(self)
        if i:
            before = marks[i - 1]
            for mine, older in ((self.old, before.old), (self.gradients, before.gradients), (self.generators, before.generators)):
                for k, v in mine.items():
                    older.setdefault(k, v)
        del marks[i]
        if not marks:
            state.runs.clear()

    def roll_back(self) -> None:
        """Everything as it was at this line."""
        marks = self.marks
        after = marks[marks.index(self) :] if self in marks else []
        del marks[len(marks) - len(after) :]
        for m in reversed(after):
            m.gone = True
            for s, v in m.old.items():
                s.value = v
                s.version += 1
            for leaf, g in m.gradients.items():
                leaf._grad = g
            for generator, was in m.generators.items():
                generator.set_state(was)
        if not marks:
            state.runs.clear()

    def undone(self) -> None:
        """What was written since is as if it had not been, its count too."""
        for s, v in self.old.items():
            s.value = v
            s.version -= 1 if s.version else 0
        for leaf, g in self.gradients.items():
            leaf._grad = g
        for generator, was in self.generators.items():
            generator.set_state(was)

    def shown(self) -> str:
        """The program's lines, as a traceback shows them."""
        return shown(self.lines)


def mark(waits: bool) -> Mark:
    """A new mark of this thread, at the line that runs. ``waits``: whether an optimizer's step waits for what is to be known; where it does not (on accelerators), nothing is kept either."""
    made = Mark(waits)
    if waits:
        state.undo.append(made)
        for tr in (state.trace, *state.traces.values()):
            tr.marked = True
    return made


def keep(s: Any) -> None:
    """A storage is about to be written, and there are marks."""
    old = state.undo[-1].old
    if s not in old:
        old[s] = s.value


def keep_all(storages: Any) -> None:
    for s in storages:
        keep(s)


def keep_gradient(leaf: Any) -> None:
    """A leaf is about to get another gradient."""
    state.undo[-1].gradients.setdefault(leaf, leaf._grad)


def keep_generator(generator: Any) -> None:
    """Numbers are about to be drawn."""
    kept = state.undo[-1].generators
    if generator not in kept:
        kept[generator] = generator.get_state()


# ---- what depends on what -------------------------------------------------------------------------------------------------


def ran(tr: Any, live: Any, held: Any) -> None:
    """A trace is about to run while there are marks: which of its values depend on which is written down."""
    state.runs.append((tr.nodes, [weakref.ref(v) for v in tr.inputs], dict(zip(live, [weakref.ref(v) for v in held], strict=True)), {id(g[3]): g[2] for g in tr.guards}))


def depends(v: Any, on: Mark) -> bool:
    """Whether a value comes from what was computed at a mark; of what nobody can look at any more, all do."""
    known = False
    tainted: set[int] = set()
    for nodes, inputs, held, users in state.runs:
        user = users.get(id(on), -1)
        known |= user >= 0
        bad = {-1 - i for i, ref in enumerate(inputs) if id(ref()) in tainted} if tainted else set()
        first = 0
        for node in nodes:
            n = len(node[0].outs)
            if first <= user < first + n or (bad and not bad.isdisjoint(node[1:])):
                bad.update(range(first, first + n))
            first += n
        for pos, ref in held.items():
            found = ref()
            if pos in bad and found is not None:
                tainted.add(id(found))
    return not known or not tainted or id(v) in tainted
