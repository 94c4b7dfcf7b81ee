"""``untyped_storage()`` and ``storage()``: the memory of a tensor as an object."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch import _device, _dtypes
from jtorch._engine.sparse import SparseAval
from jtorch._engine.values import value_of

from .storage import contiguous_strides, data_ptr, share_with_host
from .tensor import Storage, Tensor, alias_of, new_tensor
from .views import aval_of

__all__ = ["UntypedStorage", "TypedStorage", "tensor_on"]


def _whole(s: Storage) -> Any:
    return aval_of(alias_of(s, None))


class UntypedStorage:
    """The bytes behind a tensor. Equal objects share memory."""

    __slots__ = ("_s", "__dict__")

    def __init__(self, storage: Any = 0) -> None:
        if isinstance(storage, Storage):
            self._s = storage
        else:
            n = storage if isinstance(storage, int) else len(storage)
            data = np.zeros(n, np.uint8) if isinstance(storage, int) else np.asarray(list(storage), np.uint8)
            self._s = new_tensor(value_of(data))._s

    def data_ptr(self) -> int:
        return data_ptr(self._s)

    def nbytes(self) -> int:
        return int(_whole(self._s).nbytes)

    def size(self) -> int:
        return self.nbytes()

    def __len__(self) -> int:
        return self.nbytes()

    def element_size(self) -> int:
        return 1

    @property
    def device(self) -> _device.device:
        return _whole(self._s).device  # type: ignore[no-any-return]

    @property
    def _cdata(self) -> int:
        return id(self._s)

    def _bytes(self) -> np.ndarray:
        return np.ascontiguousarray(share_with_host(self._s)).reshape(-1).view(np.uint8)

    def __getitem__(self, i: Any) -> Any:
        found = self._bytes()[i]
        return int(found) if np.ndim(found) == 0 else UntypedStorage(found.tolist())

    def __setitem__(self, i: Any, v: Any) -> None:
        self._bytes()[i] = v
        self._s.version += 1

    def tolist(self) -> list[int]:
        return self._bytes().tolist()  # type: ignore[no-any-return]

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and other._s is self._s

    def __hash__(self) -> int:
        return hash(id(self._s))

    def __repr__(self) -> str:
        lines = "\n".join(f" {b}" for b in self.tolist())
        return f"{lines}\n[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"

    def untyped(self) -> UntypedStorage:
        return self

    def cpu(self) -> UntypedStorage:
        return self

    def clone(self) -> UntypedStorage:
        return UntypedStorage(self._bytes().copy().tolist())


class TypedStorage:
    """The elements behind a tensor (torch's legacy view of a storage)."""

    def __init__(self, wrap_storage: UntypedStorage, dtype: _dtypes.dtype) -> None:
        self._untyped_storage, self.dtype = wrap_storage, dtype

    def data_ptr(self) -> int:
        return self._untyped_storage.data_ptr()

    def _elements(self) -> np.ndarray:
        return self._untyped_storage._bytes().view(self.dtype.np)

    def __len__(self) -> int:
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    def size(self) -> int:
        return len(self)

    def nbytes(self) -> int:
        return self._untyped_storage.nbytes()

    def element_size(self) -> int:
        return self.dtype.itemsize

    def untyped(self) -> UntypedStorage:
        return self._untyped_storage

    @property
    def device(self) -> _device.device:
        return self._untyped_storage.device

    def __getitem__(self, i: Any) -> Any:
        return self._elements()[i].item() if isinstance(i, int) else self._elements()[i].tolist()

    def __setitem__(self, i: Any, v: Any) -> None:
        self._elements()[i] = v
        self._untyped_storage._s.version += 1

    def tolist(self) -> list[Any]:
        return self._elements().tolist()  # type: ignore[no-any-return]

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def __repr__(self) -> str:
        lines = "\n".join(f" {x}" for x in self.tolist())
        return f"{lines}\n[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"


def tensor_on(s: Storage, kind: _dtypes.dtype, offset: int, size: Any, stride: Any) -> Tensor:
    """A tensor of this type, size and stride on a storage."""
    from jtorch._engine.call import T, call_of, value
    from jtorch._registry import lookup

    from .strided import as_strided
    from .viewing import take_view

    base = alias_of(s, None)
    old = aval_of(base).dtype
    if size is None:
        n = _whole(s).nbytes // kind.itemsize
        size = (n,)
    if old is not kind:
        flat = base.reshape(-1)  # type: ignore[attr-defined]
        op = lookup("internal.view_dtype")
        base = take_view(op, call_of(op, (T, value(kind), value(old.itemsize))), flat, (kind, old.itemsize), ())
        if len(size) == 1 and stride is None and offset == 0 and size[0] == aval_of(base).shape[0]:
            return base
        return base.reshape(tuple(size)) if offset == 0 else base[offset:].reshape(tuple(size))  # type: ignore[attr-defined,index,no-any-return]
    return as_strided(base, tuple(size), tuple(stride) if stride is not None else contiguous_strides(tuple(size)), offset)


def untyped_storage(self: Tensor) -> UntypedStorage:
    _has_storage(self)
    return UntypedStorage(self._s)


def _has_storage(t: Tensor) -> None:
    if aval_of(t).__class__ is SparseAval:
        raise NotImplementedError("Cannot access storage of SparseTensorImpl")


def storage(self: Tensor) -> TypedStorage:
    _has_storage(self)
    return TypedStorage(UntypedStorage(self._s), aval_of(self).dtype)


Tensor.untyped_storage = untyped_storage  # type: ignore[attr-defined]
Tensor.storage = Tensor._typed_storage = storage  # type: ignore[attr-defined]
