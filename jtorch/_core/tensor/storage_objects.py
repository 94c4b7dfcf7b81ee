"""``untyped_storage()`` and ``storage()``: the memory of a tensor as an object."""

from __future__ import annotations

import math
import mmap
import os
import sys
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from jtorch import _device, _dtypes
from jtorch._errors import warn_once
from jtorch._core.dispatch.as_strided import as_strided
from jtorch._core.graph.grad_modes import no_grad
from jtorch._core.graph.view_history import take_view
from jtorch._core.storage.bare_tensor import Storage, Tensor, alias_of, new_storage, new_tensor
from jtorch._core.storage.host_memory import HostStorage, contiguous_strides, data_ptr, in_memory, put_on, share_between_processes
from jtorch._core.storage.shared_memory import Region, mapping_under
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.storage.write_counts import origin_of
from jtorch._engine.recording.call import T, call_of, value
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._engine.values.values import value_of
from jtorch._registry import lookup

__all__ = ["UntypedStorage", "TypedStorage", "is_shared", "share_memory", "tensor_on", "warn_of_typed_storage"]


def _whole(s: Storage) -> Any:
    return aval_of(alias_of(s, None))


class _Memory:
    """What both kinds of storage answer alike."""

    is_sparse = is_sparse_csr = is_hpu = False
    _s: Storage

    def data_ptr(self) -> int:
        return data_ptr(self._s)

    @property
    def filename(self) -> str | None:
        """The file that the memory is shared with, if it is."""
        return None if self._s.extra is None else self._s.extra.filename

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
        region = self._s.extra
        return int(_whole(self._s).nbytes if region is None or region.owner is not self._s else region.size)

    def get_device(self) -> int | None:
        return None if self.device.type == "cpu" else self.device.index or 0

    def is_shared(self) -> bool:
        """Whether other processes see the memory."""
        return is_shared(self._s)

    @property
    def _is_meta(self) -> bool:
        return self.device.type == "meta"

    def share_memory_(self) -> Any:
        """Move the memory to where other processes see it, in place. RuntimeError on the meta device."""
        if self._is_meta:
            raise RuntimeError("_share_fd_: only available on CPU")
        share_memory(self._s)
        return self

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def pin_memory(self, device: Any = None) -> Any:
        return self

    def resizable(self) -> bool:
        return True

    def _bytes(self) -> np.ndarray:
        region = self._s.extra
        if region is not None and region.owner is self._s:
            return region.bytes[: region.size]
        if self._is_meta:
            raise NotImplementedError("Not available for 'meta' device type")
        memory = in_memory(self._s)
        # In the order of the memory, whatever the tensor's strides are.
        span = _span(memory) * memory.itemsize
        return np.ndarray((span,), np.uint8, np.lib.stride_tricks.as_strided(memory, (1,), (memory.itemsize,)) if not memory.flags.c_contiguous else memory, 0)

    def _elements(self) -> np.ndarray:
        return self._bytes()

    def _numbers(self) -> np.ndarray:
        return self._elements()

    def _like(self, elements: np.ndarray, where: Any = None) -> Any:
        raise NotImplementedError

    def _wrote(self) -> Any:
        self._s.version += 1
        return self

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        raise NotImplementedError

    def tolist(self) -> list[Any]:
        return self._numbers().tolist()  # type: ignore[no-any-return]

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def clone(self) -> Any:
        if self._is_meta:
            return self._like(np.empty(self.nbytes(), np.uint8), self.device)
        return self._like(self._elements().copy())

    def __copy__(self) -> Any:
        return self.clone()

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        if self._s.__class__ is not Storage or self._s.extra is not None:  # memory of its own kind: nobody's elements
            done = memo.setdefault("torch", {})
            if id(self._s) not in done:
                done[id(self._s)] = self.clone()
            return done[id(self._s)]
        untyped = UntypedStorage(copied_once(self._s, memo))
        return TypedStorage(wrap_storage=untyped, dtype=self.dtype) if isinstance(self, TypedStorage) else untyped

    def to(self, *, device: Any, non_blocking: bool = False) -> Any:
        where = _device.device(device)
        if self._is_meta and where.type != "meta":
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        return self if where is self.device else self._like(self._elements().copy(), where)

    def cpu(self) -> Any:
        return self.to(device="cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Any:
        return self.to(device="cuda" if device is None else device)

    def hpu(self, device: Any = None, non_blocking: bool = False) -> Any:
        """There are no such devices: AssertionError, as in torch."""
        raise AssertionError("HPU device module is not loaded")

    def _as(self, name: str) -> TypedStorage:
        kind = _dtypes.ALIASES.get(name) or _dtypes.ALL[name]
        return TypedStorage(wrap_storage=UntypedStorage(_made(_dtypes.in_memory(self._numbers().astype(kind.np), kind))), dtype=kind)


for _name in ("double", "float", "half", "long", "int", "short", "bfloat16", "bool", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz"):
    setattr(_Memory, _name, lambda self, name=_name: self._as(name))
for _name, _kind in (("char", "int8"), ("byte", "uint8"), ("complex_double", "complex128"), ("complex_float", "complex64")):
    setattr(_Memory, _name, lambda self, name=_kind: self._as(name))


def _span(array: np.ndarray) -> int:
    """How many elements the memory under an array has, from its first to its last."""
    return 1 + sum((n - 1) * st // array.itemsize for n, st in zip(array.shape, array.strides, strict=True)) if array.size else 0


def _made(array: np.ndarray, where: Any = None) -> Storage:
    v = value_of(array)
    made: Storage = new_tensor(v if where is None or where is _device.CPU else put_on(v, where))._s
    return made


def _in_region(region: Region, start: int, stop: int) -> Storage:
    """A storage on a part of a region's bytes."""
    s = new_storage(None)
    s.host, s.extra = region.bytes[start:stop], region
    s.__class__ = HostStorage
    region.add(s, start, stop)
    return s


def _region_of(s: Storage) -> Region:
    """The region that the storage is a part of; one of its own if it was in none."""
    if s.extra is None:
        memory = in_memory(s)
        s.extra = Region(UntypedStorage(s)._bytes(), wild=memory.base is not None)
        s.extra.add(s, 0, s.extra.size)
    return s.extra  # type: ignore[no-any-return]


def is_shared(s: Storage) -> bool:
    """Whether other processes see this storage's memory."""
    if _whole(s).device.type == "cuda":
        return True
    return s.host is not None and (mapping_under(s.host) is not None or (s.extra is not None and s.extra.of_file))


def share_memory(s: Storage) -> None:
    """``share_memory_``: nothing on accelerators, whose memory other processes may have anyway."""
    if _whole(s).device.type == "cpu" and not is_shared(s):
        share_between_processes(s)


class UntypedStorage(_Memory):
    """The bytes behind a tensor. Equal objects share memory."""

    def __init__(self, storage: Any = 0, *rest: Any, device: Any = None) -> None:
        if rest:
            got = ", ".join(type(a).__name__ for a in (storage, *rest))
            raise TypeError(
                f"torch.UntypedStorage() received an invalid combination of arguments - got ({got}), but expected one of:\n"
                " * (*, int allocator = None, torch.device device = None)\n * (int size, *, int allocator = None, torch.device device = None)\n"
                " * (object sequence, *, int allocator = None, torch.device device = None)\n"
            )
        if isinstance(storage, Storage):
            self._s = origin_of(storage)
            return
        data = np.zeros(_checked_size(storage), np.uint8) if isinstance(storage, int) else _checked_bytes(storage)
        self._s = _made(data, None if device is None else _device.device(device))

    @staticmethod
    def from_file(filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """A file as memory, mapped and read only when it is looked at. With ``shared`` what is written goes to the file, which is made if there is none
        and grows to the size; else it stays here. RuntimeError for a file that cannot be opened or is too short.
        """
        return UntypedStorage(_of_file(os.fspath(filename), bool(shared), nbytes))

    @staticmethod
    def from_buffer(buffer: Any, byte_order: str | None = None, count: int = -1, offset: int = 0, dtype: Any = None) -> UntypedStorage:
        """A copy of ``count`` elements of a buffer (all of them: -1) from a byte on. ValueError for a byte order that is no ``big``, ``little`` or ``native``, and
        where the buffer has too few.
        """
        if dtype is None:
            raise RuntimeError("argument 'dtype' cannot be None" if byte_order is not None else "function missing required argument 'byte_order' (pos 2)")
        if byte_order is None and dtype.itemsize > 1:
            raise RuntimeError("function missing required argument 'byte_order' (pos 2)")
        if byte_order not in (None, "big", "little", "native"):
            raise ValueError(f"invalid byte_order '{byte_order}' (expected 'big', 'little', or 'native')")
        there = np.frombuffer(buffer, np.uint8)
        left = len(there) - offset
        if offset < 0 or left < 0:
            raise ValueError(f"offset must be non-negative and no greater than buffer length ({len(there)}) , but got {offset}")
        if count < 0:
            if left % dtype.itemsize:
                raise ValueError(f"buffer size ({left}) must be a multiple of element size ({dtype.itemsize})")
            count = left // dtype.itemsize
        if count * dtype.itemsize > left:
            raise ValueError(f"buffer has only {left} elements after offset {offset}, but specified a size of {count}")
        taken = there[offset : offset + count * dtype.itemsize].copy()
        if byte_order not in (None, "native", sys.byteorder):
            taken = taken.view(dtype.memory).byteswap().view(np.uint8)
        return UntypedStorage(_made(taken, None))

    @staticmethod
    def _new_shared(size: int, *, device: Any = "cpu") -> UntypedStorage:
        """Bytes that other processes see."""
        return UntypedStorage(size, device=device).share_memory_()  # type: ignore[no-any-return]

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
            start, stop, step = i.indices(self.nbytes())
            if step != 1:
                raise RuntimeError(f"Trying to slice with a step of {step}, but only a step of 1 is supported")
            if self._is_meta:
                raise NotImplementedError("Not available for 'meta' device type")
            region = _region_of(self._s)
            first = region.start_of(self._s)
            return UntypedStorage(_in_region(region, first + start, first + max(start, stop)))
        if not -len(self) <= i < len(self):
            raise IndexError(f"index {i} out of range for storage of size {len(self)}")
        return int(self._bytes()[i])

    def __setitem__(self, i: Any, v: Any) -> None:
        if not isinstance(i, (int, slice)):
            raise RuntimeError(f"can't index a torch.UntypedStorage with {type(i).__name__}")
        if type(v) is not int:
            raise RuntimeError(f"can only set storage content with a int types, but got {type(v).__name__} instead")
        if isinstance(i, int) and not -len(self) <= i < len(self):
            raise RuntimeError("out of bounds")
        if isinstance(i, slice) and i.step not in (None, 1):
            raise RuntimeError(f"Trying to slice with a step of {i.step}, but only a step of 1 is supported")
        if self._is_meta:
            return
        self._bytes()[i] = v & 0xFF
        self._wrote()

    def fill_(self, value: Any) -> UntypedStorage:
        """Set every byte."""
        if type(value) is not int:
            raise RuntimeError(f"fill_ expects int, but got {type(value).__name__}")
        if self._is_meta:
            return self
        self._bytes()[:] = value & 0xFF
        return self._wrote()  # type: ignore[no-any-return]

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        """Take over the bytes of a storage of the same length."""
        if not isinstance(source, _Memory):
            raise TypeError(f"copy_(): argument 'src' (position 1) must be torch.Storage, not {type(source).__name__}")
        if source.nbytes() != self.nbytes():
            raise RuntimeError(f"size does not match, self was {self.nbytes()} bytes but src was {source.nbytes()} bytes")
        if self._is_meta:
            return self
        if source._is_meta:
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        self._bytes()[:] = source._bytes()
        return self._wrote()  # type: ignore[no-any-return]

    def resize_(self, size: Any) -> UntypedStorage:
        """Give the memory another length; what fits of the bytes stays. Tensors on it keep their sizes, and read zeros where it ends."""
        if type(size) is not int:
            raise RuntimeError(f"resize_ expects an int, but got {type(size).__name__}")
        _checked_size(size)
        s, old = self._s, self._bytes()
        if s.extra is not None and s.extra.overlapped(s) or mapping_under(in_memory(s)) is not None:
            raise RuntimeError("Trying to resize storage that is not resizable")
        memory = in_memory(s)
        own = _span(memory) * memory.itemsize
        fresh = np.zeros(max(size, own), np.uint8)
        fresh[: min(size, len(old))] = old[: min(size, len(old))]
        s.extra = Region(fresh, wild=True)
        s.extra.size = size
        s.extra.add(s, 0, len(fresh))
        s.host = np.ndarray(memory.shape, memory.dtype, fresh, 0, memory.strides)
        s.ptr = 0
        return self._wrote()  # type: ignore[no-any-return]

    def new(self) -> UntypedStorage:
        return UntypedStorage(0)

    def type(self, dtype: Any = None, non_blocking: bool = False) -> str:
        return "torch.storage.UntypedStorage"

    def byteswap(self, dtype: _dtypes.dtype) -> None:
        """Turn each element of ``dtype`` around, in place."""
        width = dtype.itemsize // (2 if dtype.is_complex else 1)
        self._bytes().view(f"u{width}").byteswap(inplace=True)
        self._wrote()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and other._s is self._s

    def __hash__(self) -> int:
        return hash(id(self._s))

    def __repr__(self) -> str:
        lines = "..." if self._is_meta else " " + "\n ".join(map(str, self.tolist()))
        return f"{lines}\n[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"

    def untyped(self) -> UntypedStorage:
        return self


def _checked_size(size: int) -> int:
    if size < 0:
        raise RuntimeError(f"[enforce fail at alloc_cpu.cpp] ((ptrdiff_t)nbytes) >= 0. alloc_cpu() seems to have been called with negative number: {size % (1 << 64)}")
    return size


def _checked_bytes(items: Any) -> np.ndarray:
    if not isinstance(items, Sequence):
        raise RuntimeError(f"torch.UntypedStorage(): Expected a sequence type, but got {type(items).__name__}")
    for item in items:
        if type(item) is not int:
            raise RuntimeError(
                f"torch.UntypedStorage(): tried to construct a storage from a sequence ({type(items).__name__}), but one of the items was of type "
                f"{type(item).__name__} instead of int"
            )
    return np.asarray([item & 0xFF for item in items], np.uint8)


def _of_file(name: str, shared: bool, nbytes: int) -> Storage:
    if not nbytes:
        return _made(np.empty(0, np.uint8))
    try:
        handle = os.open(name, os.O_RDWR | os.O_CREAT if shared else os.O_RDONLY, 0o600)
    except OSError as error:
        how = "read-write" if shared else "read-only"
        raise RuntimeError(f"unable to open file <{name}> in {how} mode: {error.strerror} ({error.errno})") from None
    try:
        there = os.fstat(handle).st_size
        if there < nbytes:
            if not shared:
                raise RuntimeError(f"file <{name}> size <{there}> is smaller than the required mapping size <{nbytes}>")
            os.ftruncate(handle, nbytes)
        memory = np.frombuffer(mmap.mmap(handle, nbytes, access=mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY), np.uint8)
    finally:
        os.close(handle)
    region = Region(memory, wild=shared, filename=name if shared else None, of_file=True)
    return _in_region(region, 0, nbytes)


class TypedStorage(_Memory):
    """The elements behind a tensor (torch's legacy view of a storage): of a size, of data, or over an untyped storage."""

    def __init__(self, *args: Any, wrap_storage: UntypedStorage | None = None, dtype: _dtypes.dtype | None = None, device: Any = None, _internal: bool = False) -> None:
        if dtype is None:
            if wrap_storage is not None:
                raise RuntimeError("TypedStorage.__init__: Argument 'dtype' must be specified")
            dtype = _dtypes.default
        if wrap_storage is None:
            data = args[0] if args else 0
            array = _dtypes.in_memory(np.zeros(data, dtype.np) if isinstance(data, int) else np.asarray(list(data)).astype(dtype.np), dtype)
            wrap_storage = UntypedStorage(_made(array, None if device is None else _device.device(device)))
        self._untyped_storage, self.dtype = wrap_storage, dtype
        self._s = wrap_storage._s

    @staticmethod
    def from_file(filename: Any, shared: bool, size: int) -> TypedStorage:
        """RuntimeError: the classes of one element type have it (``torch.FloatStorage.from_file``)."""
        warn_of_typed_storage()
        raise RuntimeError("from_file can only be called on derived classes")

    def _new_shared(self, size: int, *, device: Any = None) -> TypedStorage:
        """Elements of the same type that other processes see."""
        memory = UntypedStorage._new_shared(size * self.dtype.itemsize, device=device or self.device)
        return TypedStorage(wrap_storage=memory, dtype=self.dtype)

    def _like(self, elements: np.ndarray, where: Any = None) -> TypedStorage:
        return TypedStorage(wrap_storage=UntypedStorage(_made(elements, where)), dtype=self.dtype)

    def _elements(self) -> np.ndarray:
        return self._bytes().view(self.dtype.memory)

    def _numbers(self) -> np.ndarray:
        return _dtypes.widened(self._elements()) if self.dtype is _dtypes.complex32 else self._elements()

    def __setitem__(self, i: Any, v: Any) -> None:
        if self._is_meta:
            return
        self._elements()[i] = v if self.dtype is not _dtypes.complex32 else _dtypes.narrowed(np.asarray(v, self.dtype.np))
        self._wrote()

    def fill_(self, value: Any) -> TypedStorage:
        """Set every element."""
        self[:] = value
        return self  # type: ignore[no-any-return]

    def copy_(self, source: Any, non_blocking: bool | None = None) -> TypedStorage:
        """Take over the elements of a storage of the same length."""
        if len(source) != len(self):
            raise RuntimeError(f"size mismatch, source size {len(source)} and destination size {len(self)}")
        self._elements()[:] = source._elements()
        return self._wrote()  # type: ignore[no-any-return]

    def resize_(self, size: int) -> TypedStorage:
        """Give the memory room for so many elements; see :meth:`UntypedStorage.resize_`."""
        self._untyped_storage.resize_(size * self.dtype.itemsize)
        return self

    def size(self) -> int:
        return self.nbytes() // self.dtype.itemsize

    def element_size(self) -> int:
        return self.dtype.itemsize

    def untyped(self) -> UntypedStorage:
        return self._untyped_storage

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
        if self._is_meta:
            raise NotImplementedError("Not available for 'meta' device type")
        if not -len(self) <= i < len(self):
            raise IndexError(f"index {i} out of range for storage of size {len(self)}")
        return self._numbers()[i].item()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypedStorage) and other._s is self._s and other.dtype is self.dtype

    def __hash__(self) -> int:
        return hash(id(self._s))

    def __repr__(self) -> str:
        lines = "..." if self._is_meta else " " + "\n ".join(map(str, self.tolist()))
        return f"{lines}\n[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"


def tensor_on(s: Storage, kind: _dtypes.dtype, offset: int, size: Any, stride: Any) -> Tensor:
    """A tensor of this type, size and stride on a storage, which grows if it has no room for it. RuntimeError if it cannot."""
    room = UntypedStorage(s).nbytes()
    size = (room // kind.itemsize - offset,) if size is None else tuple(size)
    stride = contiguous_strides(size) if stride is None else tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError(f"unequal size length ({len(size)}) and stride length ({len(stride)})")
    needed = (offset + 1 + sum((n - 1) * st for n, st in zip(size, stride, strict=True))) * kind.itemsize if math.prod(size) else 0
    if needed > room and offset >= 0 and _whole(s).device.type == "cpu":
        room = UntypedStorage(s).resize_(needed).nbytes()
    if needed > room or offset < 0:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize {kind.itemsize} requiring a storage size of "
            f"{needed} are out of bounds for storage of size {room}"
        )
    if needed > _whole(s).nbytes:  # behind what the storage's own tensor has
        s = _in_region(s.extra, 0, room)
    base = alias_of(s, None)
    a = aval_of(base)
    if a.dtype is kind:
        same = size == a.shape and offset == 0 and s.strides is None and stride == contiguous_strides(size)
        return base if same else as_strided(base, size, stride, offset)
    count = math.prod(a.shape) * a.dtype.itemsize // kind.itemsize * kind.itemsize // a.dtype.itemsize
    flat = base if a.shape == (count,) and s.strides is None else as_strided(base, (count,), (1,), 0)
    op = lookup("internal.view_dtype")
    typed = take_view(op, call_of(op, (T, value(kind), value(a.dtype))), flat, (kind, a.dtype), ())
    if (size, stride, offset) == (aval_of(typed).shape, (1,), 0):
        return typed
    if stride == contiguous_strides(size):
        return typed.narrow(0, offset, math.prod(size)).view(size)
    return as_strided(typed, size, stride, offset)


_objects: weakref.WeakValueDictionary[int, UntypedStorage] = weakref.WeakValueDictionary()  # by the storage's id: it lives as long as its object


def copied_once(s: Storage, memo: dict[Any, Any]) -> Storage:
    """The copy of a storage in one ``copy.deepcopy``, whoever comes to it first: tensors and storages on one memory share it afterwards, too."""
    key = ("storage", id(origin_of(s)))
    if key not in memo:
        with no_grad():
            memo[key] = alias_of(s, None).clone()._s  # type: ignore[attr-defined]
    found: Storage = memo[key]
    return found


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The bytes behind the tensor; the same object as long as somebody has it."""
    _has_storage(self)
    s = origin_of(self._s)
    found = _objects.get(id(s))
    if found is None:
        found = _objects[id(s)] = UntypedStorage(s)
    return found


def _has_storage(t: Tensor) -> None:
    if aval_of(t).__class__ is SparseAval:
        raise NotImplementedError("Cannot access storage of SparseTensorImpl")


def warn_of_typed_storage() -> None:
    """Torch's words, once."""
    warn_once(
        "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only storage class. This should only matter to you if you are using "
        "storages directly.  To access UntypedStorage directly, use tensor.untyped_storage() instead of tensor.storage()"
    )


def storage(self: Tensor) -> TypedStorage:
    """The memory as a ``TypedStorage``, which torch has deprecated."""
    warn_of_typed_storage()
    return _typed_storage(self)


def _typed_storage(self: Tensor) -> TypedStorage:
    _has_storage(self)
    return TypedStorage(wrap_storage=UntypedStorage(self._s), dtype=aval_of(self).dtype)


Tensor.untyped_storage = untyped_storage  # type: ignore[method-assign]
Tensor.storage, Tensor._typed_storage = storage, _typed_storage  # type: ignore[method-assign,attr-defined]
