"""What sorts: values in order with the positions that they came from, and the largest few.

XLA's cpu runtime sorts one operand of whole numbers by their own order several times faster than anything else (it hands it to the C++ library; other sorts call compiled code for each comparison).
So there a value and its position are packed into one number. Order is torch's: nan is the greatest, -0.0 is 0.0, equal values keep their order.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops._lib import is_float, on_cpu, place_type, size_as

__all__ = ["largest_places", "sort_with_index"]

_FLOATS = tuple(np.dtype(kind) for kind in (np.float16, jnp.bfloat16, np.float32, np.float64))


def _packable(x: Any, axis: int) -> bool:
    return on_cpu() and place_type(x.shape[axis]) is np.int32 and (x.dtype in _FLOATS or x.dtype.kind in "biu")


def _top(kind: Any) -> Any:
    """The highest bit of an unsigned type."""
    return np.asarray(1 << (8 * kind.itemsize - 1), kind)


def _keys(x: Any) -> tuple[Any, Any]:
    """Unsigned numbers, as wide as ``x``, in its order, and the sign that zeros and nan have lost in them (None where there are none)."""
    if x.dtype.kind in "bu":
        return x.astype(np.uint8) if x.dtype == np.bool_ else x, None
    kind = np.dtype(f"u{x.dtype.itemsize}")
    top, bits = _top(kind), lax.bitcast_convert_type(x, kind)
    if x.dtype.kind == "i":
        return bits ^ top, None
    size = bits & ~top
    zero, nan = size == 0, size > np.asarray(np.inf, x.dtype).view(kind)
    keys = jnp.where(zero, top, jnp.where(nan, ~np.zeros((), kind), jnp.where(bits >= top, ~bits, bits | top)))
    return keys, jnp.where(zero | nan, bits & top, np.zeros((), kind))


def _values(keys: Any, negative: Any, dtype: Any) -> Any:
    """What ``_keys`` was made of; ``negative`` is true where a sign was lost. (A nan is one of them: the others' bits are gone.)"""
    if dtype.kind in "bu":
        return keys.astype(dtype)
    top = _top(keys.dtype)
    if dtype.kind == "i":
        return lax.bitcast_convert_type(keys ^ top, dtype)
    bits = jnp.where(keys >= top, keys ^ top, ~keys)
    return lax.bitcast_convert_type(jnp.where(negative, bits | top, bits), dtype)


def _alone(packed: Any, axis: int) -> Any:
    return lax.sort(packed, dimension=axis, is_stable=False)  # no two are equal


def _packed(x: Any, axis: int, descending: bool) -> tuple[Any, Any]:
    """Up to 32 bits: the key above, the position below, and the lost sign as the lowest bit."""
    keys, lost = _keys(x)
    below = lax.broadcasted_iota(np.uint64, x.shape, axis) << 1
    if lost is not None:
        below = below | (lost != 0).astype(np.uint64)
    out = _alone((~keys if descending else keys).astype(np.uint64) << 32 | below, axis)
    keys = (out >> 32).astype(keys.dtype)
    places = ((out & 0xFFFFFFFF) >> 1).astype(np.int32)
    return _values(~keys if descending else keys, (out & 1) != 0 if lost is not None else None, x.dtype), places


def _packed_twice(x: Any, axis: int, descending: bool) -> tuple[Any, Any]:
    """64 bits: by their lower halves first, then by their upper ones, which keeps the order of the first where they are equal."""
    keys = _keys(x)[0]
    keys = ~keys if descending else keys
    place = lax.broadcasted_iota(np.uint64, x.shape, axis)

    def taken(a: Any, where: Any) -> Any:
        return jnp.take_along_axis(a, where, axis, mode="promise_in_bounds")

    first = (_alone(keys << 32 | place, axis) & 0xFFFFFFFF).astype(np.int32)
    then = (_alone(taken(keys, first) >> 32 << 32 | place, axis) & 0xFFFFFFFF).astype(np.int32)
    places = taken(first, then)
    return taken(x, places), places


def sort_with_index(x: Any, axis: int, descending: bool = False) -> tuple[Any, Any]:
    """Sorted values and their positions (int32 where that holds them): stable in both directions; nan counts as the largest. Any real type."""
    if _packable(x, axis):
        return (_packed if x.dtype.itemsize <= 4 else _packed_twice)(x, axis, descending)
    if descending:  # turned round, sorted and turned back: equal keys keep their order, and nan comes first
        values, places = sort_with_index(lax.rev(x, (axis,)), axis)
        return lax.rev(values, (axis,)), size_as(x.shape[axis] - 1, places.dtype) - lax.rev(places, (axis,))
    places = lax.broadcasted_iota(place_type(x.shape[axis]), x.shape, axis)
    return tuple(lax.sort((x, places), dimension=axis, num_keys=1, is_stable=True))  # type: ignore[return-value]


_BLOCK = 16  # columns whose maxima XLA takes as one vector; with 8 or 32, half the speed at rows of 50,000
_MANY = 1 << 17  # elements from which on blocks pay


def _ranks(x: Any, largest: bool) -> Any:
    """Signed integers, of 32 or 64 bits, in the order of ``x`` or the reverse of it; nan is above all numbers (below them in reverse)."""
    x = x.astype(np.int32 if x.dtype.kind in "iu" else np.float32) if x.dtype.itemsize <= 2 else x
    keys = _keys(x)[0]
    return lax.bitcast_convert_type((keys if largest else ~keys) ^ _top(keys.dtype), np.dtype(f"i{x.dtype.itemsize}"))


def _first(ranks: Any, k: int) -> Any:
    """Positions of the ``k`` greatest along the last dim, in order; of equal ones the first. The runtime has a quick way for float32, whose bits it compares as integers, nan and all."""
    if ranks.dtype == np.int64:
        return sort_with_index(ranks, ranks.ndim - 1, True)[1][..., :k]
    return lax.top_k(lax.bitcast_convert_type(jnp.where(ranks < 0, ranks ^ np.int32(2**31 - 1), ranks), np.float32), k)[1]


def largest_places(x: Any, k: int, largest: bool = True) -> Any:
    """Positions (int32) of the ``k`` largest (or smallest) along the last dim, in order; of equal ones the first; nan counts as the largest. Real types; 0 < k < the size of the dim."""
    if not on_cpu(x) or not _packable(x, x.ndim - 1):
        if largest and is_float(x):
            return lax.top_k(jnp.where(jnp.isnan(x), jnp.array(np.nan, x.dtype), x), k)[1]
        return sort_with_index(x, x.ndim - 1, largest)[1][..., :k]
    n = x.shape[-1]
    blocks = n // _BLOCK
    if x.size < _MANY or blocks < 4 * k:
        return _first(_ranks(x, largest), k)
    # None of them lies outside the k blocks that have the largest maxima: each of those has something before it.
    lead, whole = x.shape[:-1], blocks * _BLOCK
    maxima = jnp.max(_ranks(x[..., :whole], largest).reshape(*lead, blocks, _BLOCK), -1)
    best = _alone(_first(maxima, k).astype(np.uint32), len(lead)).astype(np.int32)  # in their order, so that the first of equal ones stays the first
    columns = (best[..., None] * np.int32(_BLOCK) + np.arange(_BLOCK, dtype=np.int32)).reshape(*lead, k * _BLOCK)
    columns = jnp.concatenate([columns, jnp.broadcast_to(np.arange(whole, n, dtype=np.int32), (*lead, n - whole))], -1)
    found = _first(_ranks(jnp.take_along_axis(x, columns, -1, mode="promise_in_bounds"), largest), k)
    return jnp.take_along_axis(columns, found, -1, mode="promise_in_bounds")
