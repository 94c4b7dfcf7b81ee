"""``torch.storage``: the memory of tensors as objects. Source: https://docs.pytorch.org/docs/stable/storage.html"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch import _dtypes
from jtorch._core.tensor.storage_objects import TypedStorage, UntypedStorage
from jtorch._public import torch

__all__ = ["TypedStorage", "UntypedStorage"]


class _LegacyMeta(type):
    dtype: Any

    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, TypedStorage) and other.dtype is cls.dtype


def _legacy(name: str, kind: Any) -> Any:
    def new(cls: Any, *args: Any, wrap_storage: UntypedStorage | None = None) -> TypedStorage:
        error = (
            f"{cls}.__new__ received an invalid combination of arguments. Expected one of:\n * no arguments\n * (int size)\n * (Sequence data)\n"
            " * (*, UntypedStorage wrap_storage)"
        )
        if len(args) > 1:
            raise RuntimeError(error + "\nToo many positional arguments")
        if args and not isinstance(args[0], (int, Sequence)):
            raise TypeError(error + f"\nArgument type not recognized: {type(args[0])}")
        return TypedStorage(*args, wrap_storage=wrap_storage, dtype=kind)

    return _LegacyMeta(name, (), {"__new__": new, "dtype": kind, "__module__": "torch", "__doc__": f"Storages of {kind}: of a size, or of data."})


LEGACY: dict[str, Any] = {
    kind: _legacy(name, _dtypes.ALL[kind])
    for name, kind in {
        "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "LongStorage": "int64",
        "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
        "ComplexDoubleStorage": "complex128", "ComplexFloatStorage": "complex64",
    }.items()
}  # fmt: skip
for _class in LEGACY.values():
    setattr(torch, _class.__name__, _class)
