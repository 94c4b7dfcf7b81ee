"""General entries: an operator on inputs of symbolic sizes, from which entries for new sizes are made without asking JAX again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from jtorch import _dtypes

from ..entry import NUMBERS, Entry
from ..call import Call
from ..padded import Frame, Padded, Room, evaluate, is_symbolic, single
from ..values import Aval, aval
from .outline import blind_of, dims_of, inputs_with, outline, symbolic_aval, with_sizes
from .solving import Solver

__all__ = ["General", "entry_for", "general_of", "symbolic_entry", "sizes_of"]


class General:
    """``entry``: with symbolic inputs and outputs. ``fit(sizes)``: of a call's sizes and its inputs' dims, the values of the symbols, or None if they are not of this form."""

    __slots__ = ("entry", "fit", "shapes", "count", "_jaxpr")

    def __init__(self, entry: Entry, pattern: Sequence[Any], count: int) -> None:
        self.entry, self.count = entry, count
        self.fit: Any = _matcher(pattern, count)
        self.shapes: Any = _function(",".join(f"n{i}" for i in range(count)), _text([_text(list(a.shape)) for a in entry.outs]))
        self._jaxpr: ClosedJaxpr | None = None

    @property
    def jaxpr(self) -> ClosedJaxpr:
        """The operator's program over its symbols."""
        if self._jaxpr is None:
            self._jaxpr = jax.make_jaxpr(self.entry.call.apply)(*self.entry.structs())
        return self._jaxpr

    def apply_exactly(self, sizes: Sequence[int], arrays: Sequence[Any]) -> Any:
        """The operator on arrays of exact shapes."""
        f = Frame(Room({}), {}, {f"n{i}": n for i, n in enumerate(sizes)})
        kinds = self.entry.structs()
        given = [Padded(a if hasattr(a, "ndim") else np.asarray(a, s.dtype), single(np.shape(a))) for a, s in zip(arrays, kinds, strict=True)]
        out = [p.array for p in evaluate(f, self.jaxpr, given)]
        return out[0] if self.entry.out is not None else tuple(out)


def _function(params: str, body: str) -> Any:
    names = {"floordiv": lambda a, b: a // b, "mod": lambda a, b: a % b, "max": max, "min": min}
    return eval(f"lambda {params}: {body}", names)  # noqa: S307 - sizes as JAX writes them


def _text(parts: Sequence[Any]) -> str:
    return "(" + "".join(f"{p}," for p in parts).replace("^", "**") + ")"


def _matcher(pattern: Sequence[Any], count: int) -> Any:
    """A function of the sizes. What each symbol is comes from the first place where it stands alone."""
    where: dict[str, int] = {}
    for i, d in enumerate(pattern):
        if is_symbolic(d):
            where.setdefault(str(d), i)
    names = [f"n{i}" for i in range(count)]
    fixed = [(i, d) for i, d in enumerate(pattern) if not is_symbolic(d)]
    tests = [f"v[{i}] == {d}" for i, d in fixed]
    given = []
    for name in names:  # a solver gives every symbol to some column
        tests.append(f"({name} := v[{where[name]}]) >= 2")
        given.append(name)
    tests += [f"v[{i}] == {d}".replace("^", "**") for i, d in enumerate(pattern) if is_symbolic(d) and where.get(str(d)) != i or (is_symbolic(d) and str(d) not in names)]
    return _function("v", f"{_text(given)} if {' and '.join(tests) or 'True'} else None")


_generals: dict[int, list[General]] = {}
_entries: dict[Any, Entry] = {}
_failed: dict[Any, str] = {}


def symbolic_entry(call: Call, inputs: tuple[Any, ...]) -> Entry:
    """As ``make_entry``, for inputs (and calls) with symbolic sizes."""
    key = (call, inputs)
    found = _entries.get(key)
    if found is None:
        structs = [NUMBERS[a] if isinstance(a, type) else a.struct for a in inputs]
        shapes = jax.eval_shape(lambda *arrays: call.apply(*arrays), *structs)
        alone = not isinstance(shapes, (tuple, list))
        where = next((a.device for a in inputs if isinstance(a, Aval)), None)
        outs = []
        for s in (shapes,) if alone else shapes:
            like = Aval()
            like.dtype, like.device = _dtypes.from_np(np.dtype(s.dtype)), where  # type: ignore[assignment]
            outs.append(symbolic_aval(tuple(s.shape), like))
        found = _entries[key] = Entry(call, inputs, tuple(outs), alone, where)  # type: ignore[arg-type]
    return found


def sizes_of(entry: Entry) -> tuple[int, ...]:
    """A call's sizes and its inputs' dims."""
    return outline(entry.call).sizes + dims_of(entry.inputs)


def blind(entry: Entry) -> int:
    """Equal for entries that are alike but for sizes."""
    found = entry.blind
    if found is None:
        found = entry.blind = blind_of(entry.call, entry.inputs)
    return found  # type: ignore[no-any-return]


def general_of(entries: Sequence[Entry]) -> General | str:
    """The general entry that all of these, alike but for sizes, are cases of. Why there is none, otherwise."""
    samples = [sizes_of(e) for e in entries]
    known = _generals.setdefault(blind(entries[0]), [])
    for general in known:
        if all(general.fit(s) is not None for s in samples):
            return general
    solver = Solver()
    columns = list(zip(*samples, strict=True))
    try:
        solver.prepare(columns)
        pattern = tuple([solver.dim(c) for c in columns])
    except ValueError as error:
        return f"{entries[0].call.name}: {error}"
    key = (blind(entries[0]), pattern)
    failed = _failed.get(key)
    if failed is not None:
        return failed
    try:
        rest = iter(pattern)
        call = with_sizes(entries[0].call, rest)
        entry = symbolic_entry(call, inputs_with(entries[0].inputs, rest))
    except Exception as error:  # whatever a function does that only numbers can
        found = _failed[key] = f"{entries[0].call.name}: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        return found
    general = General(entry, pattern, len(solver.columns))
    if entry.device is not entries[0].device or [a.dtype for a in entry.outs] != [a.dtype for a in entries[0].outs]:
        found = _failed[key] = f"{entries[0].call.name}: other types"
        return found
    for e, s in zip(entries, samples, strict=True):
        sizes = general.fit(s)
        if sizes is None or general.shapes(*sizes) != tuple([a.shape for a in e.outs]):
            found = _failed[key] = f"{entries[0].call.name}: other shapes"
            return found
    known.append(general)
    return general


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
            outs = tuple([aval(shape, a.dtype, a.device) for shape, a in zip(general.shapes(*sizes), like.outs, strict=True)])
            entry = Entry(call, inputs, outs, like.out is not None, like.device)
            entry.general, entry.blind = (general, sizes), number
            return entry
    return None
