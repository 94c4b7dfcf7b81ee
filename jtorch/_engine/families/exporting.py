"""A function recorded at several sizes as one program for all: what ``jtorch.export`` hands to ``jax.export``.

The function's Python never sees a symbol: it runs once for each sample of sizes, as a :class:`Body` that is not computed. What the sizes of its operators are in terms of those of the inputs is
solved from the samples, as for a family; but no value is padded here, and nothing is guessed that other sizes could show to be wrong without an error: what is no expression of the inputs' sizes is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax

from jtorch._engine.padded import is_symbolic, replaced
from jtorch._engine.recording.bodies import Body, Part
from jtorch._engine.recording.trace import SCALAR, force
from jtorch._engine.values.unbroken import aside
from jtorch._engine.values.values import Value

from .general import sizes_of
from .outline import blind_of, with_sizes
from .solving import Solver

__all__ = ["Differs", "Exportable", "Made", "Solved", "alike", "exportable", "solved"]


class Differs(ValueError):
    """The function cannot be one program for these sizes."""


class Made(NamedTuple):
    """A constant that is made for any sizes: ``start``, plus ``steps`` (numbers, one for each dim) times an element's place."""

    dims: list[Any]
    start: Any
    steps: list[Any]
    dtype: Any

    def array(self, put: Callable[[Any], Any]) -> Any:
        shape = tuple(map(put, self.dims))
        number = lambda x: x if x.__class__ is not tuple else jnp.asarray(put(x[1]))
        out = jnp.full(shape, number(self.start), None if any(self.steps) else self.dtype)  # type: ignore[no-untyped-call]
        for k, step in enumerate(self.steps):
            if step.__class__ is tuple or step:
                out = out + number(step) * lax.broadcasted_iota(np.int64, shape, k)  # type: ignore[no-untyped-call]
        return out.astype(self.dtype)


class Solved(NamedTuple):
    """A function recorded at several sizes, for any: its ``part`` as it was first; the sizes of each node's call and inputs (``patterns``), its numbers, the dims of its inputs and results; what
    it reads from outside (``frees``) and constants that are made. A size is an int, or an expression of ``symbol(i)``, of which ``columns`` says what they were."""

    part: Part
    patterns: list[list[Any]]
    numbers: list[Any]
    dims: list[list[Any]]
    out_dims: list[list[Any]]
    frees: list[Value]
    made: dict[int, Made]
    columns: list[tuple[int, ...]]
    size: Callable[[tuple[int, ...], str], Any]  # what a size is, that was these in the samples


class Exportable(NamedTuple):
    """``call(frees, inputs) -> outputs`` over arrays with symbolic dims; ``frees``: the values that it reads from outside; ``structs``: of each input."""

    call: Callable[..., Any]
    frees: list[Value]
    structs: list[Any]


def solved(bodies: Sequence[Body], outs: Sequence[Sequence[Value]], inputs: Sequence[Sequence[Value]], names: Sequence[str], sizes: Sequence[Sequence[int]]) -> Solved:
    """What bodies recorded at different sizes have in common. ``inputs``: of each, the inputs that stand for the arguments; ``names`` and ``sizes``: what changes, and what it was in each.
    :class:`Differs` where they are not one program."""
    parts = [Part(b, o) for b, o in zip(bodies, outs, strict=True)]
    first = parts[0]
    places = [{id(v): i for i, v in enumerate(mine)} for mine in inputs]
    for p, mine in zip(parts[1:], places[1:], strict=True):
        _alike(first, p, places[0], mine)
    solver = Solver()
    for column in zip(*sizes, strict=True):
        solver.dim(column)
    if len(solver.columns) != len(names):
        raise Differs("two of the changing sizes are one the other's multiple in all samples")

    def of(column: tuple[int, ...], what: str) -> Any:
        if len(set(column)) == 1:
            return column[0]
        found = solver.known.get(column)
        if found is None:
            found = solver._expression(column)
        if found is None:
            found = _of_two(column, solver.known)
        if found is None:
            raise Differs(f"{what} is {', '.join(map(str, column))} where {', '.join(f'{n} is {c}' for n, c in zip(names, map(list, solver.columns), strict=True))}: no expression of them is known")
        solver.learn(column, found)
        return found

    patterns: list[list[Any]] = []
    for at, (entry, *_) in enumerate(first.nodes):
        columns = zip(*[sizes_of(p.nodes[at][0]) for p in parts], strict=True)
        patterns.append([of(c, f"a size of {entry.call.name}") for c in columns])
    numbers = [_number(column, of) for column in zip(*[p.numbers for p in parts], strict=True)]
    dims = [[of(c, "a size of an input") for c in zip(*[mine[i].aval.shape for mine in inputs], strict=True)] for i in range(len(inputs[0]))]
    out_dims = [[of(c, "a size of a result") for c in zip(*[o[i].aval.shape for o in outs], strict=True)] for i in range(len(outs[0]))]
    made: dict[int, Made] = {}
    frees: list[Value] = []
    for values in zip(*[p.values for p in parts], strict=True):
        if id(values[0]) not in places[0]:
            how = None if all(v is values[0] for v in values) else _made(values, of)
            if how is None:
                frees.append(values[0])
            else:
                made[id(values[0])] = how
    return Solved(first, patterns, numbers, dims, out_dims, frees, made, solver.columns, of)


