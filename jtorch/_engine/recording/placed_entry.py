"""The entry of a call on values that lie on a grid of devices; ``placing`` makes it."""

from __future__ import annotations

from typing import Any

from jtorch._engine.recording.entry import Entry
from jtorch._engine.values.placed import PlacedAval

__all__ = ["PlacedEntry"]


class PlacedEntry(Entry):
    """``lies``: the outputs' avals, ``ins``: how each input is to lie. ``parts``: the call on the parts of one process; None where one process has the whole, and ``laid`` is the call whose results lie as they are to."""

    __slots__ = ("grid", "ins", "laid", "lies", "parts")
    lies: tuple[PlacedAval, ...]
    grid: Any
    ins: list[Any]
    laid: Any
    parts: Any

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.moves, self.guard = (), None
        self.simple_on = self.guarded_on = None
