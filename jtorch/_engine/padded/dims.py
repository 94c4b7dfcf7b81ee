"""Sizes that are symbols: written by JAX's shape polymorphism, bounded for a bucket, and computed at run time from the true sizes.

A dim is an int or a symbolic expression (what ``jax.export.symbolic_shape`` makes), and every symbol is at least 2. JAX shows an expression as text and in no other
public way, so what is computed from one is computed from its text, which is compiled once.
"""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.export import SymbolicScope, symbolic_shape

__all__ = ["Frame", "Room", "is_symbolic", "names_in", "parsed", "product", "quotient", "replaced", "shift_of", "symbol", "symbols_under", "value_at"]

_COUNT = 64
_NAMES = tuple([f"n{i}" for i in range(_COUNT)])


@functools.cache
def _symbols() -> tuple[Any, ...]:
    scope = SymbolicScope([f"{name} >= 2" for name in _NAMES])
    return tuple(symbolic_shape(",".join(_NAMES), scope=scope))


def symbol(i: int) -> Any:
    """Symbol number ``i``. IndexError beyond the last."""
    return _symbols()[i]


_scopes = itertools.count()


def symbols_under(conditions: Sequence[str], count: int) -> list[Any]:
    """``count`` symbols of a scope of their own, for which these hold besides (comparisons by >= or <=, of ``n0``, ``n1``, ...). They have other names, since JAX
    does not compare symbols of two scopes."""
    names = [f"s{next(_scopes)}" for _ in range(count)]
    by = dict(zip(_NAMES, names, strict=False))
    scope = SymbolicScope([f"{name} >= 2" for name in names] + [re.sub(r"\bn\d+\b", lambda m: by[m.group()], c) for c in conditions])
    return list(symbolic_shape(",".join(names), scope=scope))


def is_symbolic(d: Any) -> bool:
    return not isinstance(d, (int, np.integer))


def product(dims: Iterable[Any]) -> Any:
    return functools.reduce(operator.mul, dims, 1)


def quotient(d: Any, by: Any) -> Any:
    """``d / by`` where that is a polynomial, else None."""
    if not is_symbolic(d) and not is_symbolic(by):
        return None if by == 0 or d % by else d // by
    try:
        q = d // by
    except (TypeError, ValueError, ZeroDivisionError):  # comparisons that JAX cannot decide are TypeErrors
        return None
    return q if q * by == d else None


@functools.lru_cache(4096)
def _code(text: str) -> CodeType:
    return compile(text.replace("^", "**"), "<dim>", "eval")


@functools.lru_cache(4096)
def names_in(text: str) -> tuple[str, ...]:
    """The symbols of an expression's text."""
    return tuple(dict.fromkeys(re.findall(r"\bn\d+\b", text)))


_NUMBERS: dict[str, Any] = {"floordiv": operator.floordiv, "mod": operator.mod, "max": max, "min": min}
_ARRAYS: dict[str, Any] = {"floordiv": operator.floordiv, "mod": operator.mod, "max": jnp.maximum, "min": jnp.minimum}


def value_at(d: Any, values: Mapping[str, Any]) -> Any:
    """The size of ``d`` where the symbols have these values (Python ints)."""
    return eval(_code(str(d)), _NUMBERS, values) if is_symbolic(d) else d  # noqa: S307 - JAX's own text


def replaced(d: Any, by: Mapping[str, Any]) -> Any:
    """``d`` with dims in the place of its symbols."""
    functions = {"floordiv": operator.floordiv, "mod": operator.mod, "max": _extreme(max, jax.core.max_dim), "min": _extreme(min, jax.core.min_dim)}
    return eval(_code(str(d)), functions, by)  # noqa: S307


_WORDS = re.compile(r"(?:n\d+|\d+|floordiv|mod|max|min|[\s+*^(),-])+")


def parsed(text: str) -> Any:
    """The dim that is shown so. ValueError for anything else."""
    if not _WORDS.fullmatch(text):
        raise ValueError(text)
    return replaced(text, {name: symbol(int(name[1:])) for name in names_in(text)})


def shift_of(d: Any) -> tuple[str, int] | None:
    """(symbol, c) of a dim ``symbol + c``."""
    found = _SHIFTED.match(str(d))
    if found is None:
        return None
    name, sign, number = found.groups()
    return name, int(number or 0) * (-1 if sign == "-" else 1)


