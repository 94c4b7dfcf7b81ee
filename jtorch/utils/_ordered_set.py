"""``torch.utils._ordered_set``: a set that keeps the order of insertion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet
from typing import TypeVar

__all__ = ["OrderedSet"]

T = TypeVar("T")


class OrderedSet(MutableSet[T]):
    """A set that keeps the order of insertion."""

    __slots__ = ("_dict",)

    def __init__(self, iterable: Iterable[T] | None = None) -> None:
        self._dict = dict.fromkeys(() if iterable is None else iterable)

    def __contains__(self, item: object) -> bool:
        return item in self._dict

    def __iter__(self) -> Iterator[T]:
        return iter(self._dict)

    def __reversed__(self) -> Iterator[T]:
        return reversed(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def add(self, value: T) -> None:
        """Put it in."""
        self._dict[value] = None

    def discard(self, value: T) -> None:
        """Take it out, if it is in."""
        self._dict.pop(value, None)

    def pop(self) -> T:
        """Take the last one out."""
        return self._dict.popitem()[0]

    def update(self, *others: Iterable[T]) -> None:
        """Put them in."""
        for other in others:
            self._dict.update(dict.fromkeys(other))

    def union(self, *others: Iterable[T]) -> OrderedSet[T]:
        """With them."""
        found = OrderedSet(self)
        found.update(*others)
        return found

    def copy(self) -> OrderedSet[T]:
        """Another one with the same items."""
        return OrderedSet(self)

    def __repr__(self) -> str:
        return f"OrderedSet({list(self)})"
