"""Steps over several devices whose small arrays go in and out end to end.

A call costs Python's thread some microseconds for each array that goes in or comes out, since that has a buffer on each device. What a step that comes again and again replaces by what it gives (parameters, an
optimizer's state), and what it gives and nobody has any more a step later (gradients), need not be arrays of their own in between: the plan's program is compiled once more, in a thread, with those end to
end (``values/rows.py``), and takes over when it is ready. Who looks at one gets its own array; if that goes on step after step, all stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import islice, repeat, starmap
from operator import attrgetter, is_, itemgetter
from sys import getrefcount
from typing import Any
from weakref import ref

import jax
import numpy as np
from jax.sharding import NamedSharding

from jtorch import _config
from jtorch._engine.planning.liveness import LISTED
from jtorch._engine.recording.entry import NUMBERS
from jtorch._engine.recording.program import native, submit
from jtorch._engine.values import log
from jtorch._engine.values.rows import Form, Row, Rows, axes_of, own
from jtorch._engine.values.unbroken import elsewhere
from jtorch._engine.values.values import Value, outside_jit

__all__ = ["Watch", "slots_of"]

ENOUGH = 16  # runs after which a plan is worth another program
LEAST = 8  # arrays that are worth it
SMALL = 1 << 17  # bytes of an array on each device: what is larger is sooner given by itself than copied
LOOKS = 8  # runs in a row in which somebody has had arrays of their own, after which they come so

_set_array: Any = Value.array.__set__  # type: ignore[misc]
_array = attrgetter("array")
_set_flat: Any = Rows.flat.__set__  # type: ignore[misc]
_set_taken: Any = Rows.taken.__set__  # type: ignore[misc, union-attr]


def slots_of(groups: Any, scalars: Sequence[Any]) -> list[Any]:
    """The runtime scalars of a program, packed by class: one array each."""
    return [np.array([scalars[i] for i in slots], kind) for kind, slots in groups]


class _Group:
    """Arrays that go end to end. ``ins``: their numbers among the program's inputs, if they are what the last run gave; ``outs``: among the values that it gives."""

    __slots__ = ("form", "ins", "outs", "put")

    def __init__(self, form: Form, ins: list[int] | None, outs: list[int]) -> None:
        self.form, self.ins, self.outs = form, ins, outs
        self.put = itemgetter(*outs)


