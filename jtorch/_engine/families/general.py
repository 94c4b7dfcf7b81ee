"""General entries: an operator on inputs of symbolic sizes, from which entries for new sizes are made without asking JAX again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxprs_in_params

from jtorch import _config
from jtorch._engine.padded import Frame, Padded, Room, evaluate, is_symbolic, replaced, single, symbols_under
from jtorch._engine.recording import entry as entry_module
from jtorch._engine.recording import vjp
from jtorch._engine.recording.call import Call
from jtorch._engine.recording.entry import Entry
from jtorch._engine.recording.identity import of_node
from jtorch._engine.recording.kept import fact, keep_fact, name
from jtorch._engine.values.values import aval

from . import outline as outlines
from .outline import Symbolic, blind_of, dims_of, expected_inputs, inputs_with, outline, symbolic_entry, with_sizes
from .solving import Solver

__all__ = ["General", "blind", "entry_for", "general_of", "places_of", "sizes_of"]


class General:
    """``entry``: with symbolic inputs and outputs. ``types``: of the outputs where the sizes are numbers (positions that are kept for backward may be wider here). ``fit(sizes)``: of a call's sizes and its inputs' dims, the values of the symbols, or None if they are not of this form."""

    __slots__ = ("entry", "types", "fit", "shapes", "names", "conditions", "_equations", "_elements")

    def __init__(self, entry: Symbolic, types: Sequence[Any], names: Sequence[str], fit: Any, conditions: Sequence[str] = ()) -> None:
        self.entry, self.types, self.names, self.fit, self.conditions = entry, tuple(types), names, fit, conditions
        self.shapes: Any = _function(",".join(names), _text([_text(list(a.shape)) for a in entry.outs]))
        self._equations: int | None = None
        self._elements: Any = None

    @property
    def jaxpr(self) -> ClosedJaxpr:
        """The operator's program over its symbols."""
        return self.entry.jaxpr

    @property
    def equations(self) -> int:
        """How many equations its program has, those of loops and branches among them. It is kept, so that the next process need not trace it to know."""
        if self._equations is None:
            text = name(self.identity)
            key, found = (None, None) if text is None else fact("equations", text, self.entry.device)
            if found.__class__ is not int:
                found = _count(self.jaxpr.jaxpr)
                keep_fact(key, found)
            self._equations = found
        return self._equations

    def elements(self, sizes: Sequence[int]) -> int:
        """How many elements its equations give, where its symbols are these sizes."""
        if self._elements is None:
            count = Counter(["*".join([f"({d})" for d in shape]) or "1" for shape in _given(self.jaxpr.jaxpr)])
            self._elements = _function(",".join(self.names), "+".join([f"{n}*{text}" for text, n in count.items()]).replace("^", "**") or "0")
        return int(self._elements(*sizes))

    def identity(self, more: Any = "") -> str:
        """Its name for other processes (identity.py): symbols by number, since they are counted through in each process. ``more``: what is said besides with its symbols."""
        number = {n: f"#{i}" for i, n in enumerate(self.names)}
        return re.sub(r"\bs\d+\b", lambda m: number.get(m.group(), m.group()), f"{of_node(self.entry)}{self.conditions}{more}")

    def by_name(self, dims: Sequence[Any]) -> dict[str, Any]:
        """What its symbols are."""
        return dict(zip(self.names, dims, strict=True))


def _count(jaxpr: Jaxpr) -> int:
    inner = [sum(map(_count, jaxprs_in_params(eqn.params))) for eqn in jaxpr.eqns]
    return sum(inner) + inner.count(0)


def _given(jaxpr: Jaxpr) -> Iterator[tuple[Any, ...]]:
    """The shapes of what its equations give, those of calls as of what they call."""
    for eqn in jaxpr.eqns:
        inner = list(jaxprs_in_params(eqn.params))
        for j in inner:
            yield from _given(j)
        if not inner:
            yield from [v.aval.shape for v in eqn.outvars]


