"""``torch.storage``: the memory of tensors as objects. Source: https://docs.pytorch.org/docs/stable/storage.html"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch import _dtypes
from jtorch._core.tensor.storage_objects import TypedStorage, UntypedStorage, warn_of_typed_storage
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

    def _from_buffer(*args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> TypedStorage:
        if dtype is not None or device is not None:
            what = "dtype" if dtype is not None else "device"
            raise RuntimeError(f"from_buffer: '{what}' can only be specified in UntypedStorage.from_buffer and TypedStorage.from_buffer")
        return TypedStorage(wrap_storage=UntypedStorage.from_buffer(*args, dtype=kind, **kwargs), dtype=kind)

    def from_buffer(*args: Any, **kwargs: Any) -> TypedStorage:
        """A copy of a buffer's elements: ``(buffer, byte_order, count=-1, offset=0)``."""
        _warn_typed_storage_removal()
        return _from_buffer(*args, **kwargs)

    body = {"__new__": new, "dtype": kind, "from_buffer": staticmethod(from_buffer), "_from_buffer": staticmethod(_from_buffer), "__module__": "torch"}
    return _LegacyMeta(name, (), {**body, "__doc__": f"Storages of {kind}: of a size, or of data."})


def _warn_typed_storage_removal(stacklevel: int = 3) -> None:
    warn_of_typed_storage()


LEGACY: dict[str, Any] = {
    kind: _legacy(name, _dtypes.ALL[kind])
    for name, kind in {
        "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "LongStorage": "int64",
        "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
        "ComplexDoubleStorage": "complex128", "ComplexFloatStorage": "complex64",
    }.items()
}  # fmt: skip
torch.StorageBase = UntypedStorage  # torch's is a class in C++ that only UntypedStorage has above it
for _class in LEGACY.values():
    setattr(torch, _class.__name__, _class)