class Watch:
    """What is known of the arrays that a plan's runs take and give, until it runs packed, and then how.

    First some runs go by; of one more is noted what it gives; the next shows which of that it takes and overwrites; and the one after that which of it is gone by then."""

    __slots__ = ("_awaited", "_came", "_earlier", "_given", "_kept", "_lies", "_program", "_single", "groups", "looks", "native", "places", "runs")

    def __init__(self) -> None:
        self.runs, self.looks = 0, 0
        self.native: Any = None  # the packed program as a C function
        self.groups: list[_Group] = []
        self.places: tuple[int, ...] = ()
        self._given: list[Any] = []  # weak references to the values that were given
        self._lies: list[Any] = []  # how their arrays lie
        self._came: dict[int, int] = {}  # number of such a value -> of the program's input that it was next
        self._awaited: Any = None  # what is being compiled
        self._program: Any = None  # its function, and what it is given
        self._kept: Any = None  # picks the inputs that are arrays of their own; the numbers of such values, and their places among the results
        self._earlier: tuple[list[Any], list[Any]] = [], []  # weak references to what the last runs but one and the last gave that is gone by the next
        self._single: Any = None

    def into(self, plan: Any, inputs: Sequence[Value], arrays: list[Any], scalars: Any, held: Sequence[Value], places: tuple[int, ...]) -> tuple[list[Any] | None, list[Any]]:
        """Iterators as :meth:`Plan.into` gives them, of a run in which what is small goes end to end; None if it does not, and what is to be gone through besides."""
        if self.native is not None:
            return self._packed(plan, arrays, scalars, held) if places == self.places else None, []
        n = self.runs
        if n < 0:
            return None, []
        self.runs = n + 1
        if n == ENOUGH:
            self.places, self._given = places, list(map(ref, held))
            return None, [map(self._lies.extend, (map(_lies, held),))]
        if n == ENOUGH + 1:
            program, gather, _, _, _ = plan.steps[0]
            given = gather(inputs)
            at = {id(v): k for k, r in enumerate(self._given) if (v := r()) is not None}
            self._came = {at[id(given[j])]: j for j in program.donated if id(given[j]) in at}
        elif n == ENOUGH + 2:
            self._choose(plan, arrays, held, places)
        elif self._awaited is not None and self._awaited.done():
            self._begin()
            if self.native is not None:
                return self.into(plan, inputs, arrays, scalars, held, places)
        return None, []

    def _give_up(self) -> None:
        self.__init__()  # type: ignore[misc]
        self.runs = -1

    def _choose(self, plan: Any, arrays: list[Any], held: Sequence[Value], places: tuple[int, ...]) -> None:
        """What goes end to end; have the program for that compiled, in a thread."""
        came, lies = self._came, self._lies
        gone = [k for k, r in enumerate(self._given) if k not in came and ((v := r()) is None or v is held[k])]
        program = plan.steps[0][0]
        if places != self.places or not len(set(places)) == len(places) == len(lies) == len(program.outs) or not all([w.is_fully_addressable for w in lies]):
            self._give_up()
            return
        rows: dict[Any, list[int]] = {}
        for k in [*came, *gone]:
            where, a = lies[k], held[k].aval
            if where.__class__ is NamedSharding and len(where.device_set) > 1 and 0 < a.nbytes <= SMALL * _parts(where):
                rows.setdefault((k in came, a.dtype, where.mesh, axes_of(where)), []).append(k)
        for (cycles, kind, *_), ks in rows.items():
            if len(ks) >= LEAST:
                form = Form([held[k].aval.shape for k in ks], kind.np, [lies[k] for k in ks])
                self.groups.append(_Group(form, [came[k] for k in ks] if cycles else None, ks))
        if not self.groups:
            self._give_up()
            return
        self._compile(plan, arrays, places)

    def _compile(self, plan: Any, arrays: list[Any], places: tuple[int, ...]) -> None:
        program, gather, _, slots, _ = plan.steps[0]
        shift, count = len(program.kinds), len(gather(range(plan.inputs)))
        taken = [j for g in self.groups for j in g.ins or ()]
        left = [j for j in range(count) if j not in set(taken)]
        mine = [g for g in self.groups if g.ins is not None]
        packed = {k for g in self.groups for k in g.outs}
        single = [k for k in range(len(places)) if k not in packed]
        segment, groups = program._function(), self.groups

        def run(*args: Any) -> list[Any]:
            ins: list[Any] = [None] * count
            for j, x in zip(left, args[shift:], strict=False):
                ins[j] = x
            for g, flat in zip(mine, args[shift + len(left) :], strict=True):
                for j, x in zip(g.ins or (), g.form.apart(flat), strict=True):
                    ins[j] = x
            outs = segment(*args[:shift], *ins)
            return [*[outs[places[k]] for k in single], *[g.form.end_to_end([outs[places[k]] for k in g.outs]) for g in groups]]

        donated = [shift + left.index(j) for j in program.donated if j not in set(taken)] + [shift + len(left) + n for n in range(len(mine))]
        lies = tuple([*[self._lies[k] for k in single], *[g.form.sharding for g in groups]])
        given = gather(arrays)
        self._given = [
            *[jax.ShapeDtypeStruct((len(of),), NUMBERS[kind].dtype) for kind, of in slots or ()],
            *[jax.ShapeDtypeStruct(given[j].shape, given[j].dtype, sharding=given[j].sharding) for j in left],
            *[g.form.struct for g in mine],
        ]
        self._program = jax.jit(run, donate_argnums=tuple(donated), compiler_options=_config.COMPILER_OPTIONS, keep_unused=True, out_shardings=list(lies))
        self._kept = _picking(left)
        self._single = single
        log.gathering(len(program.body), sum([len(g.outs) for g in self.groups]))
        self._awaited = submit(partial(_compiled, elsewhere(self._program.lower, *self._given)))

    def _begin(self) -> None:
        """It is compiled: let it run on zeros, which JAX does in Python the first time."""
        lowered, structs = self._awaited.result(), self._given
        self._awaited, self._given, self._lies, self._came = None, [], [], {}
        if lowered is None:
            self._give_up()
            return
        del lowered
        elsewhere(_on_zeros, self._program, structs)
        self.native = native(self._program)
        if self.native is None:
            self._give_up()

    def _packed(self, plan: Any, arrays: list[Any], scalars: Any, held: Sequence[Value]) -> list[Any] | None:
        _, gather, _, slots, _ = plan.steps[0]
        mine = gather(arrays)
        flats, homes, looked = [], [], False
        for g in self.groups:
            if g.ins is None:
                continue
            rows = list(map(mine.__getitem__, g.ins))
            home = _home_of(rows, g.form)
            if home is not None:
                looked = looked or home.taken is not None
                flats.append(home.flat)
            else:
                looked = True
                own(rows)
                if tuple([(a.shape, a.dtype) for a in rows]) != g.form.each:
                    return None
                flats.append(g.form.pack(rows))
                home, rows = _new_rows(g.form)
            homes.append((home, rows))
        looked = looked or any([r() is not None for r in self._earlier[0]])  # one is kept, and with it all
        self.looks = self.looks + 1 if looked else 0
        if self.looks > LOOKS:
            self._give_up()
            return None
        left: Any = self._kept(mine)
        if Row in set(map(type, left)):
            left = list(left)
            own(left)
        given = (*(slots_of(slots, scalars) if slots is not None else ()), *left, *flats)
        del mine, arrays, flats, left
        results: list[Any] = []
        gone: list[Any] = []
        stays: list[Any] = []
        doings = [map(results.extend, starmap(self.native, (given,)))]
        there = iter(homes)
        for k, g in enumerate(self.groups, len(self._single)):
            targets = g.put(held)
            before = list(map(_array, targets))
            if g.ins is not None:
                home, rows = next(there)
            else:
                found = _home_of(before, g.form)
                if found is not None and max(map(getrefcount, before)) <= LISTED + 1:  # the same values get others: nobody else has what stands for them
                    home, rows = found, before
                    stays.append(found)
                else:
                    home, rows = _new_rows(g.form)
                    gone.append(ref(home))
            # What stands for an array stays, and what it is of changes: those that had it are no more, or are what gets it now.
            doings += [map(_set_flat, (home,), islice(results, k, k + 1)), map(_set_taken, (home,), (None,))]
            if not all(map(is_, before, rows)):
                doings.append(map(_set_array, targets, rows))
        self._earlier = [r for r in self._earlier[1] if r() not in stays], gone
        doings.append(map(_set_array, map(held.__getitem__, self._single), results))
        return doings


