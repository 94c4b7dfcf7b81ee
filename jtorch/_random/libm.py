"""The C library's ``double -> double`` functions as numpy ufuncs.

torch's samplers call the C library (``log1p``, ``cos``, ...); numpy's own loops use vector code that differs in the last bit for
some arguments. numpy's C API can wrap any C function in a ufunc, and that API (``_UFUNC_API``, what every compiled extension
uses) is reachable through ctypes: full speed, no compiled extension. Where that fails, Python's ``math`` gives the same bits slowly.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["cos", "exp", "exp_f32", "lgamma", "log", "log1p", "log1p_f32", "pow_", "sin", "sqrt_f32", "tan"]

_LOOP_D, _LOOP_F = 5, 6  # PyUFunc_d_d and PyUFunc_f_f in numpy's table of ufunc API functions
_alive: list[Any] = []  # a ufunc keeps pointers into these buffers


def _library() -> ctypes.CDLL:
    for name in (None, "libm.so.6", "libm.dylib", "ucrtbase"):
        try:
            lib = ctypes.CDLL(name)
            lib.log1p  # noqa: B018  (attribute access is the look-up of the symbol)
            return lib
        except (OSError, AttributeError, TypeError):
            continue
    raise OSError("no C mathematics library found")


def _ufunc_maker() -> Callable[[str, bool], Any]:
    """A function that turns a libm symbol into a ufunc (``single``: the ``float -> float`` variant)."""
    from numpy._core import _multiarray_umath as core

    lib, api = _library(), ctypes.pythonapi
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(api.PyCapsule_GetPointer(core._UFUNC_API, None), ctypes.POINTER(ctypes.c_void_p))  # type: ignore[attr-defined]
    pointers, chars, text, integer = ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_char), ctypes.c_char_p, ctypes.c_int
    make = ctypes.PYFUNCTYPE(ctypes.py_object, pointers, pointers, chars, *[integer] * 4, text, text, integer)(table[1])

    def wrap(symbol: str, single: bool) -> Any:
        number = np.dtype(np.float32 if single else np.float64).num
        loops = (ctypes.c_void_p * 1)(table[_LOOP_F if single else _LOOP_D])
        data = (ctypes.c_void_p * 1)(ctypes.cast(getattr(lib, symbol), ctypes.c_void_p).value)
        types, name = (ctypes.c_char * 2)(number, number), symbol.encode()
        _alive.append((loops, data, types, name, lib))
        return make(loops, data, types, 1, 1, 1, -1, name, b"", 0)

    return wrap


def _slow(function: Callable[[float], float], single: bool = False) -> Callable[..., np.ndarray]:
    """The same interface through Python's ``math`` (which calls the C library for each number)."""
    kind = np.float32 if single else np.float64

    def apply(x: Any, out: np.ndarray | None = None) -> np.ndarray:
        x = np.asarray(x, np.float64)
        result = np.fromiter(map(function, x.ravel().tolist()), kind, x.size).reshape(x.shape)
        if out is None:
            return result
        out[...] = result
        return out

    return apply


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def _build() -> dict[str, Any]:
    plain = {"log1p": math.log1p, "log": _log, "cos": math.cos, "sin": math.sin, "tan": math.tan, "exp": math.exp, "lgamma": math.lgamma}
    try:
        wrap = _ufunc_maker()
        found = {name: wrap(name, False) for name in plain} | {name: wrap(name, True) for name in ("log1pf", "sqrtf", "expf")}
        probe = np.linspace(0.1, 0.9, 7)
        for name in ("log1p", "log", "cos", "sin", "tan", "exp"):
            if found[name](probe).tolist() != [plain[name](v) for v in probe.tolist()]:
                raise OSError(f"{name} does not answer as the C library does")
        return found
    except Exception:  # another platform or numpy: slower, the same numbers
        single = {"log1pf": _slow(math.log1p, True), "sqrtf": _slow(math.sqrt, True), "expf": _slow(math.exp, True)}
        return {name: _slow(function) for name, function in plain.items()} | single


_found = _build()
log1p, log, cos, sin, tan, exp, lgamma = (_found[name] for name in ("log1p", "log", "cos", "sin", "tan", "exp", "lgamma"))
log1p_f32, sqrt_f32, exp_f32 = _found["log1pf"], _found["sqrtf"], _found["expf"]
pow_ = math.pow
