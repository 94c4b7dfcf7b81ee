"""Whether a type can hold a number, as torch checks it where a Python number becomes an element; and torch's words where it cannot.

Negative integers wrap in unsigned types down to minus the largest; floats do not. What becomes an element by itself (in ``tensor`` and assignments) goes to halves by
way of double, so that they take every one (as infinity); the kernels that fill a tensor or write a number between other elements convert it directly, and refuse it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jtorch import _dtypes
from jtorch._registry import Range, Wrong

__all__ = ["check_fits", "check_long", "fill_value", "imaginary", "outside", "tensor_value", "unfit", "written_at", "written_value", "written_values"]

_C_NAMES = {"int32": "int", "float32": "float", "complex64": "c10::complex<float>"}
_DIRECT = {**_C_NAMES, "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float8_e5m2": "c10::Float8_e5m2", "float8_e4m3fn": "c10::Float8_e4m3fn", "complex32": "c10::complex<c10::Half>"}


@functools.cache
def outside(kind: _dtypes.dtype, source: str, direct: bool = False) -> Callable[[Any], Any] | None:
    """What says which numbers (of numpy's kind ``source``) the type cannot hold; None if it holds all."""
    if kind is _dtypes.bool_ or (kind.category == 1 and source == "b"):
        return None
    if source == "c":
        of_real = outside(kind, "f", direct)
        if kind.is_complex:
            return of_real and (lambda x: of_real(x.real) | of_real(x.imag))
        return lambda x: (x.imag != 0) | of_real(x.real) if of_real else x.imag != 0
    if kind.category == 1:
        low, high = int(np.iinfo(kind.np).min), int(np.iinfo(kind.np).max)
        if source == "f":
            return lambda x: (x < low) | (x > high) | (x != x)
        return lambda x: (x < (low or -high)) | (x > high)
    if kind.name in (_DIRECT if direct else _C_NAMES) and (source == "f" or kind.to_real().itemsize < 4):
        most = float(jnp.finfo(kind.to_real().np).max)
        return lambda x: (abs(x) > most) & (abs(x) != np.inf)
    return None


def unfit(kind: _dtypes.dtype, direct: bool = False) -> RuntimeError:
    """torch's error for a number that a type cannot hold."""
    wide = "double" if kind.category == 2 else f"{kind.name}_t"
    return RuntimeError(f"value cannot be converted to type {(_DIRECT if direct else _C_NAMES).get(kind.name, wide)} without overflow")


_SOURCES = {bool: "b", int: "i", float: "f", complex: "c"}


def check_fits(number: Any, kind: _dtypes.dtype, direct: bool = False) -> None:
    """RuntimeError for a Python number that the type cannot hold, OverflowError for one that C cannot."""
    if number.__class__ is int and not -(2**63) <= number < 2**64:
        raise OverflowError("int too big to convert" if number > 0 else "can't convert negative int to unsigned")
    bad = outside(kind, _SOURCES[number.__class__], direct)
    if bad is not None and bad(number):
        raise unfit(kind, direct)


def check_long(number: Any) -> None:
    """ValueError for an integer beyond int64."""
    if number.__class__ is int and not -(2**63) <= number < 2**63:
        raise ValueError("Overflow when unpacking long long")


def fill_value(input: Any, *rest: Any) -> Sequence[Wrong]:
    """A guard: ``input`` is filled with the last argument. (Floats into float32 are not looked at: most calls are such, and would take the long way.)"""
    if (input.dtype == np.float32 and rest[-1].dtype.kind == "f") or input.dtype == _dtypes.complex32.memory:
        return ()
    return _guarded(input, rest[-1], math.prod(input.shape) != 1)  # one element alone is set like any other


def written_value(input: Any, *rest: Any) -> Sequence[Wrong]:
    """A guard: the last argument is written between elements of ``input``."""
    return _guarded(input, rest[-1], True)


def written_values(input: Any, *rest: Any) -> Sequence[Wrong]:
    """A guard: all further arguments are compared with elements of ``input``, or written between them."""
    return [wrong for number in rest for wrong in _guarded(input, number, True)]


def tensor_value(input: Any, *rest: Any) -> Sequence[Wrong]:
    """A guard: the last argument, a tensor, is written between elements of ``input``, whose type must hold its number."""
    kind, given = _dtypes.from_np(np.dtype(input.dtype)), _dtypes.from_np(np.dtype(rest[-1].dtype))
    holds = given is kind or (np.can_cast(given.np, kind.np) and kind is not _dtypes.complex32) or (given.category == 2 <= kind.category and given.itemsize < kind.itemsize)
    bad = None if holds else _outside_of_a_tensor(kind, "bifc"[given.category])
    return () if bad is None else (Wrong(rest[-1], bad, lambda value, at: unfit(kind, True)),)


@functools.cache
def _outside_of_a_tensor(kind: _dtypes.dtype, source: str) -> Callable[[Any], Any] | None:
    """As :func:`outside`, of elements of any width."""
    bad = outside(kind, source, True)
    wide = None if source in "bc" else np.int64 if source == "i" and kind.category == 1 else np.float64
    return bad if bad is None or wide is None else lambda x: bad(x.astype(wide) if hasattr(x, "astype") else x)


def imaginary(x: Any) -> Any:
    """Which numbers are not real."""
    return x.imag != 0


def _guarded(input: Any, value: Any, direct: bool) -> Sequence[Wrong]:
    if value.__class__ in _SOURCES:  # the operator's own default
        return ()
    kind = _dtypes.from_np(np.dtype(input.dtype))
    bad = outside(kind, np.dtype(value.dtype).kind, direct)
    return () if bad is None else (Wrong(value, bad, lambda value, at: unfit(kind, direct), number=True),)


def written_at(guard: Callable[..., Sequence[Range | Wrong]]) -> Callable[..., Sequence[Range | Wrong]]:
    """The guard of an operator that writes a number, or a tensor's one, at indices: of its indices, and of the number."""
    return lambda input, *rest: [*guard(input, *rest), *written_value(input, *rest), *tensor_value(input, *rest)]
