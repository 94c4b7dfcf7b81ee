"""Waiting for what a program gives, where somebody looks at it.

XLA hands a program of a thousand operations or more to a thread of its own. Who sleeps until that is through is woken some 20 µs late, as long again as a small program takes: so one asks a few times
first whether it is there. Where that has not helped of late (the programs are long), it is tried only now and then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._config import cpu_count

__all__ = ["elements_of"]

_TURNS = 64 if (cpu_count() or 1) > 1 else 0  # a question takes half a microsecond; with one core, the asking keeps the program from running
_IN_VAIN, _AGAIN = 3, 16  # after so many times without help, one time of so many
_in_vain = 0


def elements_of(array: Any) -> np.ndarray:
    """The elements of an array of JAX's (or numpy's) once they are there. They must not be written."""
    global _in_vain
    ready = getattr(array, "is_ready", None)
    if ready is not None and not ready():
        if _in_vain < _IN_VAIN or _in_vain % _AGAIN == 0:
            for _ in range(_TURNS):
                if ready():
                    _in_vain = 0
                    break
            else:
                _in_vain += 1
        else:
            _in_vain += 1
    return np.asarray(array)
