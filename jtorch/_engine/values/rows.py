"""Arrays that lie on several devices, end to end in one: each device has its parts of them one after the other.

A program is called with one array instead of many: each costs Python's thread some five microseconds on its way in or out, as it has a buffer on each device. A value among them holds a :class:`Row` where its array would be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from jtorch._engine.values.unbroken import elsewhere
from jtorch._engine.values.values import Value, outside_jit

__all__ = ["Form", "Row", "Rows", "axes_of", "own"]


def axes_of(where: NamedSharding) -> tuple[str, ...]:
    """The dims of the mesh that cut what lies so, in the mesh's order."""
    named = {name for names in where.spec if names is not None for name in (names if isinstance(names, tuple) else (names,))}
    return tuple([name for name in where.mesh.axis_names if name in named])


class Form:
    """How arrays of one type, cut along the same dims of one mesh, lie end to end. ``shapes``: of the whole arrays."""

    __slots__ = ("_packing", "_unpacking", "dtype", "each", "numbers", "shapes", "sharding", "specs", "struct")

    def __init__(self, shapes: Sequence[tuple[int, ...]], dtype: Any, shardings: Sequence[NamedSharding]) -> None:
        axes, mesh = axes_of(shardings[0]), shardings[0].mesh
        self.shapes, self.dtype, self.specs = tuple(shapes), dtype, tuple([s.spec for s in shardings])
        self.sharding = NamedSharding(mesh, PartitionSpec(axes) if axes else PartitionSpec())
        self.struct = jax.ShapeDtypeStruct((sum(math.prod(s) for s in self.shapes),), dtype, sharding=self.sharding)
        self.each = tuple([(s, dtype) for s in self.shapes])
        self.numbers = range(len(self.shapes))
        self._packing: Any = None
        self._unpacking: Any = None

    def end_to_end(self, arrays: Sequence[Any]) -> Any:
        """Of arrays within a program."""

        def parts(*found: Any) -> Any:
            return jnp.concatenate([x.reshape(-1) for x in found])

        return jax.shard_map(parts, mesh=self.sharding.mesh, in_specs=self.specs, out_specs=self.sharding.spec, check_vma=False)(*arrays)

    def apart(self, flat: Any) -> tuple[Any, ...]:
        """The arrays again, within a program."""
        mesh = self.sharding.mesh
        shapes = [NamedSharding(mesh, spec).shard_shape(shape) for shape, spec in zip(self.shapes, self.specs, strict=True)]
        sizes = [math.prod(s) for s in shapes]

        def parts(x: Any) -> Any:
            found, at = [], 0
            for size, shape in zip(sizes, shapes, strict=True):
                found.append(lax.slice(x, (at,), (at + size,)).reshape(shape))
                at += size
            return tuple(found)

        return jax.shard_map(parts, mesh=mesh, in_specs=(self.sharding.spec,), out_specs=self.specs, check_vma=False)(flat)  # type: ignore[no-any-return]

    def pack(self, arrays: Sequence[Any]) -> Any:
        """Of arrays that are there."""
        with outside_jit():
            if self._packing is None:
                self._packing = jax.jit(lambda *given: self.end_to_end(given), out_shardings=self.sharding)
                return elsewhere(self._packing, *arrays)
            return self._packing(*arrays)

    def unpack(self, flat: Any) -> list[Any]:
        """The arrays that it was made of."""
        with outside_jit():
            if self._unpacking is None:
                self._unpacking = jax.jit(self.apart, out_shardings=tuple([NamedSharding(self.sharding.mesh, s) for s in self.specs]))
                return list(elsewhere(self._unpacking, flat))
            return list(self._unpacking(flat))


class Rows:
    """``flat``: arrays end to end. ``taken``: arrays of their own, once somebody wanted one."""

    __slots__ = ("__weakref__", "flat", "form", "taken")

    def __init__(self, form: Form) -> None:
        self.form = form
        self.flat: Any = None
        self.taken: list[Any] | None = None

    def own(self, i: int) -> Any:
        """An array of its own, of one of them."""
        taken = self.taken
        if taken is None:
            taken = self.taken = self.form.unpack(self.flat)
        return taken[i]


class Row(tuple[Rows, int]):
    """Stands for an array: (the rows, its number among them)."""

    __slots__ = ()

    @property
    def sharding(self) -> NamedSharding:
        """Where the array lies, as far as its mesh goes."""
        return self[0].form.sharding

    def devices(self) -> Any:
        return self.sharding.device_set

    def take(self, v: Value) -> Any:
        """Give a value its own array."""
        v.array = array = self[0].own(self[1])
        return array


def own(arrays: list[Any]) -> None:
    """Arrays in the places of what stands for some."""
    for i, a in enumerate(arrays):
        if a.__class__ is Row:
            arrays[i] = a[0].own(a[1])