def alike(bodies: Sequence[Body], outs: Sequence[Sequence[Value]], inputs: Sequence[Sequence[Value]]) -> None:
    """:class:`Differs` unless two bodies do the same, but for sizes. The arguments are :func:`solved`'s."""
    _alike(*[Part(b, o) for b, o in zip(bodies, outs, strict=True)], *[{id(v): i for i, v in enumerate(mine)} for mine in inputs])  # type: ignore[arg-type]


def exportable(found: Solved, inputs: Sequence[Value], names: Sequence[str], bounds: Sequence[str]) -> Exportable:
    """The program for symbolic sizes. ``bounds``: conditions on the names, as ``jax.export`` writes them."""
    places, free_at = {id(v): i for i, v in enumerate(inputs)}, {id(v): i for i, v in enumerate(found.frees)}
    conditions = list(bounds)
    for _ in range(_COMPARISONS):
        symbols = export.symbolic_shape(",".join(names), constraints=conditions) if names else ()
        own = {f"n{i}": s for i, s in enumerate(symbols)}
        put: Callable[[Any], Any] = lambda d: _put(d, own)
        structs = [jax.ShapeDtypeStruct(tuple(map(put, d)), v.aval.dtype.np) for d, v in zip(found.dims, inputs, strict=True)]
        run = _program(found, put, places, free_at)
        try:
            aside(jax.eval_shape, run, [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype.np) for v in found.frees], structs)
        except Exception as error:
            condition = _decided(str(error), names, found.columns)
            if condition is None or condition in conditions:
                raise
            conditions.append(condition)
            continue
        return Exportable(run, found.frees, structs)
    raise Differs("too many comparisons of sizes")


_COMPARISONS = 60


