"""One call on many groups of inputs, recorded as one node.

An optimizer's step is the same operator for each parameter. As one node it costs a fraction of the recording; where a program is made of it
(:func:`expanded`), it is the nodes that it stands for, so that equal ones share their compilation and a long one can be cut.
"""

from __future__ import annotations

from typing import Any

from jtorch._engine.recording.call import Call
from jtorch._engine.recording.entry import Entry, entry_of

__all__ = ["Bundle", "bundle_of", "expanded"]


class Bundle:
    """``count`` entries of one call. A node of it has the first inputs of all entries, then the second ones, ... (``width`` columns), then the scalars that
    all share; ``outs`` are those of all entries in order."""

    __slots__ = ("call", "parts", "outs", "out", "width", "count", "device", "nbytes", "_fits")

    def __init__(self, call: Call, parts: tuple[Entry, ...], width: int) -> None:
        self.call, self.parts, self.width, self.count = call, parts, width, len(parts)
        self.outs = tuple([a for p in parts for a in p.outs])
        self.out = None
        self.device = parts[0].device
        self.nbytes = sum(a.nbytes for p in parts for a in p.inputs[:width])
        self._fits: dict[tuple[int, ...], bool] = {}

    def replaces(self, places: tuple[int, ...]) -> bool:
        """Whether the i-th output of each entry is like its input number ``places[i]``."""
        found = self._fits.get(places)
        if found is None:
            found = self._fits[places] = all(
                len(p.outs) == len(places) and all(o is p.inputs[i] for o, i in zip(p.outs, places, strict=True)) for p in self.parts
            )
        return found


_bundles: dict[Any, Bundle | None] = {}


def bundle_of(call: Call, avals: tuple[Any, ...], classes: tuple[type, ...], count: int) -> Bundle | None:
    """The bundle of ``call`` on ``count`` groups of inputs (``avals``, column after column), each followed by scalars of these classes.

    None if something would have to move between devices first.
    """
    key = (call, avals, classes, count)
    found = _bundles.get(key, _bundles)
    if found is _bundles:
        width = len(avals) // count
        parts = tuple([entry_of(call, (*avals[i::count], *classes)) for i in range(count)])
        same = all(not p.moves and p.device is parts[0].device for p in parts)
        found = _bundles[key] = Bundle(call, parts, width) if same else None
    return found  # type: ignore[return-value]


def expanded(nodes: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The nodes with each bundle's in its place. Positions of outputs stay as they are."""
    if not any(node[0].__class__ is Bundle for node in nodes):
        return nodes
    out: list[tuple[Any, ...]] = []
    for node in nodes:
        b = node[0]
        if b.__class__ is not Bundle:
            out.append(node)
            continue
        end = 1 + b.count * b.width
        out += [(p, *node[1 + i : end : b.count], *node[end:]) for i, p in enumerate(b.parts)]
    return out
