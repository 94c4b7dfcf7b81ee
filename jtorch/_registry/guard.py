"""What an operator requires of the values of its inputs, which no shape tells: indices that must be in range, and what else torch refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Range", "Says", "Wrong"]


class Range(NamedTuple):
    """Every element of ``index`` must be in [low, high), or be ``also``.

    ``index`` is one of the arguments that the guard was given (an array, or what stands for one: only its identity counts).
    ``error(value, position)`` is torch's exception for the first element that is outside.
    """

    index: Any
    low: int
    high: int
    error: Callable[[int, int], Exception]
    also: int | None = None
    cpu: bool = False  # torch looks at it on the cpu alone


class Wrong(NamedTuple):
    """No element of ``wrong(index)`` may be True (or another number than 0), for any other requirement than a range. ``error`` is given the first that is.

    ``wrong`` is written for numpy's arrays and jax's alike. The programs that check are found by it, so it must be the same function each time.
    """

    index: Any
    wrong: Callable[[Any], Any]
    error: Callable[[int, int], Exception]
    cpu: bool = False
    number: bool = False  # looked at only where it is a Python number


class Says(NamedTuple):
    """A warning of torch's that shapes and structure ask for: of each call, or ``once`` in a process."""

    text: str
    once: bool = False