def _of_two(column: tuple[int, ...], known: dict[tuple[int, ...], Any]) -> Any:
    """A size as a multiple of a product, or as a sum, of two that are known."""
    every = [(c, d) for c, d in known.items() if len(set(c)) > 1]
    for i, (a, x) in enumerate(every):
        for b, y in every[i:]:
            product = [m * n for m, n in zip(a, b, strict=True)]
            if all(c and not c % p and c // p == column[0] // product[0] for c, p in zip(column, product, strict=True)):
                return x * y * (column[0] // product[0])
            if all(c == m + n for c, m, n in zip(column, a, b, strict=True)):
                return x + y
            if all(c == m - n for c, m, n in zip(column, a, b, strict=True)):
                return x - y
    return None


def _step(a: np.ndarray[Any, Any], axis: int) -> Any:
    """How much an array grows from its first element to the next along an axis."""
    if a.shape[axis] < 2 or a.dtype == np.bool_:
        return 0
    at = tuple(int(k == axis) for k in range(a.ndim))
    step = (a[at] - a.flat[0]).item()
    return 0 if step != step else step


def _affine(shape: Sequence[int], start: Any, steps: Sequence[Any]) -> Any:
    out: Any = np.full(shape, start)
    for k, step in enumerate(steps):
        if step:
            out = out + step * np.arange(shape[k]).reshape([-1 if i == k else 1 for i in range(len(shape))])
    return out


def _put(d: Any, mine: dict[str, Any]) -> Any:
    return replaced(d, mine) if is_symbolic(d) else d


def _alike(a: Part, b: Part, mine: dict[int, int], other: dict[int, int]) -> None:
    if len(a.nodes) != len(b.nodes) or a.outs.__class__ is not b.outs.__class__ or a.outs != b.outs:
        raise Differs("the function does something else for other sizes")
    for (x, *xs), (y, *ys) in zip(a.nodes, b.nodes, strict=True):
        if xs != ys or blind_of(x.call, x.inputs) != blind_of(y.call, y.inputs):
            raise Differs(f"the function does something else for other sizes: {x.call} and {y.call}")
    for v, w in zip(a.values, b.values, strict=True):
        if mine.get(id(v)) != other.get(id(w)):
            raise Differs("the function reads other inputs for other sizes")
        if v.aval.dtype is not w.aval.dtype or len(v.aval.shape) != len(w.aval.shape):
            raise Differs("the function reads other inputs for other sizes")


def _made(values: Sequence[Value], solved: Any) -> Made | None:
    """How a constant that each sample made for itself is made for any sizes: what torch.zeros and torch.arange give. None if it is the same in all. :class:`Differs` for others."""
    arrays = [np.asarray(force(v)) for v in values]
    first = arrays[0]
    if all(a.shape == first.shape and np.array_equal(a, first, equal_nan=first.dtype.kind in "fc") for a in arrays[1:]):
        return None
    dims = [solved(c, "a size of a constant") for c in zip(*[a.shape for a in arrays], strict=True)]
    if all(a.size for a in arrays) and first.dtype.kind in "biuf":
        starts = [a.flat[0].item() for a in arrays]
        steps = [[_step(a, k) for k in range(a.ndim)] for a in arrays]
        if all(np.array_equal(a, _affine(a.shape, b, s).astype(a.dtype), equal_nan=a.dtype.kind == "f") for a, b, s in zip(arrays, starts, steps, strict=True)):
            return Made(dims, _number(tuple(starts), solved), [_number(c, solved) for c in zip(*steps, strict=True)], first.dtype)
    raise Differs("a constant that is not made by torch's own functions differs for other sizes (a draw, or an array from Python's numbers)")


def _number(column: tuple[Any, ...], solved: Any) -> Any:
    """A number among arguments: itself, or (how, the size that it comes from)."""
    first = column[0]
    if all(x == first or x != x and first != first for x in column):
        return first
    if all(isinstance(x, int) for x in column):
        return ("int", solved(column, "a number"))
    if all(isinstance(x, float) and x and x.is_integer() for x in column):
        return ("float", solved(tuple(map(int, column)), "a number"))
    inverse = tuple(1 / x if x else 0.5 for x in column)
    if all(abs(x - round(x)) < 1e-9 * abs(x) for x in inverse):
        return ("inverse", solved(tuple(map(round, inverse)), "a number"))
    squares = tuple(x * x for x in column)
    if all(abs(x - round(x)) < 1e-9 * abs(x) for x in squares):
        return ("root", solved(tuple(map(round, squares)), "a number"))
    raise Differs(f"a number that is {', '.join(map(str, column))} for other sizes: no expression of them is known")


def _program(found: Solved, put: Any, places: dict[int, int], free_at: dict[int, int]) -> Callable[..., Any]:
    part, made = found.part, found.made

    def number(x: Any) -> Any:
        if x.__class__ is not tuple:
            return np.asarray(x)
        how, d = x
        value = jnp.asarray(put(d))
        if how == "int":
            return value.astype(np.int64)
        value = value.astype(np.float64)
        return value if how == "float" else 1 / value if how == "inverse" else jnp.sqrt(value)

    def run(frees: Any, inputs: Any) -> Any:
        vals: list[Any] = []
        frees = [jnp.asarray(x) for x in frees]
        given = [inputs[places[id(v)]] if id(v) in places else made[id(v)].array(put) if id(v) in made else frees[free_at[id(v)]] for v in part.values]

        def at(p: int) -> Any:
            return vals[p] if p >= 0 else given[-1 - p] if p > SCALAR else number(found.numbers[SCALAR - p])

        for (entry, *refs), pattern in zip(part.nodes, found.patterns, strict=True):
            try:
                out = with_sizes(entry.call, iter(list(map(put, pattern)))).apply(*map(at, refs))
            except Exception as error:
                if _INCONCLUSIVE.search(str(error)):
                    raise
                raise Differs(f"{entry.call.name} is made for one size, not for any: {(str(error).strip().splitlines() or [''])[0]}") from error
            if entry.out is not None:
                vals.append(out)
            else:
                vals.extend(out)
        return [jnp.asarray(at(p)) for p in part.outs]

    return run


_INCONCLUSIVE = re.compile(r"Symbolic dimension comparison '(.+?)' (>=|<=|>|<|==|!=) '(.+?)' is inconclusive")
_WHERE_SO = {">=": ("{a} >= {b}", "{a} <= {b} - 1"), "<=": ("{a} <= {b}", "{a} >= {b} + 1"), ">": ("{a} >= {b} + 1", "{a} <= {b}"), "<": ("{a} <= {b} - 1", "{a} >= {b}")}


def _decided(message: str, names: Sequence[str], columns: Sequence[tuple[int, ...]]) -> str | None:
    """What a function compared, as it is in all samples: a condition on the sizes, which the program checks when it is called. None if it was something else."""
    found = _INCONCLUSIVE.search(message)
    if found is None or found.group(2) not in _WHERE_SO:
        return None
    a, op, b = found.groups()
    text = f"({a}) {op} ({b})".replace("^", "**")
    tools = {"floordiv": lambda a, b: a // b, "mod": lambda a, b: a % b, "max": max, "min": min}
    answers = {bool(eval(text, {**tools, **dict(zip(names, values, strict=True))})) for values in zip(*columns, strict=True)}  # noqa: S307 - sizes as JAX writes them
    if len(answers) != 1:
        raise Differs(f"the function compares {a} {op} {b}, which is so for some sizes and not for others")
    return _WHERE_SO[op][0 if answers.pop() else 1].format(a=a, b=b)
