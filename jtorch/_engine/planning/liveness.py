"""What of a trace has to be computed: the outputs that somebody holds (the nodes that these need: ``recording/needed.py``)."""

from __future__ import annotations

from sys import getrefcount
from typing import Any

from jtorch._engine.recording.trace import Trace

__all__ = ["LISTED", "held_outputs"]

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