def _home_of(rows: list[Any], form: Form) -> Rows | None:
    """What these are the rows of, all of them in order; None if they are not."""
    first = rows[0]
    home: Rows | None = first[0] if first.__class__ is Row else None
    return home if home is not None and home.form is form and rows == list(zip(repeat(home), form.numbers)) else None


def _new_rows(form: Form) -> tuple[Rows, list[Any]]:
    home = Rows(form)
    return home, list(map(Row, zip(repeat(home), form.numbers)))


def _lies(v: Value) -> Any:
    return v.array.sharding


def _parts(where: NamedSharding) -> int:
    """In how many parts an array that lies so is cut."""
    return math.prod([where.mesh.shape[name] for name in axes_of(where)])


def _picking(of: list[int]) -> Any:
    if len(of) > 1:
        return itemgetter(*of)
    return lambda given: tuple([given[i] for i in of])


def _on_zeros(run: Any, structs: list[Any]) -> None:
    with outside_jit():
        jax.block_until_ready(run(*[np.zeros(s.shape, s.dtype) if s.sharding is None else jax.device_put(np.zeros(s.shape, s.dtype), s.sharding) for s in structs]))


def _compiled(lowered: Any) -> Any:
    """What was compiled; None if it could not be: runs go on as they are."""
    try:
        return lowered.compile()
    except Exception:  # noqa: BLE001
        return None
