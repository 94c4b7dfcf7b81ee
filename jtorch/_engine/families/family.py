"""Families: traces that are alike but for sizes, and one program for all of them.

The first members run by their exact shapes. From the third on (from the second where the first came once), each of its operators is taken in general (``general.py``), and the sizes that changed become symbols, or expressions
of symbols (``solving.py``); which program has room for a member says ``rooms.py``. What came out is a guess: the sizes of every later member are checked against it before the family's program runs for it, so a wrong one costs time and
never an answer. A member that does not fit is one more sample for a better guess.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

from jtorch import _config, _dtypes
from jtorch._engine.padded import Frame, NoRule, Padded, Room, arrays_of, evaluate, fit, is_symbolic, number, plain, replaced, shift_of, single, value_at
from jtorch._engine.recording import guards
from jtorch._engine.recording.bundle import Bundle
from jtorch._engine.recording.entry import NUMBERS
from jtorch._engine.recording.needed import first_outputs, needed_nodes
from jtorch._engine.recording.program import Program
from jtorch._engine.recording.trace import Trace
from jtorch._engine.recording.vjp import derived
from jtorch._engine.values import log
from jtorch._engine.values.values import Value, aval, jax_device

from .checking import PaddedCheck
from .general import General, blind, general_of, places_of, sizes_of
from .held import Held, kept_wide, padded_input
from .rooms import Rooms
from .solving import Solver

__all__ = ["Member", "join", "stats"]

_TRIES = 6  # guesses at one family; then its members run by their exact shapes
_SAMPLES = 3
_LONG = 8  # operators: a program of fewer is sooner compiled once more than it is guessed from two sizes what changes
_WHOLE = 240
_OFTEN = 64  # runs of one size,
_OTHERS = 5  # and so many times those are all of its family's: as of a program that keeps to a few sizes
_GROUPS = 500  # kinds of traces that are remembered without being a family


class _Stats:
    """Counters for tests and benchmarks."""

    __slots__ = ("runs", "programs", "families")

    def __init__(self) -> None:
        self.runs = self.programs = self.families = 0


stats = _Stats()


class _Other:
    """The aval of a value of changing size: like those of the same type and room alone."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype


@functools.lru_cache(4096)
def _other(dtype: Any, lengths: tuple[int, ...]) -> _Other:
    return _Other(dtype)


class PaddedNode:
    """An operator of a family's program: takes the place of an entry in a body. The last input are the sizes."""

    __slots__ = ("call", "general", "names", "room", "outs", "out", "inputs", "name", "op", "numbers", "runtime_scalars")

    def __init__(self, general: General, names: tuple[Any, ...], room: Room) -> None:
        self.general, self.names, self.room = general, general.by_name(names), room
        call = general.entry.call
        self.call, self.name, self.op, self.numbers, self.runtime_scalars = self, call.name, None, call.numbers, call.runtime_scalars
        f = Frame(room, {}, self.names)
        shapes = [f.dims(a.shape) for a in general.entry.outs]
        self.outs: Any = tuple([
            _other(t, tuple(map(room.pad, s))) if any(map(is_symbolic, s)) else aval(s, t, a.device) for s, a, t in zip(shapes, general.entry.outs, general.types, strict=True)
        ])  # fmt: skip
        self.out = None if general.entry.out is None else self.outs[0]
        self.inputs = general.entry.inputs

    def weight(self) -> int:
        """How many operations of XLA it is, roughly."""
        return self.general.equations

    def identity(self) -> str:
        """Its name for other processes (identity.py)."""
        return f"padded({self.general.identity()};{[str(d) for d in self.names.values()]};{self.room.identity()})"

    def apply(self, *given: Any) -> Any:
        *arrays, sizes = given
        every = _Sizes(sizes)
        f = Frame(self.room, every, self.names)
        values = []
        for a, like in zip(arrays, self.inputs, strict=True):
            kind = NUMBERS[like].dtype if isinstance(like, type) else like.dtype.np
            if a.__class__ is not Padded:
                a = number(a, kind) or Padded(jnp.asarray(a, kind), single(np.shape(a)))
            a = _in_type(a, kind)
            values.append(a if isinstance(like, type) else _as_here(f, a, f.dims(like.shape)))
        out = [_in_type(p, t.np) for p, t in zip(evaluate(f, self.general.jaxpr, values), self.general.types, strict=True)]
        out = [p.array if plain(p) else p for p in out]
        return out[0] if self.out is not None else tuple(out)


