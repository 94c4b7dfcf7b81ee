"""Which nodes of a trace some of its outputs need."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

__all__ = ["first_outputs", "needed_nodes"]


def first_outputs(nodes: Sequence[tuple[Any, ...]]) -> list[int]:
    """The number of each node's first output; last, how many outputs there are."""
    return list(accumulate([len(node[0].outs) for node in nodes], initial=0))


def needed_nodes(nodes: Sequence[tuple[Any, ...]], live: Sequence[int]) -> list[int]:
    """Indices of the nodes that the live outputs need, in order."""
    first = first_outputs(nodes)
    wanted = bytearray(first[-1])
    for i in live:
        wanted[i] = 1
    needed = []
    for k in range(len(nodes) - 1, -1, -1):
        if any(wanted[first[k] : first[k + 1]]):
            needed.append(k)
            for p in nodes[k][1:]:
                if p >= 0:
                    wanted[p] = 1
    needed.reverse()
    return needed
