"""Values that are held as their programs left them: padded, with their true sizes beside them.

A program of the same bucket takes such a value as it is; the host sees the valid part, and a program of exact shape gets an exact copy.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jtorch._engine.padded import Padded
from jtorch._engine.recording import trace
from jtorch._engine.values.values import Value, outside_jit

__all__ = ["Held", "kept_wide", "padded_input"]


class Held:
    """``array``: one axis for each factor of each dim; ``sizes``: how much of each axis is valid."""

    __slots__ = ("array", "sizes")

    def __init__(self, array: Any, sizes: tuple[int, ...]) -> None:
        self.array, self.sizes = array, sizes

    def devices(self) -> Any:
        return self.array.devices()

    @property
    def sharding(self) -> Any:
        return self.array.sharding

    def exact(self, shape: tuple[int, ...]) -> np.ndarray:
        """The valid elements, in memory of their own."""
        return np.array(np.asarray(self.array)[tuple([slice(0, n) for n in self.sizes])].reshape(shape))

    def take(self, v: Value) -> Any:
        """Give a value its elements, without the padding. On the device, as any program leaves them: what is recorded must not depend on which program it was."""
        with outside_jit():
            v.array = jax.device_put(self.exact(v.aval.shape), next(iter(self.array.devices())))
        return v.array


trace.HELD.add(Held)

_WASTE = 2  # times the elements that are valid: what is kept with more room than that is soon given its own array
_SOON = 64  # runs of families: forward's values have met their backward by then
_wide: deque[tuple[int, list[weakref.ref[Value]]]] = deque()
_runs = 0


def kept_wide(values: Sequence[Value], laid_out: Sequence[Any], waste: float) -> None:
    """A family's run gives these values room for ``waste`` times their elements (where ``laid_out`` says how; None: no more than they have). Those that are still held some runs later are made
    exact: results that a program collects must not take the memory of the largest that there was."""
    global _runs
    _runs += 1
    if waste > _WASTE:
        _wide.append((_runs, [weakref.ref(v) for v, layout in zip(values, laid_out, strict=True) if layout is not None]))
    while _wide:
        try:
            run, values_of = _wide.popleft()
        except IndexError:  # another thread has seen to it
            return
        if _runs - run < _SOON:
            _wide.appendleft((run, values_of))
            return
        for ref in values_of:
            v = ref()
            held = None if v is None else v.array
            if v is not None and held.__class__ is Held:
                held.take(v)


def padded_input(v: Value, array: Any, layout: tuple[tuple[Any, ...], ...], lengths: tuple[int, ...], sizes: tuple[int, ...]) -> Padded:
    """A value for a program where it is laid out so (the factors of each dim), whose axes have these lengths and true sizes."""
    if array.__class__ is Held:
        if array.array.shape == lengths and array.sizes == sizes:
            return Padded(array.array, layout)
        array = array.exact(v.aval.shape)
    if array.shape == lengths:
        return Padded(array, layout)
    wide = np.zeros(lengths, v.aval.dtype.np)
    wide[tuple([slice(0, n) for n in sizes])] = np.asarray(array).reshape(sizes)
    return Padded(wide, layout)
