"""What an operator requires of the values of its inputs, which no shape tells: indices that must be in range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Range"]


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
