"""Nested sequences of numbers, tensors and numpy arrays as one array: sizes by the first elements, the type by all of them, then one number after the other."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from jtorch import _dtypes
from jtorch._errors import warn_once
from jtorch._core.dispatch.signature_binding import number_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._ops._fitting import check_long

__all__ = ["WIDE", "array_of", "is_sequence", "no_number"]

# Python's own precision, for numbers that will be converted to a type that is asked for.
WIDE = {float: _dtypes.float64, complex: _dtypes.complex128}
_MAX_DIMS = 128
_SLOW = (
    "Creating a tensor from a list of numpy.ndarrays is extremely slow. Please consider converting the list to a single numpy.ndarray with numpy.array() before converting to a tensor."
)


def array_of(data: Any, wanted: _dtypes.dtype | None = None) -> np.ndarray:
    """Nested sequences as an array of the type that torch infers; if ``wanted`` says the type, of a type that holds what will be converted to it.

    ValueError where sequences differ in length, TypeError for what is no number of the type, RuntimeError for what has no type, in torch's words.
    """
    shape = _sizes(data)
    first = data
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    if first.__class__ is np.ndarray and first.ndim and 0 not in shape:
        warn_once(_SLOW)
    if (fast := _by_numpy(data, shape, wanted)) is not None:
        return fast
    kind = _type_of(data) if wanted is None else wanted
    leaves: list[Any] = []
    if 0 not in shape:
        _store(data, shape, 0, _READERS[kind.category], leaves)
    if wanted is not None:
        classes = {x.__class__ for x in leaves}
        kind = next((WIDE[c] for c in (complex, float) if c in classes), _dtypes.int64 if int in classes else _dtypes.bool_)
    try:
        return _dtypes.in_memory(np.array(leaves, kind.np), kind).reshape(shape)
    except OverflowError as error:
        raise ValueError("Overflow when unpacking long long") from error


def no_number(x: Any, wanted: _dtypes.dtype | None) -> Exception:
    """What is raised for an object that is no number of the type ``wanted``, or has no type if None."""
    name = type(x).__name__
    if wanted is None:
        return RuntimeError(f"Could not infer dtype of {name}")
    return TypeError(f"'{name}' object cannot be interpreted as an integer" if wanted.category == 1 else f"must be real number, not {name}")


def is_sequence(x: Any) -> bool:
    """Whether torch reads it as a nest of numbers: a list, a tuple, or what has a length and elements; no text, no dict."""
    return isinstance(x, (list, tuple)) or (hasattr(x, "__len__") and hasattr(x, "__getitem__") and not isinstance(x, (str, bytes, dict, np.generic)))


def _sizes(data: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while not isinstance(data, Tensor):
        if isinstance(data, str) and shape:
            raise ValueError("too many dimensions 'str'")
        if not is_sequence(data):
            break
        shape.append(len(data))
        if len(shape) > _MAX_DIMS:
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        if not shape[-1]:
            break
        data = data[0]
    return tuple(shape)


def _type_of(x: Any) -> _dtypes.dtype:
    if isinstance(x, Tensor):
        return aval_of(x).dtype
    if isinstance(x, (np.ndarray, np.generic)):
        return _dtypes.from_np(x.dtype)
    if (n := number_of(x)) is not None:
        return _dtypes.of_python(n.__class__)
    if isinstance(x, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(x).__name__}'")
    if not is_sequence(x):
        raise no_number(x, None)
    found: _dtypes.dtype | None = None
    for y in x:
        if y is x:
            raise TypeError("new(): self-referential lists are incompatible")
        kind = _type_of(y)
        found = kind if found is None else _dtypes.promote_types(found, kind)
    return found or _dtypes.default


def _store(x: Any, shape: tuple[int, ...], depth: int, read: Callable[[Any], Any], into: list[Any]) -> None:
    if depth == len(shape):
        into.append(read(x))
        return
    if isinstance(x, Tensor) and x.ndim:
        x = x.detach().unbind(0)  # type: ignore[attr-defined]
    try:
        rows = x if isinstance(x, (list, tuple)) else list(x)
    except TypeError:
        raise TypeError("not a sequence") from None
    if len(rows) != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(rows)})")
    for y in rows:
        _store(y, shape, depth + 1, read, into)


def _bool(x: Any) -> bool:
    return bool(x if isinstance(x, (float, complex, np.bool_)) else operator.index(x))


def _integer(x: Any) -> Any:
    if isinstance(x, float):
        return float(x)
    n = operator.index(x)
    check_long(n)
    return n


def _real(x: Any) -> float:
    return math.pow(x, 1.0)  # the C library's reading of a double: __float__, then __index__, no strings


def _complex(x: Any) -> complex:
    return complex(x) if hasattr(x, "__complex__") or isinstance(x, complex) else complex(_real(x))


_READERS: dict[int, Callable[[Any], Any]] = {_dtypes.bool_.category: _bool, _dtypes.int64.category: _integer, _dtypes.float32.category: _real, _dtypes.complex64.category: _complex}
_PLAIN, _NESTS = {int, float, bool}, {list, tuple}


def _plain(data: Any, depth: int) -> bool:
    """Whether a nest holds numbers of Python's own and nothing else: numpy would take a tensor or one of its own scalars for its value, of another type."""
    rows = [data]
    for _ in range(depth):
        if not _NESTS.issuperset(map(type, rows)):
            return False
        rows = list(chain.from_iterable(rows))
    return _PLAIN.issuperset(map(type, rows))


def _by_numpy(data: Any, shape: tuple[int, ...], wanted: _dtypes.dtype | None) -> np.ndarray | None:
    """Regular nests of plain numbers, by numpy itself; None if it is anything else."""
    if not shape or 0 in shape or not _plain(data, len(shape)):
        return None
    try:
        a = np.array(data)
    except (ValueError, OverflowError, TypeError):
        return None
    if a.shape != shape or a.dtype.kind not in "bif":
        return None
    if a.dtype.kind == "f":
        if not (np.abs(a) < 2.0**63).all():
            return None  # perhaps an int that numpy has widened
        return a if wanted is not None else a.astype(_dtypes.default.np)
    return a.astype(np.int64) if a.dtype.kind == "i" else a
