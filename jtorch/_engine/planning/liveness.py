"""What of a trace has to be computed: the outputs that somebody holds, and the nodes that these need."""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any

from jtorch._engine.recording.trace import Trace

__all__ = ["LISTED", "held_outputs", "needed_nodes"]

# What getrefcount says of an object that one list holds and nobody else.
LISTED = list(map(getrefcount, [object()]))[0]


def held_outputs(tr: Trace) -> tuple[list[int], list[Any]]:
    """The outputs of a trace that somebody holds beside it: their positions, and the values."""
    outputs = tr.outputs
    live = [i for i, n in enumerate(map(getrefcount, outputs)) if n > LISTED]
    held = [outputs[i] for i in live]
    if None in held:
        live = [i for i, v in zip(live, held, strict=True) if v is not None]
        held = [outputs[i] for i in live]
    return live, held


def needed_nodes(nodes: list[tuple[Any, ...]], live: Sequence[int]) -> list[int]:
    """Indices of the nodes that the live outputs need, in order."""
    first: list[int] = []
    count = 0
    for node in nodes:
        first.append(count)
        count += len(node[0].outs)
    wanted = bytearray(count)
    for i in live:
        wanted[i] = 1
    needed = []
    for k in range(len(nodes) - 1, -1, -1):
        node, at = nodes[k], first[k]
        if any(wanted[at : at + len(node[0].outs)]):
            needed.append(k)
            for p in node[1:]:
                if p >= 0:
                    wanted[p] = 1
    needed.reverse()
    return needed
