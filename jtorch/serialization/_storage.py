"""Storages as a file has them: bytes in host memory, an element type by name, and a location.

This is the only file of the package that knows how tensors are made from bytes and bytes are read from tensors.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from jtorch import _dtypes
from jtorch._namespace import torch

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
    raw = np.empty(count + ALIGNMENT, np.uint8)
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
        self._base: dict[str, Any] = {}

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

    def to(self, device: Any, non_blocking: bool = False) -> HostStorage:
        """The same bytes for another device."""
        return HostStorage(self.data, self.dtype_name, str(torch.device(device)))

    def cpu(self) -> HostStorage:
        """The same bytes for the CPU."""
        return self if self.location == "cpu" else self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> HostStorage:
        """The same bytes for a GPU."""
        return self.to("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

    def base(self, dtype_name: str) -> Any:
        """The one-dimensional tensor over all of the storage; one per element type, so that its views share memory."""
        found = self._base.get(dtype_name)
        if found is None:
            found = self._base[dtype_name] = _whole(self, dtype_name)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        from ._rebuild import load_from_bytes, storage_to_bytes

        return load_from_bytes, (storage_to_bytes(self),)


def _whole(storage: HostStorage, dtype_name: str) -> Any:
    wanted = _dtypes.ALL[dtype_name]
    if storage.location == "meta":
        return torch.empty(storage.nbytes() // wanted.itemsize, dtype=getattr(torch, dtype_name), device="meta")
    data = storage.data[: storage.nbytes() // wanted.itemsize * wanted.itemsize]
    if wanted.np is None:
        tensor = torch.from_numpy(data).view(getattr(torch, dtype_name))
    else:
        tensor = from_numpy(data.view(wanted.np))
    return tensor if storage.location == "cpu" else tensor.to(storage.location)


def from_numpy(array: np.ndarray) -> Any:
    """A tensor over this memory, for every element type that numpy and ml_dtypes have."""
    kind = _dtypes.from_np(array.dtype)
    if kind.name.startswith(("bfloat", "float8")):
        # torch's own from_numpy does not know these types; a view of the bytes works with either library.
        return torch.from_numpy(array.view(np.uint8)).view(getattr(torch, kind.name))
    return torch.from_numpy(array)


def tensor_of(storage: HostStorage, offset: int, size: Sequence[int], stride: Sequence[int], dtype_name: str) -> Any:
    """A tensor of this storage; all tensors of one storage share its memory."""
    base = storage.base(dtype_name)
    with torch.no_grad():
        return torch.empty(0, dtype=base.dtype, device=base.device).set_(base.untyped_storage(), offset, tuple(size), tuple(stride))


def storage_key(tensor: Any) -> Hashable:
    """What two tensors of one storage have in common."""
    return tensor.untyped_storage()._cdata


def bytes_of(tensor: Any) -> np.ndarray:
    """All bytes of the tensor's storage, as uint8 in host memory, in storage order."""
    tensor = tensor.detach()
    if tensor.device.type != "cpu":
        tensor = tensor.cpu()
    if tensor.numel() == 0 and tensor.untyped_storage().nbytes() == 0:
        return np.empty(0, np.uint8)
    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()).numpy()
