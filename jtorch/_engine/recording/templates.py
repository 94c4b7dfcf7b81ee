"""Programs that differ in their numbers alone are one executable.

A number that is part of an operator's structure (an exponent, an epsilon, the order of a norm) is in the program as a literal. What the function does with it decides what the program looks like:
so it is traced for each value, which costs milliseconds, and what comes out is compared. The first program of a kind has its literals as constants. When another comes that has other ones, the same
operations are compiled once more with the literals as inputs, and all further ones run that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import jax
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Literal

from jtorch._engine.padded import arrays_of

__all__ = ["at_once", "called", "compiled"]

_INLINED = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr"}
_MOST = 4000  # operations of a program that is looked at


class Template:
    """What programs of equal operations share: ``first``, the executable with its own ``literals``, and ``shared``, the one that is given them (futures both, the second when it is needed)."""

    __slots__ = ("literals", "first", "shared", "__weakref__")

    def __init__(self, literals: tuple[Any, ...]) -> None:
        self.literals = literals
        self.first: Any = None
        self.shared: Any = None


_templates: WeakValueDictionary[Any, Template] = WeakValueDictionary()  # kept by the programs


def template_of(closed: ClosedJaxpr, more: Any) -> tuple[Template, tuple[Any, ...]] | None:
    """The template of a program and its literals; None for what cannot be compared. ``more`` is what else must be equal (what is donated)."""
    literals: list[Any] = []
    shape = _Shape(literals)
    try:
        key = (shape.of(closed, True), more)
        found = _templates.get(key)
    except (TypeError, RecursionError, _Unlike):
        return None
    given = tuple(literals)
    if found is None:
        found = _templates[key] = Template(given)
    return found, given


class _Unlike(Exception):
    """It cannot be compared."""


class _Shape:
    """A jaxpr as something that can be hashed: variables by number, literals by type alone (and their values in a list) where they could be inputs."""

    def __init__(self, literals: list[Any]) -> None:
        self.literals, self.count = literals, 0

    def of(self, closed: Any, free: bool, inside: dict[Any, int] | None = None, given: Any = ()) -> Any:
        jaxpr, consts = (closed.jaxpr, closed.consts) if isinstance(closed, ClosedJaxpr) else (closed, ())
        number: dict[Any, Any] = {}
        out: list[Any] = [len(jaxpr.invars)]
        for v in jaxpr.invars:
            number[v] = len(number)
            out.append((v.aval.shape, str(v.aval.dtype)))
        for v in jaxpr.constvars:
            number[v] = len(number)
        out += [_frozen_array(c) for c in consts]
        for eqn in jaxpr.eqns:
            self.count += 1
            if self.count > _MOST:
                raise _Unlike
            name = eqn.primitive.name
            inner = _INLINED.get(name)
            if inner not in eqn.params and (getattr(eqn.primitive, "call_primitive", False) or getattr(eqn.primitive, "map_primitive", False)):
                raise _Unlike
            refs = tuple(self.literal(v, free) if isinstance(v, Literal) else number[v] for v in eqn.invars)
            out.append((name, refs, self.of(eqn.params[inner], free) if inner in eqn.params else self.params(eqn.params)))
            for v in eqn.outvars:
                number[v] = len(number)
                if inner is None:
                    out.append((getattr(v.aval, "shape", None), str(getattr(v.aval, "dtype", None))))
        out.append(tuple(self.literal(v, free) if isinstance(v, Literal) else number[v] for v in jaxpr.outvars))
        return tuple(out)

    def literal(self, v: Any, free: bool) -> Any:
        x = np.asarray(v.val, v.aval.dtype)
        if free and _is_number(x):
            self.literals.append(x)
            return ("literal", x.dtype.str)
        return _frozen_array(x)

    def params(self, params: dict[str, Any]) -> Any:
        return tuple((name, self.param(v)) for name, v in sorted(params.items()))

    def param(self, v: Any) -> Any:
        if isinstance(v, ClosedJaxpr) or hasattr(v, "eqns"):
            return self.of(v, False)
        if v.__class__ in (tuple, list):
            return tuple(self.param(x) for x in v)
        if isinstance(v, np.ndarray):
            return _frozen_array(v)
        hash(v)
        return (v.__class__, v)


def _is_number(x: np.ndarray) -> bool:
    return bool(x.ndim == 0 and x.dtype != np.bool_)


def _frozen_array(x: Any) -> Any:
    a = np.asarray(x)
    return a.shape, a.dtype.str, a.tobytes() if a.nbytes <= 4096 else id(x)


def packed(literals: tuple[Any, ...]) -> list[np.ndarray]:
    """Literals by type, one array each."""
    return [np.array([x for x in literals if x.dtype == kind]) for kind in _kinds(literals)]


def _kinds(literals: tuple[Any, ...]) -> list[np.dtype[Any]]:
    return list(dict.fromkeys(x.dtype for x in literals))


def with_inputs(closed: ClosedJaxpr, literals: tuple[Any, ...]) -> Callable[..., Any]:
    """The function of ``(*packed literals, *inputs)`` that does what the program does."""
    kinds = _kinds(literals)

    def run(*args: Any) -> Any:
        arrays = dict(zip(kinds, args, strict=False))
        at = dict.fromkeys(kinds, 0)

        def numbers() -> Iterator[Any]:
            for x in literals:
                i = at[x.dtype]
                at[x.dtype] = i + 1
                yield lax.index_in_dim(arrays[x.dtype], i, keepdims=False)

        return _evaluate(closed, args[len(kinds) :], numbers())

    return run


def _evaluate(closed: Any, args: Any, numbers: Iterator[Any]) -> list[Any]:
    jaxpr, consts = (closed.jaxpr, closed.consts) if isinstance(closed, ClosedJaxpr) else (closed, ())
    known: dict[Any, Any] = dict(zip(jaxpr.invars, args, strict=True)) | dict(zip(jaxpr.constvars, consts, strict=True))

    def read(v: Any) -> Any:
        if not isinstance(v, Literal):
            return known[v]
        x = np.asarray(v.val, v.aval.dtype)
        return next(numbers) if _is_number(x) else x

    for eqn in jaxpr.eqns:
        given = [read(v) for v in eqn.invars]
        inner = _INLINED.get(eqn.primitive.name)
        if inner in eqn.params:
            results = _evaluate(eqn.params[inner], given, numbers)
        else:
            made = eqn.primitive.bind(*given, **eqn.params)
            results = made if eqn.primitive.multiple_results else [made]
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


class Compiling(NamedTuple):
    """What a program runs: ``executable`` (a future of it, as its ``run``), and the ``literals`` that it is given (None: it has its own). ``new``: it is being compiled, or loaded, for this program."""

    template: Template | None
    executable: Any
    literals: tuple[Any, ...] | None
    new: bool


def compiled(traced: Any, donated: tuple[int, ...], given: list[Any], submit: Callable[[Any], Any], options: Any) -> Compiling:
    """The executable of a traced program for inputs like ``given``. ``submit`` starts the compilation of a lowered one and returns its future, of something whose ``run`` is the executable."""
    # One result and a list of one are the same jaxpr: how results are handed out is part of what is shared.
    found = template_of(traced.jaxpr, (donated, tuple(getattr(g, "sharding", None) for g in given), jax.tree.structure(arrays_of(traced.out_info))))
    if found is None:
        return Compiling(None, submit(traced.lower()), None, True)
    template, literals = found
    if _same(literals, template.literals):  # what another thread compiles meanwhile with other literals is not the first, though that is not there yet
        new = template.first is None
        first = template.first = submit(traced.lower()) if new else template.first
        return Compiling(template, first, None, new)
    new = template.shared is None
    if new:
        numbers = packed(literals)
        shapes = [jax.ShapeDtypeStruct(n.shape, n.dtype) for n in numbers]
        fn = jax.jit(with_inputs(traced.jaxpr, literals), donate_argnums=tuple(d + len(numbers) for d in donated), compiler_options=options, keep_unused=True)
        template.shared = submit(fn.lower(*shapes, *given))
    return Compiling(template, template.shared, literals, new)


def at_once(compile: Any) -> Any:
    """The future of what is done now."""
    done: Future[Any] = Future()
    done.set_result(compile())
    return done


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def called(what: Compiling) -> Any:
    """The executable when it is there, given its numbers: a function of the inputs."""
    executable = what.executable.result().run
    if what.literals is None:
        return executable
    return partial(executable, *packed(what.literals))
