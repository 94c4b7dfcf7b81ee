"""The small functions that replays are put together from."""

from __future__ import annotations

from functools import partial
from operator import setitem
from typing import Any

from jtorch._compile.guarding import same
from jtorch._engine.values.lanes import Lanes
from jtorch._engine.values.placed import Placed, placed
from jtorch._engine.values.values import Value

__all__ = ["Constant", "Elements", "assignment", "contents", "deletion", "in_ranks", "layers_of"]


class Elements:
    """A list whose elements are numbers or text, some of which are followed."""

    def __init__(self, c: Any, followed: set[int], was: Any) -> None:
        self.c, self.followed, self.was = c, followed, was

    def __call__(self) -> bool:
        return len(self.c) == len(self.was) and all(i in self.followed or same(a, b) for i, (a, b) in enumerate(zip(self.c, self.was, strict=True)))


class Constant:
    """A value that is the same each time."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __call__(self, *_: Any) -> Any:
        return self.x


def assignment(held: Any, key: Any, part: Any) -> Any:
    """Writes what the part gives under the key."""
    return lambda *given: map(setitem, (held,), (key,), (part(*given),))


def deletion(held: Any, key: Any) -> Any:
    """Takes the key away, if it is there."""
    return lambda *given: map(held.pop, (key,), (None,))


def contents(c: list[Any], parts: list[Any]) -> Any:
    """Gives the list what the parts give."""
    return lambda *given: map(setitem, (c,), (slice(None),), ([p(*given) for p in parts],))


def layers_of(v: Value) -> tuple[Value, list[Any]]:
    """What was recorded of a value that lies on a grid or is another one in each rank, and what makes such a value of it again, step by step."""
    layers: list[Any] = []
    while True:
        array = v.array
        if array.__class__ is Placed:
            layers.append(partial(placed, v.aval))
        elif array.__class__ is Lanes and array.level.shown is not None:
            layers.append(partial(in_ranks, v.aval, array.level, array.dim))
        else:
            return v, layers[::-1]
        v = array.value


def in_ranks(a: Any, level: Any, dim: int, rows: Value) -> Value:
    """A value that is another one in each rank."""
    v = Value()
    v.aval, v.array, v.trace, v.pos = a, Lanes(rows, level, dim), None, -1
    return v