def _learn_bases(entries: Sequence[Any]) -> None:
    """What gives hidden outputs is derived from an operator that no trace has, but that is asked for its plan at each new size: it is taken in general, too."""
    origins = [e.call.origin for e in entries]
    if all(o is not None and o[0] is derived and o[1][-1] is None for o in origins):
        _learn([o[1][0] for o in origins])


def _learn(entries: Sequence[Any]) -> None:
    """Take what is no part of the program in general, so that it is not traced for each new size."""
    try:
        general_of(entries)
    except ValueError:  # these sizes are in the way: then it is traced for each
        pass


def _in_type(p: Padded, kind: Any) -> Padded:
    return p if p.array.dtype == kind else Padded(p.array.astype(kind), p.dims)


def _as_here(f: Frame, p: Padded, shape: tuple[Any, ...]) -> Padded:
    """The value with its sizes written as this operator has them: one size may come as several expressions, which are equal for every member."""
    for i, (factors, d) in enumerate(zip(p.dims, shape, strict=True)):
        if len(factors) == 1 and not factors[0] == d:
            array = p.array if is_symbolic(d) else fit(p.array, p.axes(i)[0], d)
            p = Padded(array, (*p.dims[:i], (d,), *p.dims[i + 1 :]))
    return p


class _Sizes(dict[str, Any]):
    """The true sizes by symbol, read from the array that has them when they are asked for."""

    def __init__(self, sizes: Any) -> None:
        super().__init__({f"n{i}": sizes[i] for i in range(sizes.shape[0])})


_node = functools.lru_cache(4096)(PaddedNode)
_check = functools.lru_cache(512)(PaddedCheck)


