"""A program: a segment of a trace as one XLA executable, found by its structure."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import starmap
from types import FunctionType
from typing import Any
from weakref import WeakValueDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _config
from jtorch._engine.padded import Padded, arrays_of
from jtorch._engine.recording import kept
from jtorch._engine.recording.apart import label, readers, separate
from jtorch._engine.recording.identity import of_node
from jtorch._engine.recording.templates import called
from jtorch._engine.values import log
from jtorch._engine.values.unbroken import Elsewhere, elsewhere, one_waits, working

__all__ = ["Program", "native", "program_for", "submit"]


class Program:
    """``run(*scalar arrays by class, *inputs) -> outputs``. Two segments of equal structure are one program.

    A body is nodes ``(entry, ref, ...)``; a ref is the number of an output made before (>= 0), an input (-1, -2, ...), a constant ``("c", class, value, sign of a zero)`` or
    a runtime scalar ``("s", class, number)``. ``together``: lists of outputs that come end to end, an array for each list, after the ``outs``.
    """

    __slots__ = ("body", "outs", "donated", "together", "kinds", "run", "native", "given", "results", "cost", "template", "_compiling", "__weakref__")

    def __init__(self, body: Any, outs: Any, donated: Any, together: Any = ()) -> None:
        self.body, self.outs, self.donated, self.together = body, outs, donated, together
        kinds: list[type] = []
        for _, *refs in body:
            for r in refs:
                if r.__class__ is tuple and r[0] == "s" and r[1] not in kinds:
                    kinds.append(r[1])
        self.kinds = kinds
        shift = len(kinds)
        self.run: Any = jax.jit(self._function(), donate_argnums=tuple(d + shift for d in donated), compiler_options=_config.COMPILER_OPTIONS, keep_unused=True)
        self.native: Any = None  # the same, where it is a C function: there once it has run
        self.given: list[Any] | None = None  # what it was compiled ahead for
        self.cost = 0  # bytes, as measured when it was compiled
        self.results: Any = None  # the shapes that it then gives
        self.template: Any = None  # what it shares with programs of other numbers
        self._compiling: Any = None

    def compile(self, given: list[Any]) -> None:
        """Start compiling for inputs of these shapes (``jax.ShapeDtypeStruct``); :meth:`ready` waits. It is traced while this thread waits, then XLA works by itself."""
        if self._compiling is None:
            elsewhere(self._compile, given)

    def _compile(self, given: list[Any]) -> None:
        shift = len(self.kinds)
        what, results = kept.program(kept.name(self._identity), given, lambda: self._traced(given), tuple(d + shift for d in self.donated), submit, _config.COMPILER_OPTIONS)
        self.template = what.template
        if not what.new:
            self.cost = 1 << 12
        self.results, self._compiling, self.given = results, what, given  # in this order: who sees what it was given, another thread too, has the rest

    def _traced(self, given: list[Any]) -> Any:
        """Padded values go in and come out as their arrays: who calls it knows how they are laid out (``given``, ``results``)."""
        if not any([g.__class__ is Padded for g in given]):
            plain = self.run.trace(*given)
            if not any([x.__class__ is Padded for x in plain.out_info]):  # the sizes of what comes out may be numbers alone (affine_grid)
                return plain
        segment, shift = self._function(), len(self.kinds)
        out: list[Any] = []

        def flat(*args: Any) -> list[Any]:
            found = segment(*[Padded(a, g.dims) if g.__class__ is Padded else a for a, g in zip(args, given, strict=True)])
            out[:] = [Padded(jax.ShapeDtypeStruct(x.array.shape, x.array.dtype), x.dims) if x.__class__ is Padded else jax.ShapeDtypeStruct(x.shape, x.dtype) for x in found]
            arrays: list[Any] = arrays_of(found)
            return arrays

        arrays = arrays_of(given)
        donated = [d + shift for d in self.donated]
        if any([given[d].__class__ is Padded for d in donated]):  # how results of changing size are laid out is known only now
            jax.jit(flat, keep_unused=True).trace(*arrays)
            room = [(x.shape, x.dtype) for x in arrays_of(out)]
            donated = [d for d in donated if _taken(room, (arrays[d].shape, arrays[d].dtype))]
        made = jax.jit(flat, donate_argnums=tuple(donated), compiler_options=_config.COMPILER_OPTIONS, keep_unused=True).trace(*arrays)
        return kept.Traced(made, out, tuple(donated))

    def _identity(self) -> str:
        """Its name for other processes (identity.py)."""
        numbers: dict[Any, int] = {}
        for entry, *_ in self.body:
            numbers.setdefault(entry, len(numbers))
        nodes = [(numbers[entry], [r if r.__class__ is int else (r[0], r[1].__name__, *map(repr, r[2:])) for r in refs]) for entry, *refs in self.body]
        return f"{[of_node(entry) for entry in numbers]}{nodes}{list(self.outs)}{[list(g) for g in self.together]}"

    def ready(self) -> None:
        """Wait for the executable, if it is being compiled."""
        pending = self._compiling
        if pending is not None:
            self.run = called(pending)
            self._compiling = None

    def compiled(self) -> bool:
        """Whether the executable is there. What went wrong with it is raised here."""
        pending = self._compiling
        if pending is not None and pending.executable.done():
            self.ready()
        return self._compiling is None

    def into(self, given: tuple[Any, ...], out: list[Any]) -> Any:
        """An iterator that runs the program and adds what it gives to ``out``. Only if ``native`` is there."""
        return map(out.extend, starmap(self.native, (given,)))

    def at_a_stroke(self, given: tuple[Any, ...]) -> Any:
        """What the program gives. Only if ``native`` is there."""
        return self.native(*given)

    def first(self, given: tuple[Any, ...], then: Callable[[Any], Any]) -> Elsewhere:
        """The first run, which JAX does in Python; ``then`` is called with what it gives."""
        return Elsewhere(self._first, given, then)

    def _first(self, given: tuple[Any, ...], then: Callable[[Any], Any]) -> None:
        self.ready()
        then(self.run(*given))
        self.native = native(self.run)

    @staticmethod
    def key(body: list[Any], outs: list[int], donated: tuple[int, ...]) -> Any:
        return tuple(body), tuple(outs), donated

    def _function(self) -> Any:
        body, outs, kinds, together = self.body, self.outs, self.kinds, self.together

        def segment(*args: Any) -> list[Any]:
            packed = dict(zip(kinds, args, strict=False))
            unpacked: dict[Any, Any] = {}
            ins = args[len(kinds) :]
            vals: list[Any] = []
            labels: list[str] = []
            for entry, *refs in body:
                given = []
                for r, kept_apart in zip(refs, readers(entry, len(refs)), strict=True):
                    if r.__class__ is int:
                        x = vals[r] if r >= 0 else ins[-1 - r]
                        given.append(separate(x) if r >= 0 and labels[r] in kept_apart else x)
                    elif r[0] == "c":
                        given.append(constant(entry, r[1], r[2]))
                    else:
                        x = unpacked.get(r)
                        if x is None:
                            x = unpacked[r] = lax.index_in_dim(packed[r[1]], r[2], keepdims=False)
                        given.append(x)
                out = entry.call.apply(*given)
                if entry.out is not None:
                    vals.append(out)
                else:
                    vals.extend(out)
                labels.extend([label(entry, labels, refs)] * (len(vals) - len(labels)))
            return [*[vals[i] for i in outs], *[jnp.concatenate([vals[i].reshape(-1) for i in group]) for group in together]]

        return segment


def _taken(room: list[Any], what: Any) -> bool:
    if what not in room:
        return False
    room.remove(what)
    return True


def constant(entry: Any, kind: type, number: Any) -> Any:
    """A number as an operator of a program gets it: one that XLA does not compute with. It would make ``(x + a) + b`` to ``x + (a + b)``, which is rounded otherwise
    (``(x + 2**23) - 2**23`` would be ``x``), and the same program with numbers that change would print other digits."""
    numbers = entry.call.numbers  # whole numbers with floats are computed with; elsewhere they may be positions
    if kind is bool or not number or numbers == "program" or (kind is int and not (numbers == "elements" and entry.outs[0].dtype.is_floating_point)):
        return number
    return lax.optimization_barrier(jnp.asarray(number, {int: np.int64, float: np.float64}.get(kind, np.complex128)))


def native(fn: Any) -> Any:
    """The C function behind what JAX compiled; None if there is none. (Only JAX knows the one of what was compiled ahead. Without it, each run is done elsewhere: right, but slower.)"""
    if isinstance(fn, partial):
        inner = native(fn.func)
        return None if inner is None else partial(inner, *fn.args)
    inner = getattr(fn, "_call", fn)
    return None if inner is None or isinstance(vars(type(inner)).get("__call__"), FunctionType) or isinstance(inner, FunctionType) else inner


_programs: WeakValueDictionary[Any, Program] = WeakValueDictionary()  # kept by the plans that run them
_workers: list[ThreadPoolExecutor] = []


def _pool() -> ThreadPoolExecutor:
    if not _workers:
        _workers.append(ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), "jtorch-compile", one_waits))
    return _workers[0]


def submit(compile_: Callable[[], Any]) -> Any:
    """What it gives, as a future: one of the threads that have XLA compile does it."""
    return _pool().submit(working, compile_)


def program_for(key: Any, why: str) -> tuple[Program, bool]:
    """The program with this structure, and whether it is new (and must be compiled)."""
    found = _programs.get(key)
    if found is not None:
        return found, False
    log.compiling(key, why)
    found = _programs[key] = Program(*key)
    return found, True
