"""Small public types: Size, memory formats, layouts, quantisation schemes, finfo and iinfo."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from jtorch import _dtypes

__all__ = ["Size", "memory_format", "layout", "qscheme", "finfo", "iinfo"]


class Size(tuple):
    """The shape of a tensor: a tuple of ints that prints as torch's."""

    __slots__ = ()

    def __new__(cls, items: Any = ()) -> Size:
        made = super().__new__(cls, items)
        for i, x in enumerate(made):
            if not isinstance(x, int):
                if hasattr(x, "__index__"):
                    return cls(v.__index__() for v in made)
                raise TypeError(f"torch.Size() takes an iterable of 'int' (item {i} is '{type(x).__name__}')")
        return made

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        n = 1
        for d in self:
            n *= d
        return n

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, i: Any) -> Any:
        found = super().__getitem__(i)
        return Size(found) if isinstance(i, slice) else found

    def __add__(self, other: Any) -> Any:
        return Size(super().__add__(tuple(other))) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return Size((*other, *self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, n: Any) -> Size:
        return Size(super().__mul__(n))

    __rmul__ = __mul__

    def __reduce__(self) -> Any:
        return Size, (tuple(self),)


class _Named:
    """A constant with a name."""

    __slots__ = ("name",)
    name: str

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name  # of the module that the class names


class memory_format(_Named):
    """How dims are ordered in memory."""

    __slots__ = ()


class layout(_Named):
    """Strided or one of the sparse layouts."""

    __slots__ = ()


class qscheme(_Named):
    """Names of quantisation schemes; nothing here quantises."""

    __slots__ = ()


CONSTANTS: dict[str, Any] = {
    **{n: memory_format(n) for n in ("contiguous_format", "channels_last", "channels_last_3d", "preserve_format")},
    **{n: layout(n) for n in ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn", "jagged")},
    **{n: qscheme(n) for n in ("per_tensor_affine", "per_channel_affine", "per_tensor_symmetric", "per_channel_symmetric", "per_channel_affine_float_qparams")},
}


for _class in (memory_format, layout, qscheme):
    _class.__module__ = "jtorch"


class finfo:
    """Limits of a floating type. TypeError for others."""

    def __init__(self, type: Any = None) -> None:  # noqa: A002 - torch's name
        kind = _dtypes.OF_CLASS.get(type, type) or _dtypes.default
        if not isinstance(kind, _dtypes.dtype) or kind.category < 2:
            raise TypeError("torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'")  # torch's own words, its slip too
        info = ml_dtypes.finfo(kind.to_real().np)
        self.bits = info.bits
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        if kind.name == "float8_e5m2fnuz":
            self.eps = 0.125  # as torch has it
        self.tiny = self.smallest_normal = float(info.tiny if hasattr(info, "tiny") else info.smallest_normal)
        self.resolution = 10.0 ** -(int(-math.log10(self.eps)) if self.bits > 8 else 0)  # by its exact decimal digits; 8 bits have none
        self.dtype = kind.to_real().name

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("finfo", self.dtype))


class iinfo:
    """Limits of an integer type. TypeError for others."""

    def __init__(self, type: Any) -> None:  # noqa: A002 - torch's name
        type = _dtypes.OF_CLASS.get(type, type)
        if not isinstance(type, _dtypes.dtype) or type.category != 1:
            if type is _dtypes.bool_:
                raise TypeError("torch.bool is not supported by torch.iinfo")
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")  # torch's own words, its slip too
        info = np.iinfo(type.np)
        self.bits, self.max, self.min, self.dtype = info.bits, int(info.max), int(info.min), type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("iinfo", self.dtype))
