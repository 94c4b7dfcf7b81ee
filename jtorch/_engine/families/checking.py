"""Guards in a family's program: an index that is still to be computed is checked against the true size of what it points into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _device, _dtypes
from jtorch._engine.padded import Frame, Padded, Room, evaluate, single, valid, whole
from jtorch._engine.recording import guards
from jtorch._engine.recording.identity import of_value
from jtorch._engine.values.values import aval
from jtorch._registry import Says

from .general import General

__all__ = ["PaddedCheck"]

_FAR = np.iinfo(np.int64).max


class PaddedCheck:
    """Takes the place of an entry in a body: from an index (and the sizes) to ``[value, place]`` of its first element outside, the place being -1 if there is none."""

    __slots__ = ("call", "op", "name", "general", "rule", "names", "room", "outs", "out", "inputs", "struct", "numbers", "runtime_scalars")

    def __init__(self, general: General | None, bounds: Any, names: Sequence[Any], room: Room) -> None:
        """``bounds``: as the call that uses the index has them. ``general``: what that is a case of."""
        rule = bounds.rule
        if general is not None:
            rule = next(b.rule for b in guards.bounds_of(general.entry) if not isinstance(b, Says) and b.at == bounds.at)
        self.call, self.op, self.name, self.inputs = self, None, "outside", ()
        self.numbers, self.runtime_scalars = "places", False
        self.general = general
        self.rule, self.names, self.room = rule, {} if general is None else general.by_name(names), room
        self.struct = None if general is None else general.entry.structs()[bounds.at]
        self.out = aval((2,), _dtypes.int64, _device.CPU)
        self.outs = (self.out,)

    def weight(self) -> int:
        """How many operations of XLA it is, roughly."""
        return 1

    def identity(self) -> str:
        """Its name for other processes (identity.py)."""
        shown: Any = of_value(self.rule) if callable(self.rule) else [None if x is None else str(x) for x in self.rule]
        return f"checked({self.general and self.general.identity(shown)};{[str(d) for d in self.names.values()]};{self.room.identity()};{shown if self.general is None else ''})"

    def apply(self, index: Any, sizes: Any) -> Any:
        f = Frame(self.room, {f"n{i}": sizes[i] for i in range(sizes.shape[0])}, self.names)
        p = index if index.__class__ is Padded else Padded(jnp.asarray(index), single(np.shape(index)))
        if callable(self.rule):
            closed = jax.make_jaxpr(self.rule)(jax.ShapeDtypeStruct(p.array.shape, p.array.dtype) if self.struct is None else self.struct)
            p = whole(f, evaluate(f, closed, [p])[0])
            numbers = p.array.astype(np.int64)
            bad = numbers != 0
        else:
            low, high, also = [None if x is None else f.true(f.dim(x)) for x in self.rule]
            numbers = p.array.astype(np.int64)
            bad = (numbers < low) | (numbers >= high)
            if also is not None:
                bad &= numbers != also
        mask = valid(f, p)
        if mask is not None:
            bad &= mask
        place: Any = jnp.zeros(numbers.shape, np.int64)
        step: Any = 1
        for axis in range(numbers.ndim - 1, -1, -1):
            place = place + lax.broadcasted_iota(np.int64, numbers.shape, axis) * step
            step = step * f.true(p.factors[axis])
        place = jnp.where(bad, place, _FAR).reshape(-1)
        first = jnp.argmin(place)
        return jnp.stack([numbers.reshape(-1)[first], jnp.where(place[first] < _FAR, place[first], -1)])
