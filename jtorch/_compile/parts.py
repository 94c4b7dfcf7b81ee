"""The small functions that replays are put together from."""

from __future__ import annotations

from operator import setitem
from typing import Any

from jtorch._compile.guarding import same

__all__ = ["Constant", "Elements", "assignment", "contents", "deletion"]


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