def _extreme(of_numbers: Callable[..., Any], of_dims: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, b: of_dims(a, b) if is_symbolic(a) or is_symbolic(b) else of_numbers(a, b)


class _Interval:
    """The least and the largest value of an expression."""

    __slots__ = ("low", "high")

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    @staticmethod
    def of(x: Any) -> _Interval:
        return x if isinstance(x, _Interval) else _Interval(x, x)

    def _join(self, other: Any, fn: Callable[[int, int], int]) -> _Interval:
        other = _Interval.of(other)
        every = [fn(a, b) for a in (self.low, self.high) for b in (other.low, other.high)]
        return _Interval(min(every), max(every))

    def __add__(self, other: Any) -> _Interval:
        other = _Interval.of(other)
        return _Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Any) -> _Interval:
        other = _Interval.of(other)
        return _Interval(self.low - other.high, self.high - other.low)

    def __rsub__(self, other: Any) -> _Interval:
        return _Interval.of(other) - self

    def __mul__(self, other: Any) -> _Interval:
        return self._join(other, operator.mul)

    def __neg__(self) -> _Interval:
        return _Interval(-self.high, -self.low)

    def __pow__(self, n: int) -> _Interval:
        return functools.reduce(operator.mul, [self] * n)

    def __floordiv__(self, other: Any) -> _Interval:
        other = _Interval.of(other)
        return self._join(_Interval(max(other.low, 1), max(other.high, 1)), operator.floordiv)

    def __rfloordiv__(self, other: Any) -> _Interval:
        return _Interval.of(other) // self

    def __mod__(self, other: Any) -> _Interval:
        other = _Interval.of(other)
        return _Interval(0, max(other.high - 1, 0))

    def __rmod__(self, other: Any) -> _Interval:
        return _Interval.of(other) % self

    __radd__ = __add__
    __rmul__ = __mul__


_INTERVALS: dict[str, Any] = {
    "floordiv": operator.floordiv, "mod": operator.mod,
    "max": lambda a, b: _Interval.of(a)._join(b, max), "min": lambda a, b: _Interval.of(a)._join(b, min),
}  # fmt: skip
_SHIFTED = re.compile(r"^(n\d+)(?: ([+-]) (\d+))?$")


class Room:
    """How much room each symbol gets: its bucket. An axis of size ``n + c`` has the room of ``n`` as long as ``c`` is at most the symbol's ``reach``, so what grows by one keeps its place."""

    __slots__ = ("bounds", "reach", "_known")

    def __init__(self, bounds: Mapping[str, int], reach: Mapping[str, int] | None = None) -> None:
        self.bounds, self.reach = dict(bounds), dict(reach or {})
        self._known: dict[str, int] = {}

    def identity(self) -> str:
        """Its name for other processes."""
        return f"{sorted(self.bounds.items())}{sorted(self.reach.items())}"

    def pad(self, d: Any) -> int:
        """The length of an axis of this size."""
        if not is_symbolic(d):
            return int(d)
        text = str(d)
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._pad(text)
        return found

    def _pad(self, text: str) -> int:
        shifted = shift_of(text)
        if shifted is not None:
            name, c = shifted
            return self.bounds[name] + (c if c > self.reach.get(name, 0) else 0)
        return max(int(eval(_code(text), _INTERVALS, {n: _Interval(2, b) for n, b in self.bounds.items()}).high), 0)  # noqa: S307


class Frame:
    """Where a jaxpr is evaluated: what its own symbols are in terms of the program's (``names``; None: the same), the room of those, and their true sizes (traced integers)."""

    __slots__ = ("names", "room", "sizes", "_dims", "_true")

    def __init__(self, room: Room, sizes: Mapping[str, Any], names: Mapping[str, Any] | None = None) -> None:
        self.names, self.room, self.sizes = names, room, sizes
        self._dims: dict[str, Any] = {}
        self._true: dict[str, Any] = {}

    def dim(self, d: Any) -> Any:
        """A dim of the jaxpr as one of the program."""
        if not is_symbolic(d):
            return int(d)
        if self.names is None:
            return d
        text = str(d)
        found = self._dims.get(text)
        if found is None:
            found = self._dims[text] = replaced(d, self.names)
        return found

    def dims(self, shape: Iterable[Any]) -> tuple[Any, ...]:
        return tuple([self.dim(d) for d in shape])

    def out(self, eqn: Any, i: int = 0) -> tuple[Any, ...]:
        """The shape of an equation's result."""
        return self.dims(eqn.outvars[i].aval.shape)

    def pad(self, d: Any) -> int:
        return self.room.pad(d)

    def true(self, d: Any) -> Any:
        """The size of a dim of the program at run time."""
        if not is_symbolic(d):
            return int(d)
        text = str(d)
        found = self._true.get(text)
        if found is None:
            found = self._true[text] = lax.convert_element_type(eval(_code(text), _ARRAYS, dict(self.sizes)), np.int64)  # noqa: S307
        return found
