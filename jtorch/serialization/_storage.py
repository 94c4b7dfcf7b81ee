"""Storages as a file has them: bytes in host memory, an element type by name, and a location.

This is the only file of the package that knows how tensors are made from bytes and bytes are read from tensors.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Iterable, Sequence
from pickle import UnpicklingError
from typing import Any

import numpy as np

from jtorch import _dtypes
from jtorch._core.storage.bare_tensor import alias_of
from jtorch._core.storage.host_memory import contiguous_strides, numpy_of
from jtorch._core.storage.view_steps import aval_of, is_contiguous, layout, read
from jtorch._core.storage.write_counts import origin_of
from jtorch._core.tensor.creation import from_array
from jtorch._core.tensor.storage_objects import tensor_on
from jtorch._errors import not_implemented
from jtorch._public import torch

from ._state import local

# torch's legacy typed storages; every other type is saved as untyped bytes with the type beside it.
TYPED = (
    "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool", "bfloat16", "complex128", "complex64",
    "quint8", "qint8", "qint32", "quint4x2", "quint2x4",
)  # fmt: skip
DTYPE_OF_STORAGE: dict[str, str] = {f"{_dtypes.ALL[name].legacy}Storage": name for name in TYPED}
STORAGE_OF_DTYPE: dict[str, str] = {name: legacy for legacy, name in DTYPE_OF_STORAGE.items()}
ALIGNMENT = 64  # XLA on CPU takes host memory without a copy when it is aligned so


def name_of(dtype: Any) -> str:
    """``torch.float32`` -> ``"float32"``."""
    return str(dtype).removeprefix("torch.")


def aligned_bytes(count: int) -> np.ndarray:
    """An uninitialised writable uint8 array of ``count`` bytes, aligned for XLA."""
    return _aligned(np.empty(count + ALIGNMENT, np.uint8), count)


def zeroed_bytes(count: int) -> np.ndarray:
    """The same, zero; the system gives such memory only when it is touched."""
    return _aligned(np.zeros(count + ALIGNMENT, np.uint8), count)


def _aligned(raw: np.ndarray, count: int) -> np.ndarray:
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count]


class StorageType:
    """Stands for ``torch.FloatStorage`` and its kin inside a pickle. KeyError for a name that torch does not have."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dtype_name = "uint8" if name == "UntypedStorage" else DTYPE_OF_STORAGE[name]

    @property
    def dtype(self) -> Any:
        """The element type."""
        return getattr(torch, self.dtype_name)

    def __str__(self) -> str:
        return f"StorageType(dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorageType) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


STORAGE_TYPES: dict[str, StorageType] = {name: StorageType(name) for name in (*DTYPE_OF_STORAGE, "UntypedStorage")}


