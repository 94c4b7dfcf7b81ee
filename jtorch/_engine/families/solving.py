"""From sizes as they came, several times, to symbols and expressions of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jtorch._engine.padded import symbol

__all__ = ["Solver"]

_SHIFT = 64  # the most that one size may differ from another to be taken for it plus a number
_TIMES = 9  # the most that one size may be of another, give or take
_MOST = 24  # symbols of one family


class Solver:
    """What columns of sizes are: an int where they never changed, else a symbol or an expression of symbols. ``columns``: of each symbol, its sizes in the samples.

    A guess: whoever uses it checks each later sample against it.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], Any] = {}
        self.columns: list[tuple[int, ...]] = []

    def prepare(self, columns: Iterable[tuple[int, ...]]) -> None:
        """Choose symbols for these, as they come; but what is a multiple or a product of others comes after them."""
        every = [c for c in dict.fromkeys(columns) if len(set(c)) > 1]

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
        for i, other in enumerate(self.columns):
            found = _line(column, other)
            if found is not None:
                times, shift, by = found
                return (symbol(i) * times + shift) // by
        for i, other in enumerate(self.columns):
            for j, another in enumerate(self.columns[i:], i):
                times = _ratio(column, [a * b for a, b in zip(other, another, strict=True)])
                if times is not None:
                    return symbol(i) * symbol(j) * times
                if all(a == b + c for a, b, c in zip(column, other, another, strict=True)):
                    return symbol(i) + symbol(j)
        return None


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
    for by in range(2, _TIMES):
        for shift in range(-2 * by, by):
            if all(a == (b + shift) // by for a, b in zip(column, other, strict=True)):
                return 1, shift, by
    return None
