"""Element types and torch's promotion lattice.

``torch.float32`` is an instance of :class:`dtype`; ``.np`` is the numpy (or ml_dtypes) type that carries it in XLA, ``.memory`` the one that
has it in memory that is shared with numpy: another one for complex32 alone.
Source of the rules: https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

_BOOL, _INT, _FLOAT, _COMPLEX = range(4)

ALL: dict[str, dtype] = {}
_OF_NP: dict[np.dtype, dtype] = {}


class dtype:
    """One of torch's element types. Compared by identity; printed as torch prints it."""

    __slots__ = ("name", "np", "memory", "category", "itemsize", "is_floating_point", "is_complex", "_signed", "legacy")
    name: str
    np: np.dtype
    memory: np.dtype
    category: int
    itemsize: int
    is_floating_point: bool
    is_complex: bool
    _signed: bool
    legacy: str

    def __init__(self, name: str, np_type: Any, category: int, legacy: str, itemsize: int | None = None, carrier: Any = None) -> None:
        self.name, self.category, self.legacy = name, category, legacy
        self.memory = np.dtype(np_type) if np_type is not None else None  # type: ignore[assignment]
        self.np = self.memory if carrier is None else np.dtype(carrier)
        self.itemsize = itemsize if itemsize is not None else self.memory.itemsize
        self.is_floating_point, self.is_complex = category == _FLOAT, category == _COMPLEX
        self._signed = not (name == "bool" or name.startswith("u") or name.startswith("qu"))
        ALL[name] = self
        if np_type is not None:
            _OF_NP[self.memory] = self

    @property
    def is_signed(self) -> bool:
        """Whether it holds negative numbers. RuntimeError for quantised types and bits."""
        if self.name[0] == "q" and self.category < _FLOAT:
            raise RuntimeError("isSignedType not supported for quantized types")
        if self.name.startswith("bits"):
            raise RuntimeError("Bits types are undefined")
        return self._signed

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name  # of the module that the class names

    def to_complex(self) -> dtype:
        """The complex type whose parts have this type."""
        return _TO_COMPLEX.get(self) or _fail(f"to_complex() is not supported for {self}")

    def to_real(self) -> dtype:
        """The type of the real part."""
        return _TO_REAL.get(self, self)


def cpp_type(kind: dtype) -> str:
    """What torch's C++ calls tensors of an element type on the cpu: by the class of old where there was one."""
    return f"torch.{kind.legacy}Tensor" if kind.legacy in _OLD else f"CPU{kind.legacy}Type"


_OLD = frozenset("Byte Char Short Int Long Half Float Double".split())


def _fail(message: str) -> Any:
    raise RuntimeError(message)


dtype.__module__ = "jtorch"

