"""In which order torch writes random numbers into a tensor, and the casts it makes on the way.

torch's fill kernels walk memory, not logical order: dimensions sorted by stride, the smallest innermost (TensorIterator). For a
contiguous tensor that is logical order; ``x.t().uniform_()`` fills the transposed memory. Samplers take the ``strides`` (in
elements) of such a target and return an array of the logical shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["BFLOAT16", "arrange", "cast", "count_of", "fill_order", "in_fill_order", "is_contiguous", "part_of", "real_view", "to_complex"]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_HALVES = (np.dtype(np.float16), BFLOAT16)


def count_of(shape: Sequence[int]) -> int:
    """Number of elements."""
    return math.prod(shape)


def is_contiguous(shape: Sequence[int], strides: Sequence[int] | None) -> bool:
    """Whether strides (None: yes) describe row-major memory; dimensions of size one do not matter."""
    if strides is None:
        return True
    if 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def fill_order(shape: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Dimensions from innermost to outermost, as TensorIterator sorts them for one output."""
    order = list(range(len(shape)))[::-1]

    def compare(a: int, b: int) -> int:  # positive: a belongs outside b
        if strides[a] == 0 or strides[b] == 0:
            return 0
        if strides[a] != strides[b]:
            return 1 if strides[a] > strides[b] else -1
        return 1 if shape[a] > shape[b] else 0

    for i in range(1, len(order)):
        here = i
        for before in range(i - 1, -1, -1):
            verdict = compare(order[before], order[here])
            if verdict > 0:
                order[before], order[here] = order[here], order[before]
                here = before
            elif verdict < 0:
                break
    return order


def arrange(flat: np.ndarray, shape: Sequence[int], strides: Sequence[int] | None) -> np.ndarray:
    """The stream ``flat``, written in torch's order, as an array of logical ``shape``."""
    if is_contiguous(shape, strides):
        return flat.reshape(tuple(shape))
    assert strides is not None
    outer_first = fill_order(shape, strides)[::-1]
    return flat.reshape([shape[d] for d in outer_first]).transpose(np.argsort(outer_first))


def in_fill_order(array: np.ndarray, strides: Sequence[int] | None) -> np.ndarray:
    """The elements of ``array`` flattened in the order in which the fill visits them (inverse of :func:`arrange`)."""
    if is_contiguous(array.shape, strides):
        return array.reshape(-1)
    assert strides is not None
    return array.transpose(fill_order(array.shape, strides)[::-1]).reshape(-1)


def cast(values: np.ndarray, dtype: Any) -> np.ndarray:
    """To ``dtype`` as C++ does it: doubles reach the 16-bit types by way of float32."""
    dtype = np.dtype(dtype)
    if values.dtype == dtype:
        return values
    if dtype in _HALVES and values.dtype != np.float32:
        values = values.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(dtype)


def part_of(dtype: np.dtype) -> np.dtype:
    """The type of the parts of complex numbers; those of two halves are a pair of fields."""
    return dtype[0] if dtype.names else np.dtype(np.float64 if dtype == np.complex128 else np.float32)


def real_view(shape: Sequence[int], strides: Sequence[int] | None) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Shape and strides of ``view_as_real`` of a complex target."""
    return (*shape, 2), None if strides is None else (*(2 * s for s in strides), 1)


def to_complex(pairs: np.ndarray, dtype: Any) -> np.ndarray:
    """An array with a last dimension of two (real, imaginary) as complex."""
    return np.ascontiguousarray(pairs).view(dtype)[..., 0]
