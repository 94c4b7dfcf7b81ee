"""Values of the sparse layouts: known to the engine only as something that no operator records.

A sparse value holds its parts (indices and values) as whatever the layer above makes of them. Its aval is never a key of a call's entries,
so dispatch finds out about it where it misses anyway, and dense tensors pay nothing.
"""

from __future__ import annotations

import math
from typing import Any

from jtorch import _device, _dtypes

from jtorch._engine.values.values import Aval, Value

__all__ = ["SparseAval", "SparseValue", "SparseMet", "sparse_aval"]


class SparseAval(Aval):
    """Shape, type, device and layout of a sparse value. Get one from :func:`sparse_aval`: identity is equality."""

    __slots__ = ("_layout",)
    _layout: Any

    @property
    def layout(self) -> Any:
        return self._layout

    def __repr__(self) -> str:
        return f"{super().__repr__()} {self.layout}"

    @property
    def struct(self) -> Any:
        raise SparseMet(f"jax has no single array for the layout {self.layout}")


_avals: dict[Any, SparseAval] = {}


def sparse_aval(shape: tuple[int, ...], dtype: _dtypes.dtype, device: _device.device, layout: Any) -> SparseAval:
    """The one aval with these properties."""
    key = (shape, dtype, device, layout)
    found = _avals.get(key)
    if found is None:
        found = SparseAval()
        found.shape, found.dtype, found.device, found._layout = shape, dtype, device, layout
        found.nbytes = dtype.itemsize * math.prod(shape)
        found = _avals.setdefault(key, found)
    return found


class SparseMet(NotImplementedError):
    """An operator for dense values was given a sparse one."""


class SparseValue(Value):
    """``parts``: (indices, values) of a COO value, (compressed, plain, values) of the others; ``memo``: what was derived from the indices.

    ``loose``: None, or (indices, values) of the same sum in a number of places that is known without a look at the indices. Who only
    adds the value to something takes these; ``parts`` is then a function, called when somebody looks.
    """

    __slots__ = ("_parts", "coalesced", "memo", "loose")
    coalesced: bool
    memo: dict[str, Any]
    loose: Any

    def __init__(self, aval: SparseAval, parts: Any, coalesced: bool = False, loose: Any = None) -> None:
        self.aval, self._parts, self.coalesced, self.loose = aval, parts, coalesced, loose
        self.trace, self.pos, self.memo = None, -1, {}

    @property
    def parts(self) -> tuple[Any, ...]:
        if self._parts.__class__ is not tuple:
            self._parts = self._parts()
            self.loose = None  # the parts can be written from here on
        return self._parts

    @property
    def array(self) -> Any:
        layout = self.aval.layout
        raise SparseMet(f"jtorch does not implement this for the layout {layout}: use to_dense() first")
