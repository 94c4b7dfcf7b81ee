"""Which room a trace of changing sizes gets: a program that is there already and has room enough, or one that is compiled for it.

What a program costs is estimated from what it computes, not timed: so the same program makes the same choices every time, and prints the same digits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jtorch._engine.padded import Room

__all__ = ["Rooms", "bucket"]

Bounds = tuple[int, ...]

_ELEMENT = 2e-9  # seconds that an element of a value costs a run, and
_EQUATION = 3.5e-3  # that an equation costs XLA: measured over the programs of compat/bench/shapes.py on two cpu cores
_RUNS = 300  # a program of more room than is asked for is made where it would lose no more than its compilation in so many runs
_IN_A_ROW = 64  # runs of one size in a row after which that has a program of its own; and the fewest, where a run costs much
_FEWEST = 8
_WIDER = 8  # and has at most so many times the room
_TO_COME = 100  # runs that a family of many runs is expected to have yet, and of fewer
_AGAIN = 2  # so many times as many as it had


def bucket(n: int, parts: int = 4) -> int:
    """The room for ``n`` elements: a power of two, or beyond 64 so many parts of one more."""
    b = 8
    while b < n:
        b *= 2
    step = b // 2 // parts
    return b if b <= 64 else b - (b - n) // step * step


@functools.lru_cache(1024)
def _room(bounds: tuple[tuple[str, int], ...], reach: tuple[tuple[str, int], ...]) -> Room:
    """One object for equal rooms: families share the programs of what is alike in them."""
    return Room(dict(bounds), dict(reach))


class Rooms:
    """Of one family. ``shapes``: of all values of changing size, inputs too; ``equations``: how many they come from; ``reach``: how far beyond its symbol a size may go (:class:`Room`)."""

    def __init__(self, names: Sequence[str], reach: Mapping[str, int], shapes: Iterable[Sequence[Any]], equations: int) -> None:
        self.names, self.reach = list(names), [reach.get(n, 0) for n in names]
        self._shapes = [tuple(s) for s in shapes]
        self._compiling = _EQUATION * equations
        self._runs = 0
        self._costs: dict[Bounds, float] = {}
        self._made: dict[Any, list[Bounds]] = {}
        self._lost: dict[Any, float] = {}

    def room(self, bounds: Bounds) -> Room:
        return _room(tuple(zip(self.names, bounds, strict=True)), tuple(zip(self.names, self.reach, strict=True)))

    def _cost(self, bounds: Bounds) -> float:
        """Estimated seconds of a run."""
        found = self._costs.get(bounds)
        if found is None:
            room = self.room(bounds)
            found = self._costs[bounds] = _ELEMENT * sum(math.prod([room.pad(d) for d in shape]) for shape in self._shapes)
        return found

    def worth_its_own(self, row: int, elements: Callable[[], int]) -> bool:
        """Whether one size that came so many times in a row is to have a program of its own: as many more may be expected, and it may save half of each. ``elements``: of all that is computed."""
        return row >= _IN_A_ROW or row >= _FEWEST and row * _ELEMENT * elements() / 2 > self._compiling

    def choose(self, sizes: Sequence[int], held: Iterable[tuple[tuple[str, int] | None, int]], kind: Any) -> Bounds:
        """The bounds for these sizes. ``held``: axes of inputs that have room already, as the symbol and what is added to it (:func:`shift_of`), and how long they are: it is the room they stay in. ``kind``: programs that differ in it do not stand in for each other."""
        least = tuple([bucket(n + more) for n, more in zip(sizes, self.reach, strict=True)])
        made = self._made.setdefault(kind, [])
        kept = self._kept(least, held)
        self._runs += 1
        least = kept or least
        if least in made:
            return least
        fitting = [b for b in made if all(x >= y for x, y in zip(b, least, strict=True))]
        if fitting:
            best = min(fitting, key=self._cost)
            loses = self._cost(best) - self._cost(least)
            lost = self._lost.get((kind, least), 0.0) + loses
            if max(lost, loses * min(_TO_COME, _AGAIN * self._runs)) <= self._compiling:
                self._lost[kind, least] = lost
                return best
        bounds = least if fitting or kept else self._wider(tuple([bucket(n, 2) for n in least]))
        made.append(bounds)
        return bounds

    def _kept(self, least: Bounds, held: Iterable[tuple[tuple[str, int] | None, int]]) -> Bounds | None:
        found = dict(zip(self.names, least, strict=True))
        before = dict(found)
        anywhere = False
        for shifted, length in held:
            if shifted is None:
                continue
            name, more = shifted
            room = length - (more if more > self.reach[self.names.index(name)] else 0)
            if room >= before[name]:
                anywhere, found[name] = True, max(found[name], room)
        return tuple(found.values()) if anywhere else None

    def _wider(self, bounds: Bounds) -> Bounds:
        """Room for what may yet come, where it costs little: the narrowest is doubled."""
        now = list(bounds)
        while True:
            i = min(range(len(now)), key=lambda k: (now[k] / bounds[k], now[k]))
            if now[i] >= _WIDER * bounds[i]:
                return tuple(now)
            now[i] *= 2
            if _RUNS * (self._cost(tuple(now)) - self._cost(bounds)) > self._compiling:
                now[i] //= 2
                return tuple(now)
