"""From sizes as they came, several times, to symbols and expressions of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from jtorch._engine.padded import symbol

__all__ = ["Solver"]

_SHIFT = 64  # the most that one size may differ from another to be taken for it plus a number
_TIMES = 9  # the most that one size may be of another, give or take
_PARTS = 64  # the most heads, or the like, that a size is taken apart into
_SHARES = (*[(1, by) for by in range(2, _TIMES)], (3, 2), (2, 3), (3, 4), (5, 2), (5, 4))
_MOST = 24  # symbols of one family


class Solver:
    """What columns of sizes are: an int where they never changed, else a symbol or an expression of symbols. ``columns``: of each symbol, its sizes in the samples.

    A guess: whoever uses it checks each later sample against it.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], Any] = {}
        self.columns: list[tuple[int, ...]] = []

    def prepare(self, columns: Iterable[tuple[int, ...]], multiples: bool = False) -> None:
        """Choose symbols for these, as they come; but what is a multiple or a product of others comes after them. ``multiples``: sizes that were multiples of a number stay so."""
        every = [c for c in dict.fromkeys(columns) if len(set(c)) > 1]
        if multiples:
            shared = [(c, math.gcd(*c)) for c in every]
            every += [tuple([n // by for n in c]) for c, by in shared if by > 1 and min(c) >= 2 * by]
        every += [c for c in dict.fromkeys(_parts(every)) if c not in every]

        def made(c: tuple[int, ...]) -> bool:
            less = [x for x in every if x != c and all(a < b for a, b in zip(x, c, strict=True))]
            return any((t := _ratio(c, x)) is not None and t > 1 for x in less) or any(
                _ratio(c, [a * b for a, b in zip(x, y, strict=True)]) is not None for x in less for y in less
            )

        for column in sorted(every, key=made):
            self.dim(column)

    def dim(self, column: tuple[int, ...]) -> Any:
        """What a column is. ValueError if it cannot be had: a size below 2, or too many symbols."""
        if len(set(column)) == 1:
            return column[0]
        found = self.known.get(column)
        if found is None:
            if min(column) < 2:
                raise ValueError("a size of 0 or 1 among changing ones")
            found = self._expression(column)
            if found is None:
                if len(self.columns) == _MOST:
                    raise ValueError("too many sizes change")
                found = symbol(len(self.columns))
                self.columns.append(column)
            self.known[column] = found
        return found

    def learn(self, column: tuple[int, ...], d: Any) -> None:
        """An expression that was computed has these sizes."""
        self.known.setdefault(column, d)

    def _expression(self, column: tuple[int, ...]) -> Any:
        for i, other in enumerate(self.columns):
            shift = column[0] - other[0]
            if abs(shift) <= _SHIFT and all(a - b == shift for a, b in zip(column, other, strict=True)):
                return symbol(i) + shift
        for i, other in enumerate(self.columns):
            times = _ratio(column, other)
            if times is not None:
                return symbol(i) * times
        for other, d in list(self.known.items()):
            found = _line(column, other)
            if found is not None:
                times, shift, by = found
                return (d * times + shift) // by
        every = list(self.known.items())
        for i, (other, d) in enumerate(every):
            for another, e in every[i:]:
                times = _ratio(column, [a * b for a, b in zip(other, another, strict=True)])
                if times is not None:
                    return d * e * times
                if all(a == b + c for a, b, c in zip(column, other, another, strict=True)):
                    return d + e
        return None


def _parts(every: Sequence[tuple[int, ...]]) -> Iterable[tuple[int, ...]]:
    """What columns are multiples of, where others show it: with ``2 b`` and ``n`` there is ``b n``."""
    for i, x in enumerate(every):
        for y in every[i:]:
            product = [a * b for a, b in zip(x, y, strict=True)]
            for c in every:
                times = product[0] // c[0]
                if 1 < times <= _PARTS and all(a == times * b for a, b in zip(product, c, strict=True)):
                    for z in (x, y):
                        if not any(a % times for a in z) and min(z) >= 2 * times:
                            yield tuple([a // times for a in z])


def _ratio(column: Sequence[int], other: Sequence[int]) -> int | None:
    times = column[0] // other[0]
    return times if times and all(a == times * b for a, b in zip(column, other, strict=True)) else None


def _line(column: Sequence[int], other: Sequence[int]) -> tuple[int, int, int] | None:
    """(a, c, b) with ``column = (a * other + c) // b``, for small numbers."""
    if len(set(other)) < 3:
        return None
    for i in range(1, len(other)):
        if other[i] != other[0]:
            times, rest = divmod(column[i] - column[0], other[i] - other[0])
            if not rest and 1 < times <= _TIMES:
                shift = column[0] - times * other[0]
                if abs(shift) <= _SHIFT and all(a == times * b + shift for a, b in zip(column, other, strict=True)):
                    return times, shift, 1
            break
    for times, by in _SHARES:
        for shift in range(-2 * by, by):
            if all(a == (times * b + shift) // by for a, b in zip(column, other, strict=True)):
                return times, shift, by
    return None