def _function(params: str, body: str) -> Any:
    names = {"floordiv": lambda a, b: a // b, "mod": lambda a, b: a % b, "max": max, "min": min}
    return eval(f"lambda {params}: {body}", names)  # noqa: S307 - sizes as JAX writes them


def _text(parts: Sequence[Any]) -> str:
    return "(" + "".join(f"{p}," for p in parts).replace("^", "**") + ")"


def _matcher(pattern: Sequence[Any], names: Sequence[str], conditions: Sequence[str]) -> Any:
    """A function of the sizes. What each symbol is comes from the first place where it stands alone."""
    where = places_of([str(d) for d in pattern if is_symbolic(d)])
    number = [i for i, d in enumerate(pattern) if is_symbolic(d)]
    tests = [f"v[{i}] == {d}" for i, d in enumerate(pattern) if not is_symbolic(d)]
    tests += [f"({name} := v[{number[where[name][0]]}]{f' // {where[name][1]}' if where[name][1] > 1 else ''}) >= 2" for name in names]
    tests += [f"v[{i}] == {d}" for i, d in enumerate(pattern) if is_symbolic(d) and not (str(d) in names and number[where[str(d)][0]] == i)]
    return _function("v", f"{_text(names)} if {' and '.join([*tests, *conditions]) or 'True'} else None".replace("^", "**"))


def places_of(texts: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Where each symbol can be read: the first place where it stands by itself, or else times a number, which is the second."""
    found: dict[str, tuple[int, int]] = {}
    for i, text in enumerate(texts):
        alone = _MULTIPLE.fullmatch(text)
        if alone is not None:
            times = int(alone.group(1) or 1)
            known = found.get(alone.group(2))
            if known is None or times < known[1]:
                found[alone.group(2)] = (i, times)
    return found


_MULTIPLE = re.compile(r"(?:(\d+)\*)?([ns]\d+)")
_generals: dict[int, list[General]] = {}
_failed: dict[Any, str] = {}


def sizes_of(entry: Entry) -> tuple[int, ...]:
    """A call's sizes and its inputs' dims."""
    return outline(entry.call).sizes + dims_of(entry.inputs)


def blind(entry: Entry) -> int:
    """Equal for entries that are alike but for sizes."""
    found = entry.blind
    if found is None:
        found = entry.blind = blind_of(entry.call, entry.inputs)
    return found


def general_of(entries: Sequence[Entry]) -> General | str:
    """The general entry that all of these, alike but for sizes, are cases of; why the operator has none, otherwise. ValueError if these sizes are in the way."""
    samples = [sizes_of(e) for e in entries]
    columns = list(zip(*samples, strict=True))
    if min([min(c) for c in columns if len(set(c)) > 1], default=2) < 2:
        raise ValueError("a size of 0 or 1 among changing ones")
    known = _generals.setdefault(blind(entries[0]), [])
    for general in known:
        if all(general.fit(s) is not None for s in samples):
            return general
    reason = ""
    own = len(outline(entries[0].call).sizes)
    # What the inputs of a derived call are follows from what it was derived from. Solved by themselves they say less: where every length was even, it would be twice what pooling left of it.
    follow = entries[0].call.origin is not None and entries[0].call.origin[0] is vjp.derived
    for solved, multiples in [(own, False)] * follow + [(len(columns), False), (len(columns), True)]:
        solver = Solver()
        solver.prepare(columns[:solved], multiples)
        pattern = [*[solver.dim(c) for c in columns[:solved]], *[c[0] for c in columns[solved:]]]
        key = (blind(entries[0]), tuple(map(str, pattern)))
        found = _failed.get(key) or _made(entries, pattern, solver)
        if not isinstance(found, str):
            known.append(found)
            return found
        _failed[key] = found
        reason = reason or found
    return reason


def _made(entries: Sequence[Entry], pattern: list[Any], solver: Solver) -> General | str:
    first, count = entries[0], len(solver.columns)
    conditions: list[str] = []
    for _ in range(_COMPARISONS):
        own = symbols_under(conditions, count)
        names = [str(x) for x in own]
        by = {f"n{i}": x for i, x in enumerate(own)}
        try:
            mine = [replaced(d, by) if is_symbolic(d) else d for d in pattern]
            rest = iter(mine)
            call = with_sizes(first.call, rest)
            entry = symbolic_entry(call, expected_inputs(call) or inputs_with(first.inputs, rest))
        except Exception as error:  # whatever a function does that only numbers can
            condition = _decided(str(error), names, solver)
            if condition is None:
                return f"{first.call.name}: {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
            conditions.append(condition)
            continue
        whole = [*mine[: len(outline(first.call).sizes)], *[d for a in entry.inputs if not isinstance(a, type) for d in a.shape]]
        if len(entry.inputs) != len(first.inputs) or len(whole) != len(pattern):
            return f"{first.call.name}: backward reads other values than where the sizes are numbers"
        alone = places_of([str(d) for d in whole])
        if not all(n in alone for d in whole if is_symbolic(d) for n in _NAME.findall(str(d))):
            return f"{first.call.name}: a size that is nowhere by itself"
        texts = [re.sub(r"\bn(\d+)\b", lambda m: names[int(m.group(1))], c) for c in conditions]  # noqa: B023 - used at once
        names = [n for n in names if n in alone]
        types = [a.dtype for a in first.outs]
        if len(entry.outs) != len(types):
            return f"{first.call.name}: backward keeps {len(entry.outs)} values, and {len(types)} where the sizes are numbers"
        general = General(entry, types, names, _matcher(whole, names, texts), texts)
        if entry.device is not first.device or not all([_same_type(a.dtype, t, first.call) for a, t in zip(entry.outs, types, strict=True)]):
            return f"{first.call.name}: other types"
        for e in entries:
            sizes = general.fit(sizes_of(e))
            if sizes is None or general.shapes(*sizes) != tuple([a.shape for a in e.outs]):
                return f"{first.call.name}: other shapes"
        return general
    return f"{first.call.name}: too many comparisons of sizes"


def _same_type(a: Any, b: Any, call: Call) -> bool:
    """JAX takes wider integers for positions in a dim whose size is a symbol: what a derived call keeps of them says as much in the narrow ones."""
    return a is b or (call.op is None and a.category == b.category == 1)


_COMPARISONS = 12
_NAME = re.compile(r"\bs\d+\b")
_INCONCLUSIVE = re.compile(r"Symbolic dimension comparison '(.+?)' (>=|<=|>|<) '(.+?)' is inconclusive")
_WHERE_SO = {">=": ("{a} >= {b}", "{a} <= {b} - 1"), "<=": ("{a} <= {b}", "{a} >= {b} + 1"), ">": ("{a} >= {b} + 1", "{a} <= {b}"), "<": ("{a} <= {b} - 1", "{a} >= {b}")}


def _decided(message: str, names: Sequence[str], solver: Solver) -> str | None:
    """What a function compared, decided as it is in the samples: a condition on the sizes. None if it was something else. ValueError if the samples do not agree."""
    found = _INCONCLUSIVE.search(message)
    if found is None:
        return None
    a, op, b = [re.sub(r"\bs\d+\b", lambda m: f"n{names.index(m.group())}", x) for x in found.groups()]
    test = _function(",".join(f"n{i}" for i in range(len(names))), f"({a}) {op} ({b})".replace("^", "**"))
    answers = {bool(test(*values)) for values in zip(*solver.columns, strict=True)}
    if len(answers) != 1:
        raise ValueError(f"some are {a} {op} {b} and some are not")
    return _WHERE_SO[op][0 if answers.pop() else 1].format(a=a, b=b)


def entry_for(call: Call, inputs: tuple[Any, ...]) -> Entry | None:
    """An entry for new sizes, from a general one; None if none fits."""
    if not _generals:
        return None
    number = blind_of(call, inputs)
    known = _generals.get(number)
    if not known:
        return None
    every = outline(call).sizes + dims_of(inputs)
    for general in known:
        sizes = general.fit(every)
        if sizes is not None:
            like = general.entry
            outs = tuple([aval(shape, t, a.device) for shape, a, t in zip(general.shapes(*sizes), like.outs, general.types, strict=True)])
            entry = Entry(call, inputs, outs, like.out is not None, like.device)
            entry.general, entry.blind = (general, sizes), number
            return entry
    return None


entry_module.general_entry = entry_for


def plan_for(entry: Entry, mask: tuple[bool, ...]) -> vjp.Plan:
    """The plan of an entry that was made from a general one: that one's, for these sizes."""
    general, sizes = entry.general
    try:
        like = vjp.plan_of(general.entry, mask)
        whole = None if like.forward is None else symbolic_entry(like.forward, general.entry.inputs)
    except Exception:  # a rule compares what the function itself does not: then as for any other sizes
        return vjp.build(entry, mask)
    def exact() -> vjp.Plan | None:
        """What JAX makes for these sizes, if it saves the same."""
        made = vjp.build(entry, mask)
        alike = (made.saved_in, made.saved_out, made.hidden) == (like.saved_in, like.saved_out, like.hidden)
        return made if alike else None

    def forward(*arrays: Any) -> Any:
        made = exact()
        if made is not None and made.forward is not None:
            return made.forward.apply(*arrays)
        assert whole is not None
        return _exactly(whole, general, sizes, arrays)

    def backward(given: tuple[bool, ...]) -> Any:
        def apply(*arrays: Any) -> Any:
            made = exact()
            if made is not None:
                return made.backward(given).apply(*arrays)
            return _exactly(symbolic_entry(like.backward(given), vjp.inputs_of(whole or general.entry, like, given)), general, sizes, arrays)

        return apply

    return vjp.plan_of_shape(entry, (mask, False), vjp.shape_of(like), None if like.forward is None else forward, backward)


def _exactly(entry: Symbolic, general: General, sizes: Sequence[int], arrays: Sequence[Any]) -> Any:
    """A symbolic entry on arrays of exact shapes."""
    f = Frame(Room({}), {}, general.by_name(sizes))
    kinds = entry.structs()
    given = [Padded(a if hasattr(a, "ndim") else np.asarray(a, s.dtype), single(np.shape(a))) for a, s in zip(arrays, kinds, strict=True)]
    out = [p.array for p in evaluate(f, entry.jaxpr, given)]
    return out[0] if entry.out is not None else tuple(out)


vjp.general_plan = plan_for


def _forget() -> None:
    for known in (_generals, _failed, outlines.ENTRIES):
        known.clear()


_config.on_change(_forget)
