"""Values that lie on a grid of devices: known to the engine by an aval of their own, so that operators on them have entries of their own.

Where one process sees all devices the value behind one is whole, a ``jax.Array`` that lies on several devices. Where each process has one device, it is the part that this process has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._engine.values.values import Aval, Value

__all__ = ["Grid", "Place", "Placed", "PlacedAval", "behind", "part_of", "placed", "placed_aval", "in_use"]

# Along one dim of a grid: None, every device has all of it; a number, each has a part of this dim; a text, what they have is still to be put together so.
Place = None | int | str
in_use: list[bool] = []  # not empty once anything was placed


class Grid:
    """Devices in rows and columns. ``coordinate``: this process's place, None where one process sees all of them, which ``devices`` (a ``jax.sharding.Mesh``) names then;
    ``names``: those of its dims that the grid has.

    Identity is equality: who makes grids makes equal ones once.
    """

    __slots__ = ("coordinate", "devices", "names", "owner", "shape")

    def __init__(self, shape: tuple[int, ...], coordinate: tuple[int, ...] | None, devices: Any, owner: Any, names: tuple[str, ...] = ()) -> None:
        self.shape, self.coordinate, self.devices, self.owner, self.names = shape, coordinate, devices, owner, names


class PlacedAval(Aval):
    """Shape, type and device of the whole, and how it lies on a grid. Get one from :func:`placed_aval`: identity is equality."""

    __slots__ = ("grid", "places", "whole")
    grid: Grid
    places: tuple[Place, ...]
    whole: Aval

    def __repr__(self) -> str:
        return f"{super().__repr__()} on {self.grid.shape} as {self.places}"


_avals: dict[Any, PlacedAval] = {}


def placed_aval(whole: Aval, grid: Grid, places: tuple[Place, ...]) -> PlacedAval:
    """The one aval with these properties."""
    key = (whole, grid, places)
    found = _avals.get(key)
    if found is None:
        found = PlacedAval()
        found.shape, found.dtype, found.device, found.nbytes = whole.shape, whole.dtype, whole.device, whole.nbytes
        found.grid, found.places, found.whole = grid, places, whole
        found = _avals.setdefault(key, found)
    return found


class Placed:
    """Stands for the array of a placed value; ``value`` is the whole, or this process's part."""

    __slots__ = ("aval", "value")
    seen: Callable[[Any], Any]  # the whole as numpy has it, for who looks; set by placing/entries.py

    def __init__(self, a: PlacedAval, value: Value) -> None:
        self.aval, self.value = a, value

    def __array__(self, *_: Any, **__: Any) -> Any:
        return Placed.seen(self)


def placed(a: PlacedAval, behind: Value) -> Value:
    """A placed value on what lies behind it."""
    if not in_use:
        in_use.append(True)
    v = Value()
    v.aval, v.array, v.trace, v.pos = a, Placed(a, behind), None, -1
    return v


def part_of(v: Value) -> Value:
    """What lies behind a placed value."""
    return v.array.value  # type: ignore[no-any-return]


def behind(v: Any) -> Any:
    """What lies behind a placed value; any other value itself."""
    return v.array.value if v.aval.__class__ is PlacedAval else v