class HostStorage:
    """A storage read from a file, or one being saved; what ``map_location`` functions receive.

    ``data`` is a uint8 array; tensors made from it share it. ``.to()``, ``.cpu()`` and ``.cuda()`` say where its tensors are to live.
    """

    def __init__(self, data: np.ndarray, dtype_name: str = "uint8", device: str = "cpu") -> None:
        self.data, self.dtype_name, self.location = data, dtype_name, device
        self.key: Hashable = ("host", id(self))
        self.untyped_only = False
        self._bases: dict[str, Any] = {}  # by element type: the tensor whose core storage all others share

    @property
    def dtype(self) -> Any:
        """The element type."""
        return getattr(torch, self.dtype_name)

    @property
    def device(self) -> Any:
        """Where tensors of this storage live."""
        return torch.device(self.location)

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.location.startswith("cuda")

    def nbytes(self) -> int:
        """Size in bytes."""
        return self.data.nbytes

    def size(self) -> int:
        """Number of elements."""
        return self.data.nbytes // _dtypes.ALL[self.dtype_name].itemsize

    __len__ = size

    def element_size(self) -> int:
        """Bytes of an element."""
        return _dtypes.ALL[self.dtype_name].itemsize

    def untyped(self) -> HostStorage:
        """The same bytes."""
        return self

    def become_public(self) -> None:
        """To be called once the file is read, of a storage that its object holds itself: from then on it is a ``torch.TypedStorage`` on the same memory."""
        base = self._bases.get(self.dtype_name, next(iter(self._bases.values()), None))
        dtype = self.dtype
        if base is None:
            base = from_array(self.data.view(_dtypes.ALL[self.dtype_name].memory) if self.location != "meta" else np.empty(0, np.uint8))
            base = base if self.location == "cpu" else base.to(self.location)
        self.__dict__.clear()
        self.__class__ = torch.TypedStorage
        self.__init__(wrap_storage=base.untyped_storage(), dtype=dtype)  # type: ignore[misc]

    def to(self, device: Any, non_blocking: bool = False) -> HostStorage:
        """The same bytes for another device."""
        return HostStorage(self.data, self.dtype_name, str(torch.device(device)))

    def cpu(self) -> HostStorage:
        """The same bytes for the CPU."""
        return self if self.location == "cpu" else self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> HostStorage:
        """The same bytes for a GPU."""
        return self.to("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)


    def __getattr__(self, name: str) -> Any:
        """Whatever else a storage has: for who unpickled one by itself."""
        if name.startswith("_") or "_bases" not in self.__dict__ or type(self) is not HostStorage:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        self.become_public()
        return getattr(self, name)

    def __getitem__(self, i: Any) -> Any:
        self.become_public()
        return self[i]


def publish(storages: Iterable[HostStorage]) -> None:
    """Make those public that somebody besides this file's reader holds."""
    left = list(storages) if local.publish else []
    while left:
        storage = left.pop()
        if sys.getrefcount(storage) > 3 and type(storage) is HostStorage:  # the reader's dictionary, the local, getrefcount's argument
            storage.become_public()


def text_of(value: Any) -> Any:
    """Text that a file of Python 2 may have as bytes; anything else as it is."""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


def checked_pid(pid: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    """A storage's persistent id ``("storage", type, key, location, count, ...)`` whose parts are of the right types. UnpicklingError otherwise."""
    if len(pid) == length:
        _, kind, key, location, count, *rest = pid
        key, location = str(key) if type(key) is int else text_of(key), text_of(location)
        if isinstance(kind, StorageType) and type(key) is str and type(location) is str and type(count) is int and 0 <= count < 1 << 60:
            return ("storage", kind, key, location, count, *rest)
    raise UnpicklingError("the file has a storage's persistent id that is not one")


def dense_order(size: Sequence[int], stride: Sequence[int]) -> tuple[int, ...] | None:
    """Dims from the slowest to the fastest, if elements lie without gaps or overlap; else None."""
    order = sorted(range(len(size)), key=lambda dim: (-stride[dim], dim))
    step = 1
    for dim in reversed(order):
        if size[dim] != 1:
            if stride[dim] != step:
                return None
            step *= size[dim]
    return tuple(order)


def tensor_of(storage: HostStorage, offset: int, size: Sequence[int], stride: Sequence[int], dtype_name: str) -> Any:
    """A tensor of this storage; all tensors of one storage share its memory."""
    if not isinstance(storage, HostStorage):  # a live tensor's
        return tensor_on(storage._s, _dtypes.ALL[dtype_name], offset, size, stride)
    kind = _dtypes.ALL[dtype_name]
    if kind.np is None:
        not_implemented(f"tensors of type torch.{dtype_name} in checkpoints", "convert them before saving")
    size, stride = tuple(size), tuple(stride)
    count = math.prod(size)
    if len(size) != len(stride):
        raise RuntimeError(f"mismatch in length of strides and shape: {len(size)} sizes, {len(stride)} strides")
    if any(length < 0 for length in size) or count * kind.itemsize >= 1 << 63:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}")
    if storage.location == "meta":
        return torch.empty_strided(size, stride, dtype=getattr(torch, dtype_name), device="meta")
    total = storage.data.nbytes // kind.itemsize
    needed = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1 if count else 0
    if needed > total or offset < 0 or any(step < 0 for step in stride):
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize {kind.itemsize} requiring a storage "
            f"size of {needed * kind.itemsize} are out of bounds for storage of size {storage.nbytes()}"
        )
    base: Any = storage._bases.get(dtype_name)
    if base is None:
        elements = storage.data[: total * kind.itemsize].view(kind.memory)
        order = dense_order(size, stride) if offset == 0 and count == total else None
        if order is None:
            base = from_array(elements)
        else:
            # The tensor that covers the storage is the base, in its own shape, so that it is no view of anything.
            inverse = sorted(range(len(order)), key=order.__getitem__)
            base = from_array(elements.reshape([size[dim] for dim in order]).transpose(inverse))
            if stride != contiguous_strides(size):
                base._s.strides = stride
        if storage.location != "cpu":
            moved = base.to(storage.location)
            moved._s.strides = base._s.strides
            base = moved
        storage._bases[dtype_name] = base
    own_size, own_stride, _ = layout(base)
    if offset == 0 and size == tuple(own_size) and (stride == tuple(own_stride) or (count <= 1 or is_contiguous(size, stride)) and base._s.strides is None):
        return alias_of(base._s, None)
    with torch.no_grad():
        view = torch.as_strided(base, size, stride, offset)
        return alias_of(view._s, view._view)


def storage_key(tensor: Any) -> Hashable:
    """What two tensors of one storage have in common; the tensor must be kept as long as the key."""
    return id(origin_of(tensor._s))  # a parameter's .data is another name of its memory


def storage_bytes(tensor: Any) -> int:
    """Size of the tensor's storage."""
    s = tensor._s
    whole = alias_of(s, None)
    size, stride, _ = layout(whole)
    if s.host is not None or s.strides is None:
        count = math.prod(size)
    else:
        count = 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) if math.prod(size) else 0
    return count * aval_of(whole).dtype.itemsize


def bytes_of(tensor: Any) -> np.ndarray:
    """All bytes of the tensor's storage, as uint8 in host memory, in storage order. The array must not be written."""
    s = tensor._s
    whole = alias_of(s, None)
    array = _dtypes.in_memory(numpy_of(read(whole)), aval_of(whole).dtype)
    if s.strides is not None and array.size:
        size, stride, _ = layout(whole)
        order = dense_order(size, stride)
        if order is not None:
            array = array.transpose(order)
        else:
            memory = np.zeros(storage_bytes(tensor) // array.itemsize, array.dtype)
            np.copyto(np.lib.stride_tricks.as_strided(memory, size, [step * array.itemsize for step in stride]), array)
            array = memory
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