bool_ = dtype("bool", np.bool_, _BOOL, "Bool")
uint8 = dtype("uint8", np.uint8, _INT, "Byte")
int8 = dtype("int8", np.int8, _INT, "Char")
int16 = dtype("int16", np.int16, _INT, "Short")
int32 = dtype("int32", np.int32, _INT, "Int")
int64 = dtype("int64", np.int64, _INT, "Long")
uint16 = dtype("uint16", np.uint16, _INT, "UInt16")
uint32 = dtype("uint32", np.uint32, _INT, "UInt32")
uint64 = dtype("uint64", np.uint64, _INT, "UInt64")
float16 = dtype("float16", np.float16, _FLOAT, "Half")
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, _FLOAT, "BFloat16")
float32 = dtype("float32", np.float32, _FLOAT, "Float")
float64 = dtype("float64", np.float64, _FLOAT, "Double")
# Neither XLA nor numpy has complex numbers of two halves. complex64 carries them, both parts rounded to halves; only an aval tells the two apart (recording/halves.py).
complex32 = dtype("complex32", [("_real", np.float16), ("_imag", np.float16)], _COMPLEX, "ComplexHalf", carrier=np.complex64)
complex64 = dtype("complex64", np.complex64, _COMPLEX, "ComplexFloat")
complex128 = dtype("complex128", np.complex128, _COMPLEX, "ComplexDouble")
float8_e4m3fn = dtype("float8_e4m3fn", ml_dtypes.float8_e4m3fn, _FLOAT, "Float8_e4m3fn")
float8_e4m3fnuz = dtype("float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, _FLOAT, "Float8_e4m3fnuz")
float8_e5m2 = dtype("float8_e5m2", ml_dtypes.float8_e5m2, _FLOAT, "Float8_e5m2")
float8_e5m2fnuz = dtype("float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, _FLOAT, "Float8_e5m2fnuz")
float8_e8m0fnu = dtype("float8_e8m0fnu", ml_dtypes.float8_e8m0fnu, _FLOAT, "Float8_e8m0fnu")
float4_e2m1fn_x2 = dtype("float4_e2m1fn_x2", None, _FLOAT, "Float4_e2m1fn_x2", itemsize=1)
# Types that torch names for quantised and sub-byte storage; nothing here computes with them.
for _name, _legacy, _size in (
    ("qint8", "QInt8", 1), ("quint8", "QUInt8", 1), ("qint32", "QInt32", 4), ("quint4x2", "QUInt4x2", 1),
    ("quint2x4", "QUInt2x4", 1), ("bits8", "Bits8", 1), ("bits16", "Bits16", 2), ("bits1x8", "Bits1x8", 1),
    ("bits2x4", "Bits2x4", 1), ("bits4x2", "Bits4x2", 1), *((f"{s}int{i}", f"{s.upper()}Int{i}", 1) for s in ("u", "") for i in range(1, 8)),
):  # fmt: skip
    dtype(_name, None, _INT, _legacy, itemsize=_size)

ALIASES = {
    "half": float16, "float": float32, "double": float64, "short": int16, "int": int32, "long": int64,
    "chalf": complex32, "cfloat": complex64, "cdouble": complex128, "bit": ALL["uint1"],
}  # fmt: skip

_TO_COMPLEX = {float16: complex32, bfloat16: complex64, float32: complex64, float64: complex128,
               complex32: complex32, complex64: complex64, complex128: complex128}  # fmt: skip
_TO_REAL = {complex32: float16, complex64: float32, complex128: float64}
FLOAT8 = frozenset((float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz, float8_e8m0fnu))
BARE_UNSIGNED = frozenset((uint16, uint32, uint64))
_INT_RANK = {bool_: 0, uint8: 1, int8: 1, int16: 2, int32: 3, int64: 4}


def widened(array: Any) -> Any:
    """Memory of complex32 as what carries it: complex64."""
    out = np.empty(array.shape, np.complex64)
    out.real, out.imag = array["_real"], array["_imag"]
    return out


def narrowed(array: Any) -> Any:
    """What carries complex32 as its memory; rounds."""
    out = np.empty(array.shape, complex32.memory)
    with np.errstate(over="ignore"):
        out["_real"], out["_imag"] = array.real, array.imag
    return out


def in_memory(array: Any, kind: dtype) -> Any:
    """A numpy array of elements of this type, as it lies in memory."""
    return narrowed(array) if kind is complex32 and array.dtype != kind.memory else array


def from_np(np_type: Any) -> dtype:
    """The torch type of a numpy type; TypeError (torch's text) where torch has none."""
    found = _OF_NP.get(np_type) if isinstance(np_type, np.dtype) else None
    if found is None:
        found = _OF_NP.get(np.dtype(np_type).newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type {np.dtype(np_type).type.__module__}.{np.dtype(np_type).type.__name__}. The only supported types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )
    return found


OF_CLASS = {float: float64, int: int64, bool: bool_, complex: complex128}
"""What Python's own number classes mean where a type is asked for (``dtype=float``): not what promotion makes of such numbers."""


def of_python(kind: type) -> dtype:
    """The type that a Python number of this class has in promotion: bool, int64, the default float or its complex."""
    if kind is bool:
        return bool_
    if kind is int:
        return int64
    return default if kind is float else default.to_complex()


def _promote(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if a in FLOAT8 or b in FLOAT8:
        raise RuntimeError(f"Promotion for Float8 Types is not supported, attempted to promote {a.legacy} and {b.legacy}")
    low, high = (a, b) if a.category <= b.category else (b, a)
    if (a in BARE_UNSIGNED or b in BARE_UNSIGNED) and high.category != _FLOAT:
        raise RuntimeError(
            f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote {a.legacy} and {b.legacy}"
        )
    if low.category < _FLOAT:
        if high.category >= _FLOAT:
            return high
        if {a, b} == {uint8, int8}:
            return int16
        return a if _INT_RANK[a] >= _INT_RANK[b] else b
    if {a, b} == {float16, bfloat16}:
        return float32
    real_a, real_b = a.to_real(), b.to_real()
    real = float32 if {real_a, real_b} == {float16, bfloat16} else max(real_a, real_b, key=lambda d: d.itemsize)
    return real.to_complex() if high.category == _COMPLEX else real


_PROMOTED: dict[tuple[dtype, dtype], dtype] = {}


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest type that holds values of both. RuntimeError for pairs that torch does not promote."""
    found = _PROMOTED.get((a, b))
    if found is None:
        found = _PROMOTED[a, b] = _promote(a, b)
    return found


# Priority of an operand in promotion: a tensor with dimensions, a 0-dim tensor, a Python number.
DIMENSIONED, ZERO_DIM, NUMBER = range(3)


def _combine(higher: dtype, lower: dtype) -> dtype:
    """An operand of lower priority lifts the category of the result, never its width."""
    if lower.category <= higher.category:
        return higher
    if higher.is_floating_point:
        return higher.to_complex()
    return lower if lower.is_complex else promote_types(higher, lower)


def result_type(operands: Iterable[tuple[dtype, int]]) -> dtype:
    """torch's promotion of (type, priority) pairs: a lower priority counts only where its category is higher."""
    best: list[dtype | None] = [None, None, None]
    for kind, priority in operands:
        seen = best[priority]
        best[priority] = kind if seen is None else promote_types(seen, kind)
    first, *rest = [kind for kind in best if kind is not None]
    for kind in rest:
        first = _combine(first, kind)
    return first


default: dtype = float32


def set_default(kind: dtype) -> None:
    """Set the type of ``torch.tensor(1.5)``. TypeError unless it is a floating type."""
    global default
    if not isinstance(kind, dtype) or not kind.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    default = kind


C_NAMES = {
    "int8": "signed char", "uint8": "unsigned char", "int16": "short int", "int32": "int", "int64": "long int", "bool": "bool",
    "uint16": "short unsigned int", "uint32": "unsigned int", "uint64": "long unsigned int", "float16": "c10::Half",
    "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}  # fmt: skip
"""What torch's C++ calls the types, as some of its messages do."""
