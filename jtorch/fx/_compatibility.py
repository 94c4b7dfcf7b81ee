"""Marks of what torch promises to keep; here they only stay readable on the functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_MARKED_WITH_COMPATIBILITY: dict[Any, None] = {}


def compatibility(is_backward_compatible: bool) -> Callable[[T], T]:
    """A decorator that notes whether the thing's interface is to stay as it is."""

    def mark(fn: T) -> T:
        _MARKED_WITH_COMPATIBILITY[fn] = None
        try:
            fn._backward_compatible = is_backward_compatible  # type: ignore[attr-defined]
        except AttributeError:  # a builtin
            pass
        return fn

    return mark
