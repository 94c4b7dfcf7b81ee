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

    def from_file(filename: Any, shared: bool, size: int) -> TypedStorage:
        """So many elements of a file as memory; see :meth:`UntypedStorage.from_file`."""
        _warn_typed_storage_removal()
        return TypedStorage(wrap_storage=UntypedStorage.from_file(filename, shared, size * kind.itemsize), dtype=kind)

    body = {"__new__": new, "dtype": kind, "from_file": staticmethod(from_file), "from_buffer": staticmethod(from_buffer), "_from_buffer": staticmethod(_from_buffer), "__module__": "torch"}
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


def _dtype_to_storage_type_map() -> dict[Any, str]:
    """Element types with a class of storages of their own, by which old files name them."""
    quantised = ("QInt8", "QInt32", "QUInt8", "QUInt4x2", "QUInt2x4")
    return {**{kind.dtype: kind.__name__ for kind in LEGACY.values()}, **{getattr(torch, name.lower()): f"{name}Storage" for name in quantised}}


def _storage_type_to_dtype_map() -> dict[str, Any]:
    return {name: kind for kind, name in _dtype_to_storage_type_map().items()}


def _get_dtype_from_pickle_storage_type(pickle_storage_type: str) -> Any:
    """The element type that a file means by ``FloatStorage``. KeyError for a name that is none."""
    found = _storage_type_to_dtype_map()
    if pickle_storage_type not in found:
        raise KeyError(f'pickle storage type "{pickle_storage_type}" is not recognized')
    return found[pickle_storage_type]


def _get_storage_from_sequence(sequence: Any, dtype: Any, device: Any) -> UntypedStorage:
    """The bytes of these numbers."""
    return torch.tensor(sequence, dtype=dtype, device=device).untyped_storage()  # type: ignore[no-any-return]


torch.StorageBase = UntypedStorage  # torch's is a class in C++ that only UntypedStorage has above it
for _class in LEGACY.values():
    setattr(torch, _class.__name__, _class)