class Family:
    """One guess. ``watched``: the nodes that have symbolic sizes, each with its general entry, and what the symbols of that are in the family's."""

    def __init__(self, nodes: list[Any], live: Sequence[int], checks: Sequence[Any], samples: list[tuple[list[Any], list[Value]]]) -> None:
        """``samples``: nodes and inputs of traces that are alike but for sizes. ValueError, with the reason, if they cannot be one family, and NoRule if no others like them can."""
        self.nodes, self.runs, self.tries = nodes, 0, 0
        self.checked = [(p, user) for p, _, user in checks]
        self.needed = needed_nodes(nodes, [*live, *[p for p, _ in self.checked if p >= 0]])
        owner = [k for k, node in enumerate(nodes) for _ in node[0].outs]
        # What nobody needs is not computed, but its indices are checked, against sizes that change too.
        self.lasting = sorted({*self.needed, *[owner[user] for _, user in self.checked]})
        self.watched: list[tuple[int, General, tuple[Any, ...]]] = []
        self.inputs: dict[int, tuple[Any, ...]] = {}
        self.programs: dict[Any, _Program] = {}
        self.dynamic: set[int] = set()
        solver = self._solve(samples)
        self.columns = solver.columns
        if not self.columns:
            raise ValueError("nothing but sizes below 2 changes")
        self._bind(solver, samples)
        reach: dict[str, int] = {}
        for d in solver.known.values():
            shifted = shift_of(d)
            if shifted is not None:
                reach[shifted[0]] = max(reach.get(shifted[0], 0), shifted[1])
        shapes = [[replaced(d, by) if is_symbolic(d) else d for d in out.shape] for _, general, names in self.watched for by in (general.by_name(names),) for out in general.entry.outs]
        shapes += [list(dims) for dims in self.inputs.values()]  # what is padded is copied
        self.succeeded = self._succeeded(live, samples[-1][1])
        self.layouts = {i: self._layout(dims, parts) for parts in (self._merged(),) for i, dims in self.inputs.items()}
        self.shifts = {i: [shift_of(d) if is_symbolic(d) else None for d in dims] for i, dims in self.inputs.items()}
        of = {k: general.equations for k, general, _ in self.watched}
        equations = sum([of.get(k, 1) for k in self.needed])
        self.rooms = Rooms([f"n{i}" for i in range(len(self.columns))], reach, shapes, equations)
        stats.families += 1

    def _succeeded(self, live: Sequence[int], inputs: list[Value]) -> set[int]:
        """Inputs of changing size that a result takes the place of, as a cache's next state does: it has their type, and their room whatever that is."""
        first = first_outputs(self.nodes)
        made = {first[k] + j: (general.types[j], self._axes([replaced(d, by) if is_symbolic(d) else d for d in a.shape]))
                for k, general, names in self.watched for by in (general.by_name(names),) for j, a in enumerate(general.entry.outs)}  # fmt: skip
        results = {made[p] for p in live if p in made}
        return {i for i, dims in self.inputs.items() if (inputs[i].aval.dtype, self._axes(dims)) in results}

    @staticmethod
    def _axes(dims: Sequence[Any]) -> tuple[Any, ...]:
        shifts = [shift_of(d) if is_symbolic(d) else None for d in dims]
        return tuple([str(d) if shifted is None else (shifted[0],) for d, shifted in zip(dims, shifts, strict=True)])

    def _merged(self) -> dict[str, tuple[Any, Any]]:
        """Of dims that an operator makes of two that lie side by side, as ``x.view(-1, d)`` does: which two."""
        found: dict[str, tuple[Any, Any]] = {}
        for _, general, names in self.watched:
            by = general.by_name(names)
            ins, outs = ([[replaced(d, by) if is_symbolic(d) else d for d in a.shape] for a in avals if not isinstance(a, type)] for avals in (general.entry.inputs, general.entry.outs))
            given = {str(d) for shape in ins for d in shape}
            made = {str(d): d for shape in outs for d in shape if is_symbolic(d) and shift_of(d) is None and str(d) not in given}
            for text, d in made.items():
                for shape in ins:
                    for a, b in zip(shape, shape[1:], strict=False):
                        if is_symbolic(b) and a * b == d:
                            found.setdefault(text, (a, b))
        return found

    @staticmethod
    def _layout(dims: Sequence[Any], parts: dict[str, tuple[Any, Any]]) -> tuple[tuple[Any, ...], ...]:
        """How an input is laid out: what elsewhere is made of two dims has an axis for each, as that has, so that neither has to be moved where they meet."""
        return tuple([parts.get(str(d), (d,)) for d in dims])

    def _solve(self, samples: list[tuple[list[Any], list[Value]]]) -> Solver:
        solver = Solver()
        lasting = set(self.lasting)
        for i, values in enumerate(zip(*[ins for _, ins in samples], strict=True)):
            if len({v.aval for v in values}) > 1:
                columns = list(zip(*[v.aval.shape for v in values], strict=True))
                self.inputs[i] = tuple(columns)
        solver.prepare([c for columns in self.inputs.values() for c in columns if len(set(c)) > 1])
        self.inputs = {i: tuple([solver.dim(c) for c in columns]) for i, columns in self.inputs.items()}
        for k in range(len(self.nodes)):
            entries = [nodes[k][0] for nodes, _ in samples]
            if all(e is entries[0] for e in entries):
                continue
            _learn_bases(entries)
            if k not in lasting:
                _learn(entries)
                continue
            general = general_of(entries)
            if isinstance(general, str):
                raise NoRule(general)
            local = [general.fit(sizes_of(e)) for e in entries]
            names = tuple([solver.dim(c) for c in zip(*local, strict=True)])
            self.watched.append((k, general, names))
            by = general.by_name(names)
            for j, out in enumerate(general.entry.outs):
                for axis, d in enumerate(out.shape):
                    if is_symbolic(d):
                        solver.learn(tuple([e.outs[j].shape[axis] for e in entries]), replaced(d, by))
        return solver

    def _bind(self, solver: Solver, samples: list[tuple[list[Any], list[Value]]]) -> None:
        """Where each symbol's value is read from: a place among the sizes of a trace."""
        texts: list[str] = [str(d) for dims in self.inputs.values() for d in dims] + [str(d) for _, _, names in self.watched for d in names]
        where = places_of(texts)
        if len(where) < len(solver.columns):
            raise ValueError("a size that is nowhere by itself")
        self.places = [where[f"n{i}"] for i in range(len(solver.columns))]
        distinct = list(dict.fromkeys(texts))
        number = {t: i for i, t in enumerate(distinct)}
        self.expected = [number[t] for t in texts]
        names = ",".join(f"n{i}" for i in range(len(solver.columns)))
        functions = {"floordiv": lambda a, b: a // b, "mod": lambda a, b: a % b, "max": max, "min": min}
        self.values: Callable[..., Any] = eval(f"lambda {names}: ({','.join(distinct).replace('^', '**')},)", functions)  # noqa: S307

    def sizes_of(self, nodes: list[Any], inputs: list[Value]) -> tuple[int, ...] | None:
        """The values of the symbols in a trace; None if it is no member."""
        sizes = [n for i in self.inputs for n in inputs[i].aval.shape]
        for k, general, _ in self.watched:
            entry = nodes[k][0]
            known = entry.general
            local = known[1] if known is not None and known[0] is general else general.fit(sizes_of(entry))
            if local is None:
                return None
            sizes += local
        values = tuple([sizes[p] // times for p, times in self.places])
        if min(values) < 2:
            return None
        every = self.values(*values)
        if sizes != [every[i] for i in self.expected]:
            return None
        changing = {k for k, _, _ in self.watched}
        for k in self.lasting:
            if k not in changing and nodes[k][0] is not self.nodes[k][0]:
                return None
        for i, v in enumerate(inputs):
            if i not in self.inputs and v.aval is not self.input_avals[i]:
                return None
        return values

    input_avals: list[Any]
    device: Any
    grows = False  # whether what changes grows by one
    latest: weakref.ref[Any] | None = None  # what the last run is remembered by,
    row = 0  # and how often it came in a row

    def program(self, values: tuple[int, ...], inputs: Sequence[Any], donated: tuple[int, ...], checks: Sequence[Any]) -> _Program:
        held = [pair for i, shifts in self.shifts.items() if inputs[i].__class__ is Held and len(inputs[i].sizes) == len(shifts) for pair in zip(shifts, inputs[i].array.shape, strict=True)]
        bounds = self.rooms.choose(values, held, donated)
        found = self.programs.get((bounds, donated))
        if found is None:
            found = self.programs[bounds, donated] = _Program(self, bounds, checks)
        return found


class _Program:
    """A family's nodes for one bucket."""

    def __init__(self, family: Family, bounds: tuple[int, ...], checks: Sequence[Any]) -> None:
        self.bounds, room = bounds, family.rooms.room(bounds)
        self.lengths = {i: tuple([room.pad(d) for factors in layout for d in factors]) for i, layout in family.layouts.items()}
        sizes = -1 - len(family.input_avals)
        self.nodes = list(family.nodes)
        for k, general, names in family.watched:
            _, *refs = family.nodes[k]
            self.nodes[k] = (_node(general, names, room), *refs, sizes)
        owner = [k for k, node in enumerate(family.nodes) for _ in node[0].outs]
        by_node: dict[int, Any] = {k: (general, names) for k, general, names in family.watched}
        for p, (_, bounds), user in checks:
            general, names = by_node.get(owner[user], (None, ()))
            self.nodes.append((_check(general, bounds, names, room), p, sizes))
        self.checks = range(len(owner), len(owner) + len(checks))
        self.inputs = []
        for i, a in enumerate([*family.input_avals, aval((len(family.columns),), _dtypes.int64, family.device)]):
            v = Value()
            stands_for: Any = a if i not in family.inputs else _other(a.dtype, self.lengths[i]) if i in family.succeeded else _Other(a.dtype)
            v.aval, v.array, v.trace, v.pos = stands_for, None, None, -1
            self.inputs.append(v)
        self.recipe: Any = None
        self.compiled: tuple[Any, dict[int, list[Any]]] | None = None  # the plan whose programs are, and how its padded values are laid out


class Member:
    """A trace of a family: what to run for it, and the sizes."""

    __slots__ = ("family", "group", "sizes")

    def __init__(self, group: _Group, family: Family, sizes: tuple[int, ...]) -> None:
        self.group, self.family, self.sizes = group, family, sizes

    def outgrown(self, recipe: Any) -> bool:
        """Whether this one size, which has come as ``recipe`` now, comes so often that a program of its own pays."""
        family = self.family
        if family.latest is not None and family.latest() is recipe:
            family.row += 1
        else:
            family.latest, family.row = weakref.ref(recipe), 1
        return (recipe.seen > _OFTEN and _OTHERS * recipe.seen > family.runs) or family.rooms.worth_its_own(family.row, self._elements)

    def _elements(self) -> int:
        values = {f"n{i}": n for i, n in enumerate(self.sizes)}
        return sum([general.elements([value_at(d, values) for d in names]) for _, general, names in self.family.watched])

    def prepare(
        self, tr: Trace, arrays: list[Any], live: Sequence[int], held: Sequence[Value], donated: Sequence[int], checks: guards.Checks, why: str, planned: Any, recipe: Any
    ) -> tuple[Any, list[Any], Any, list[Any]] | None:
        """The plan, what it is given, and a function that makes of its live outputs what values hold, and where guards find something (place, what it is of); None if the family's program cannot be made. ``planned``, ``recipe``: how the executor
        makes plans, and what it remembers of them."""
        family = self.family
        if self.group.given_up:
            return None
        static = [i for i in donated if i not in family.inputs or (i in family.succeeded and not _shared(arrays[i]))]
        try:
            program = family.program(self.sizes, arrays, tuple(static), checks)
        except Exception as error:  # a rule raises what it likes
            log.fault(error)
            self.group.give_up(str(error))
            return None
        given = list(arrays)
        values = {f"n{i}": n for i, n in enumerate(self.sizes)}
        for i, layout in family.layouts.items():
            shape = tr.inputs[i].aval.shape
            sizes = shape if len(program.lengths[i]) == len(shape) else tuple([value_at(d, values) for factors in layout for d in factors])
            given[i] = padded_input(tr.inputs[i], given[i], layout, program.lengths[i], sizes)
        given.append(np.array(self.sizes, np.int64))
        made = Trace(tr.device)
        made.nodes, made.inputs, made.scalars = list(program.nodes), program.inputs, tr.scalars
        if program.recipe is None:
            program.recipe = recipe()
            program.recipe.seen, program.recipe.scalars = 2, [_NEVER if i in family.dynamic else s for i, s in enumerate(tr.scalars)]
        before = program.recipe.plan
        try:
            plan = planned(made, program.recipe, (), given, [*live, *program.checks], static, why, whole=family.grows and whole(made.nodes))
            layouts_of = self._layouts(program, plan, given, tr)
        except Exception as error:  # nothing has run yet: whatever stands in the way of this program, the exact one does not need it
            program.recipe.plan = before
            log.fault(error)
            self.group.give_up(f"{type(error).__name__}: {error}" if not isinstance(error, NoRule) else f"no rule for {error}")
            return None
        family.runs += 1
        stats.runs += 1
        checked = [(plan.inputs + i, ((bounds.size(a), bounds, k),)) for k, (i, (_, (a, bounds), _)) in enumerate(zip(program.checks, checks, strict=True))]
        layouts = [layouts_of.get(plan.inputs + k) for k in live]
        if any(layouts):
            kept_wide(held, layouts, max([program.bounds[i] / n for i, n in enumerate(self.sizes)]))
        return plan, arrays_of(given), functools.partial(self._held, layouts) if any(layouts) else None, checked

    def _layouts(self, program: _Program, plan: Any, given: list[Any], tr: Trace) -> dict[int, list[Any]]:
        """The factors that the axes of a plan's padded values stand for. Its programs are compiled if they are not: another thread may have made the plan a moment ago, or what a handler has interrupted. Then both do it:
        to wait here, where a finalizer may have come from the other's tracing, could be for ever."""
        made = program.compiled
        if made is None or made[0] is not plan:
            made = program.compiled = plan, self._compile(plan, given, tr)
        return made[1]

    def _held(self, layouts: list[Any], out: list[Any]) -> list[Any]:
        global in_use
        values = {f"n{i}": n for i, n in enumerate(self.sizes)}
        in_use = True
        return [x if factors is None else Held(x, tuple([value_at(d, values) for d in factors])) for x, factors in zip(out, layouts, strict=True)]

    def _compile(self, plan: Any, given: list[Any], tr: Trace) -> dict[int, list[Any]]:
        """Trace all programs of a plan, each on what those before it give, then compile them side by side. How its padded values are laid out."""
        here = SingleDeviceSharding(jax_device(tr.device))

        def struct(a: Any) -> Any:
            return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here)

        slots: list[Any] = [jax.tree.map(struct, x) for x in given] + [None] * (plan.size - len(given))
        fresh: list[Program] = []
        for n, (program, gather, outs, scalars, dead) in enumerate(plan.steps):
            inputs = [jax.ShapeDtypeStruct((len(of),), NUMBERS[kind].dtype) for kind, of in scalars or ()] + list(gather(slots))
            if program.given is not None and not _alike(program.given, inputs):  # the same nodes on values that are laid out otherwise
                program = Program(program.body, program.outs, program.donated)
                plan.steps[n] = (program, gather, outs, scalars, dead)
            if program.given is None:
                stats.programs += 1
                program.compile(inputs)
                fresh.append(program)
            for slot, r in zip(outs, program.results, strict=True):
                slots[slot] = jax.tree.map(struct, r)
        for program in fresh:
            program.ready()
        return {slot: x.factors for slot, x in enumerate(slots) if slot >= len(given) and x.__class__ is Padded}


def _shared(array: Any) -> bool:
    """Whether what is held padded is in other hands too: JAX gives an input back as it is where a program's result is just that."""
    return array.__class__ is Held and getrefcount(array.array) > 2


def _alike(a: list[Any], b: list[Any]) -> bool:
    x, y = jax.tree.flatten(a), jax.tree.flatten(b)
    return x[1] == y[1] and [(s.shape, s.dtype) for s in x[0]] == [(s.shape, s.dtype) for s in y[0]]


_NEVER = object()


class _Group:
    """Traces that are alike but for sizes: the last of them, and the guesses that were made from them."""

    __slots__ = ("samples", "families", "given_up", "tries", "latest")

    def __init__(self) -> None:
        self.samples: list[tuple[list[Any], list[Value], list[Any]]] = []
        self.latest: weakref.ref[Any] | None = None  # what the latest sample is remembered by
        self.families: list[Family] = []
        self.given_up, self.tries = False, 0

    def give_up(self, why: str) -> None:
        self.given_up, self.samples, self.families = True, [], []
        log.exact_shapes(why)


_groups: dict[Any, _Group] = {}


def _sample_of(tr: Trace) -> tuple[list[Any], list[Any], list[Any]]:
    like = []
    for v in tr.inputs:
        x = Value()
        x.aval, x.array, x.trace, x.pos = v.aval, None, None, -1
        like.append(x)
    return list(tr.nodes), like, list(tr.scalars)


def _seen(recipe: weakref.ref[Any]) -> int:
    """How often a sample came. What came once before its like came in another size has no size of its own; what came often has, and a smaller last batch may go on as it is."""
    known = recipe()
    return 1 if known is None else int(known.seen)


def _growing(samples: list[tuple[list[Any], list[Value], list[Any]]]) -> bool:
    """Whether what changes has grown by one, as a cache does: two samples say what three would."""
    (_, before, _), (_, now, _) = samples[-2:] if len(samples) > 1 else samples * 2
    if [len(v.aval.shape) for v in before] != [len(v.aval.shape) for v in now]:  # of inputs that the nodes do not read nothing is said
        return False
    steps = {n - m for v, w in zip(before, now, strict=True) for m, n in zip(v.aval.shape, w.aval.shape, strict=True)}
    return steps == {0, 1} or steps == {1}


def whole(nodes: Sequence[Any]) -> bool:
    """Whether these nodes of a growing family's program are one program, however long: it runs for many sizes of each bucket, and without a way back it is soon compiled."""
    return len(nodes) <= _WHOLE and all([_operator(node[0]) for node in nodes])


def _operator(entry: Any) -> bool:
    if entry.__class__ is PaddedNode:
        entry = entry.general.entry
    return entry.__class__ is PaddedCheck or entry.call.op is not None


changing: weakref.WeakSet[Value] = weakref.WeakSet()  # marked by the program: their dims will change,
lasting: weakref.WeakSet[Value] = weakref.WeakSet()  # or will not


def _wanted(tr: Trace) -> bool | None:
    """What the program or its user have said about one program for all sizes of this trace."""
    if tr.dynamic is not None:
        return tr.dynamic
    if lasting and any(v in lasting for v in tr.inputs):
        return False
    if changing and any(v in changing for v in tr.inputs):
        return True
    return _config.DYNAMIC


def join(tr: Trace, live: Sequence[int], checks: guards.Checks, recipe: Any = None) -> Member | None:
    """The membership of a trace whose like, to the sizes, was not met before. None: it runs by its exact shapes. ``recipe``: it is remembered by (held weakly), and has counted how often it was ``seen``."""
    dynamic = _wanted(tr)
    if dynamic is False or not tr.nodes or _config.EAGER:  # operators run at once are for looking closely: nothing is padded
        return None
    key = (tr.device, tuple([((node[0] if node[0].__class__ is Bundle else blind(node[0])), *node[1:]) for node in tr.nodes]), tuple(live), tuple([(p, user) for p, _, user in checks]))
    group = _groups.get(key)
    if group is None:
        if len(_groups) >= _GROUPS:
            for k in [k for k, g in list(_groups.items()) if not g.families]:
                _groups.pop(k, None)
        group = _groups[key] = _Group()
    if group.given_up:
        return None
    for family in group.families:
        sizes = family.sizes_of(tr.nodes, tr.inputs)
        if sizes is not None:
            return Member(group, family, sizes)
    entries = [node[0] for node in tr.nodes]
    if any([node[0] for node in nodes] == entries for nodes, _, _ in group.samples):
        return None
    group.samples = [*group.samples[1 - _SAMPLES :], _sample_of(tr)]
    unsettled, group.latest = group.latest is not None and _seen(group.latest) <= 1, None if recipe is None else weakref.ref(recipe)
    if len(group.samples) < (2 if dynamic or (unsettled and len(tr.nodes) >= _LONG) or _growing(group.samples) else _SAMPLES):
        return None
    group.tries += 1
    if group.tries > _TRIES:
        group.give_up("its sizes follow no rule that holds")
        return None
    try:
        family = Family(list(tr.nodes), live, checks, [(nodes, ins) for nodes, ins, _ in group.samples])
    except NoRule as error:
        group.give_up(str(error))
        return None
    except ValueError as error:  # these sizes; others may do
        log.exact_shapes(str(error))
        return None
    except Exception as error:  # a guess that cannot be made must not stand in the way of what was recorded
        log.fault(error)
        group.give_up(f"{type(error).__name__}: {error}")
        return None
    family.device = tr.device
    family.input_avals = [v.aval for v in tr.inputs]
    family.grows = _growing(group.samples)
    numbers = [scalars for _, _, scalars in group.samples]
    family.dynamic = {i for i, every in enumerate(zip(*numbers, strict=True)) if len({(type(x), str(x)) for x in every}) > 1}
    sizes = family.sizes_of(tr.nodes, tr.inputs)
    if sizes is None:
        return None
    group.families.append(family)
    return Member(group, family, sizes)


in_use = False  # whether there is any value that is held padded


def exact(tr: Trace, arrays: list[Any], member: Member | None) -> None:
    """Give what is held padded its own array, where a trace needs exact shapes."""
    for i, a in enumerate(arrays):
        if a.__class__ is Held and (member is None or i not in member.family.inputs):
            arrays[i] = a.take(tr.inputs[i])


def _forget() -> None:
    _groups.clear()


_config.on_change(_forget)
