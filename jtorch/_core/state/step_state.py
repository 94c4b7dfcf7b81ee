"""What a compiled step keeps between its calls, in one list (``_compile/packing.py``): arrays end to end, counts, and how often it has run.

One assignment to the list is the whole of a step's effect on it, so nothing can come in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jtorch import _device
from jtorch._core.state.packed_state import Pack, PackedStorage, put_into, storage_in, take_out
from jtorch._core.storage.bare_tensor import Storage
from jtorch._engine.recording.gradient_pieces import piece
from jtorch._engine.running.packed_updates import pack
from jtorch._engine.values.values import Aval, Value

__all__ = ["Form", "GradientState", "StepState", "one_value", "step_state"]

Form = tuple[tuple[Aval, ...], list[int]]  # the rows of an array, and where each begins
_ORDINARY = {Storage}


def one_value(storages: Sequence[Storage]) -> bool:
    """Whether these hold one value together, as an optimizer leaves its counts. Equal numbers on the host become one: somebody has looked at some, or they were loaded."""
    values = [s.value for s in storages]
    first = values[0]
    if all([v is first for v in values]):
        return True
    a = first.aval
    if set(map(type, storages)) != _ORDINARY or any([s.ptr and s.ptr.told for s in storages]) or a.shape != () or a.device is not _device.CPU:
        return False
    if any([v.aval is not a or v.trace is not None or v.array is None for v in values]):
        return False
    arrays = [np.asarray(v.array) for v in values]
    if any([x != arrays[0] for x in arrays]):
        return False
    v = Value()
    v.aval, v.array, v.trace, v.pos = a, arrays[0], None, -1
    for s in storages:
        s.value, s.ptr = v, 0
    return True


class StepState(Pack):
    """``flats``: [arrays: a kind of a group each, *what else the step gives, *counts, steps]. ``forms``: of the kinds. A count is a number that many storages hold (an optimizer's steps);
    its kind is its place from the end, and ``counted`` the avals, by kind."""

    __slots__ = ("forms", "counted", "members", "_counts")

    def __init__(self, forms: list[Form], arrays: list[Any], counted: dict[int, Aval], counts: list[float]) -> None:
        self.forms, self.counted, self.flats = forms, counted, [*arrays, *counts, 0]
        self.whole = True
        self.members: list[Storage] = []
        self._counts: dict[int, Value] = {}

    @property
    def steps(self) -> int:  # type: ignore[override]
        """How often it has run."""
        return self.flats[-1]  # type: ignore[no-any-return]

    def taken(self, kind: int, i: int) -> Value:
        """The value of a storage in it: those of a count have one together, as the optimizer leaves them."""
        v = self._counts.get(kind) if kind < 0 else None
        if v is None:
            v = Value()
            if kind < 0:
                a = self.counted[kind]
                array: Any = np.asarray(self.flats[kind], a.dtype.np)
                self._counts[kind] = v
            else:
                avals, starts = self.forms[kind]
                a = avals[i]
                array = piece(self.flats[kind], starts[i], a)
            v.aval, v.array, v.trace, v.pos = a, array, None, -1
        return v

    def leave(self) -> None:
        """Everything is an ordinary storage again."""
        self.whole = False
        take_out(self.members)


def step_state(rows: Sequence[tuple[Form, Sequence[Sequence[Storage]]]], counts: Sequence[tuple[Sequence[Storage], Aval]]) -> StepState | None:
    """Lay storages end to end. ``rows``: for each group its form, and the storages of each of its kinds; ``counts``: storages that hold one number together.
    None if a value is not as it must be for that."""
    forms: list[Form] = []
    arrays: list[Any] = []
    storages: list[Storage] = []
    values: list[Value] = []
    places: list[tuple[int, int]] = []
    for form, kinds in rows:
        for kind in kinds:
            if set(map(type, kind)) != _ORDINARY:
                return None
            held = [s.value for s in kind]
            flat = pack(form[0], held)
            if flat is None:
                return None
            places += [(len(arrays), i) for i in range(len(kind))]
            storages += kind
            values += held
            forms.append(form)
            arrays.append(flat)
    counted: dict[int, Aval] = {}
    numbers: list[float] = []
    for n, (together, a) in enumerate(counts):
        place = n - len(counts) - 1
        if set(map(type, together)) != _ORDINARY:
            return None
        v = together[0].value
        if not one_value(together) or v.aval is not a or v.array.__class__ is not np.ndarray:
            return None
        counted[place] = a
        numbers.append(float(v.array))
        storages += together
        values += [v] * len(together)
        places += [(place, i) for i in range(len(together))]
    home = StepState(forms, arrays, counted, numbers)
    if not put_into(home, storages, values, places):
        return None
    home.members = storages
    return home


class GradientState(Pack):
    """The gradients of a group, in a step's list, or beside it once they are another's. ``given``: whether somebody has been given one of their tensors."""

    __slots__ = ("given",)

    def __init__(self, form: Form, home: StepState) -> None:
        super().__init__(form[0], form[1], home.flats)
        self.given = False

    def shown(self) -> None:
        self.given = True

    def storages(self, kind: int) -> list[PackedStorage]:
        """New ones, whose values are those of this kind."""
        return [storage_in(self, kind, i) for i in range(len(self.avals))]

    def left(self, kind: int) -> None:
        """The step goes on without it."""
        self.flats = [*[None] * kind, self.flats[kind]]
