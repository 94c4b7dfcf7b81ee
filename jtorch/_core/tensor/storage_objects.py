"""``untyped_storage()`` and ``storage()``: the memory of a tensor as an object."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._engine.recording.call import T, call_of, value
from jtorch._core.dispatch.as_strided import as_strided
from jtorch._core.graph.view_history import take_view
from jtorch import _device, _dtypes
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._engine.values.values import value_of

from jtorch._core.storage.host_memory import contiguous_strides, data_ptr, put_on, share_with_host
from jtorch._core.storage.bare_tensor import Storage, Tensor, alias_of, new_tensor
from jtorch._core.storage.view_steps import aval_of

__all__ = ["UntypedStorage", "TypedStorage", "tensor_on"]


def _whole(s: Storage) -> Any:
    return aval_of(alias_of(s, None))


class _Memory:
    """What both kinds of storage answer alike."""

    is_sparse = is_sparse_csr = is_hpu = False
    filename = None
    _s: Storage

    def data_ptr(self) -> int:
        return data_ptr(self._s)

    @property
    def device(self) -> _device.device:
        return _whole(self._s).device  # type: ignore[no-any-return]

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def _cdata(self) -> int:
        return id(self._s)

    def nbytes(self) -> int:
        return int(_whole(self._s).nbytes)

    def get_device(self) -> int:
        return -1 if self.device.type == "cpu" else self.device.index or 0

    def is_shared(self) -> bool:
        return False

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def share_memory_(self) -> Any:
        return self

    def pin_memory(self, device: Any = None) -> Any:
        return self

    def _bytes(self) -> np.ndarray:
        return np.ascontiguousarray(share_with_host(self._s)).reshape(-1).view(np.uint8)

    def _elements(self) -> np.ndarray:
        return self._bytes()

    def _like(self, elements: np.ndarray, where: Any = None) -> Any:
        raise NotImplementedError

    def _wrote(self) -> Any:
        self._s.version += 1
        return self

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        return len(self._elements())

    def tolist(self) -> list[Any]:
        return self._elements().tolist()  # type: ignore[no-any-return]

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def __setitem__(self, i: Any, v: Any) -> None:
        self._elements()[i] = v
        self._wrote()

    def fill_(self, value: Any) -> Any:
        self._elements()[:] = value
        return self._wrote()

    def copy_(self, source: Any, non_blocking: bool | None = None) -> Any:
        """Take over the elements of a storage of the same length."""
        if len(source) != len(self):
            raise RuntimeError(f"size mismatch, source size {len(source)} and destination size {len(self)}")
        self._elements()[:] = source._elements()
        return self._wrote()

    def clone(self) -> Any:
        return self._like(self._elements().copy())

    def to(self, *, device: Any, non_blocking: bool = False) -> Any:
        where = _device.device(device)
        return self if where is self.device else self._like(self._elements().copy(), where)

    def cpu(self) -> Any:
        return self.to(device="cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Any:
        return self.to(device="cuda" if device is None else device)

    def _as(self, name: str) -> TypedStorage:
        kind = _dtypes.ALIASES.get(name) or _dtypes.ALL[name]
        return TypedStorage(wrap_storage=UntypedStorage(_made(self._elements().astype(kind.np))), dtype=kind)


for _name in ("double", "float", "half", "long", "int", "short", "bfloat16", "bool", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz"):
    setattr(_Memory, _name, lambda self, name=_name: self._as(name))
for _name, _kind in (("char", "int8"), ("byte", "uint8"), ("complex_double", "complex128"), ("complex_float", "complex64")):
    setattr(_Memory, _name, lambda self, name=_kind: self._as(name))


def _made(array: np.ndarray, where: Any = None) -> Storage:
    v = value_of(array)
    return new_tensor(v if where is None or where is _device.CPU else put_on(v, where))._s


class UntypedStorage(_Memory):
    """The bytes behind a tensor. Equal objects share memory."""

    def __init__(self, storage: Any = 0, *, device: Any = None) -> None:
        if isinstance(storage, Storage):
            self._s = storage
        else:
            data = np.zeros(storage, np.uint8) if isinstance(storage, int) else np.asarray(list(storage), np.uint8)
            self._s = _made(data, None if device is None else _device.device(device))

    def _like(self, elements: np.ndarray, where: Any = None) -> UntypedStorage:
        return UntypedStorage(_made(elements, where))

    def size(self) -> int:
        return self.nbytes()

    def element_size(self) -> int:
        return 1

    def __getitem__(self, i: Any) -> Any:
        if not isinstance(i, (int, slice)):
            raise TypeError(f"can't index a torch.UntypedStorage with {type(i).__name__}")
        if isinstance(i, slice):
            if i.step not in (None, 1):
                raise RuntimeError(f"Trying to slice with a step of {i.step}, but only a step of 1 is supported")
            return UntypedStorage(self._bytes()[i].tolist())
        if not -len(self) <= i < len(self):
            raise IndexError(f"index {i} out of range for storage of size {len(self)}")
        return int(self._bytes()[i])

    def new(self) -> UntypedStorage:
        return UntypedStorage(0)

    def resizable(self) -> bool:
        return True

    def type(self, dtype: Any = None, non_blocking: bool = False) -> str:
        return "torch.storage.UntypedStorage"

    def byteswap(self, dtype: _dtypes.dtype) -> None:
        """Turn each element of ``dtype`` around, in place."""
        self._bytes().view(dtype.np).byteswap(inplace=True)
        self._wrote()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and other._s is self._s

    def __hash__(self) -> int:
        return hash(id(self._s))

    def __repr__(self) -> str:
        lines = "".join(f" {b}\n" for b in self.tolist())
        return f"{lines}[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"

    def untyped(self) -> UntypedStorage:
        return self


class TypedStorage(_Memory):
    """The elements behind a tensor (torch's legacy view of a storage): of a size, of data, or over an untyped storage."""

    def __init__(self, *args: Any, wrap_storage: UntypedStorage | None = None, dtype: _dtypes.dtype | None = None, device: Any = None) -> None:
        if dtype is None:
            if wrap_storage is not None:
                raise RuntimeError("TypedStorage.__init__: Argument 'dtype' must be specified")
            dtype = _dtypes.default
        if wrap_storage is None:
            data = args[0] if args else 0
            array = np.zeros(data, dtype.np) if isinstance(data, int) else np.asarray(list(data)).astype(dtype.np)
            wrap_storage = UntypedStorage(_made(array, None if device is None else _device.device(device)))
        self._untyped_storage, self.dtype = wrap_storage, dtype
        self._s = wrap_storage._s

    def _like(self, elements: np.ndarray, where: Any = None) -> TypedStorage:
        return TypedStorage(wrap_storage=UntypedStorage(_made(elements, where)), dtype=self.dtype)

    def _elements(self) -> np.ndarray:
        return self._bytes().view(self.dtype.np)

    def size(self) -> int:
        return self.nbytes() // self.dtype.itemsize

    def element_size(self) -> int:
        return self.dtype.itemsize

    def untyped(self) -> UntypedStorage:
        return self._untyped_storage

    def resizable(self) -> bool:
        return True

    def pickle_storage_type(self) -> str:
        return f"{self.dtype.legacy}Storage"

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of this kind of storage, or the elements in another type."""
        if dtype is not None:
            return self._as(dtype.name)
        return f"torch.{'cuda.' if self.is_cuda else ''}{self.pickle_storage_type()}"

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        if not isinstance(i, int):
            raise RuntimeError(f"can't index a {type(self)} with {type(i)}")
        if not -len(self) <= i < len(self):
            raise IndexError(f"index {i} out of range for storage of size {len(self)}")
        return self._elements()[i].item()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypedStorage) and other._s is self._s and other.dtype is self.dtype

    def __hash__(self) -> int:
        return hash(id(self._s))

    def __repr__(self) -> str:
        lines = "".join(f" {x}\n" for x in self.tolist())
        return f"{lines}[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"


def tensor_on(s: Storage, kind: _dtypes.dtype, offset: int, size: Any, stride: Any) -> Tensor:
    """A tensor of this type, size and stride on a storage."""
    from jtorch._registry import lookup

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
    return TypedStorage(wrap_storage=UntypedStorage(self._s), dtype=aval_of(self).dtype)


Tensor.untyped_storage = untyped_storage  # type: ignore[attr-defined]
Tensor.storage = Tensor._typed_storage = storage  # type: ignore[attr-defined]
