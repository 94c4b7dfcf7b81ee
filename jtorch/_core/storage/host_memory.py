"""Reading and writing storages, on the device and in memory shared with numpy."""

from __future__ import annotations

import math
import sys
import time
import weakref
from collections.abc import Iterable
from operator import eq
from typing import Any

import jax
import numpy as np

from jtorch._errors import UNKNOWN, ValueUnknown
from jtorch import _device, _dtypes
from jtorch._errors import not_implemented
from jtorch._engine.recording import guards
from jtorch._engine.recording.trace import flush, force
from jtorch._engine.values.values import Value, aval, jax_device, value_of
from jtorch._engine.values.waiting import elements_of

from jtorch._core.storage.bare_tensor import Storage
from jtorch._core.storage.write_counts import Unsettled, origin_of, uncounted
from jtorch._core.storage.shared_memory import CAN_SHARE, Mapping, mapping_under

__all__ = ["HostStorage", "contiguous_strides", "data_ptr", "share_with_host", "host_view"]


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements; a dim of size 0 counts as 1."""
    out, step = [0] * len(shape), 1
    for i in range(len(shape) - 1, -1, -1):
        out[i] = step
        step *= max(shape[i], 1)
    return tuple(out)


class HostStorage(Storage):
    """A storage whose memory is a numpy array that the program can also see (``from_numpy``, ``numpy()``).

    Numpy may write it at any moment, so a read takes a copy; once nobody else holds the array, it becomes an ordinary value again.
    ``host`` is the array with the base tensor's shape.
    """

    __slots__ = ()

    @property
    def value(self) -> Value:
        return self.value if settled(self) else value_of(self.host.copy())

    @value.setter
    def value(self, v: Value) -> None:
        np.copyto(self.host, _dtypes.in_memory(np.asarray(force(v)), v.aval.dtype))

    @property
    def version(self) -> int:
        return Unsettled(_version.__get__(self))

    @version.setter
    def version(self, n: int) -> None:
        _version.__set__(self, int(n))


_version: Any = Storage.version


def settled(s: Storage) -> bool:
    """Whether the storage has (or now gets) a value that nobody can write behind its back. Its memory stays where it is."""
    s = origin_of(s)
    array = s.host
    if array is None:
        return True
    region = s.extra
    # s.host, the local, getrefcount's argument (from Python 3.14 on that counts if it is no local: here and wherever references are counted it is read anew);
    # what is said to be the region's bytes may be a view of it.
    if sys.getrefcount(s.host) > 3 + (region is not None and region.bytes.base is array):
        return False
    if array.base is not None if region is None else not region.alone(s):
        return False
    v = value_of(array)
    s.__class__ = Storage
    s.value, s.host, s.extra = v, None, None
    s.ptr = pin = Pin(array)  # what was told of its address holds on, whoever reads it at the moment
    pin.value, pin.version = weakref.ref(v), s.version
    return True


def share_with_host(s: Storage) -> np.ndarray:
    """Move a cpu storage into memory that numpy shares, and give that memory."""
    s = origin_of(s)
    array = in_memory(s)
    if s.extra is not None:
        s.extra.wild = True
    return array


def in_memory(s: Storage) -> np.ndarray:
    """The same, for who lets no array out."""
    s = origin_of(s)
    if s.host is None:
        v = s.value
        if v.aval.device is not _device.CPU:
            raise TypeError(
                f"can't convert {v.aval.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
            )
        array = None if s.strides is not None else _taken_back(s, v)
        if array is None:
            array = np.array(_dtypes.in_memory(looked_at(force(v), v), v.aval.dtype), order="C")
            if s.strides is not None:
                array = _with_strides(array, s.strides)
        uncounted(s)  # whoever saved it looks again, also when it is an ordinary value by then
        s.host, s.ptr = array, 0
        s.value = None
        s.__class__ = HostStorage
    return s.host


def _with_strides(array: np.ndarray, strides: tuple[int, ...]) -> np.ndarray:
    """The same elements in memory of this layout."""
    span = 1 + sum((n - 1) * st for n, st in zip(array.shape, strides, strict=True) if n > 0)
    memory = np.zeros(max(span, 1), array.dtype)
    out = np.ndarray(array.shape, array.dtype, memory, 0, tuple(st * array.itemsize for st in strides))
    np.copyto(out, array)
    return out


def host_view(array: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, kind: np.dtype | None = None) -> np.ndarray:
    """Elements of the same memory by strides and offset in elements of ``kind`` (default: the array's own)."""
    kind = kind or array.dtype
    if 0 in shape:  # an offset may lie behind the end
        return np.empty(shape, kind)
    if array.flags.c_contiguous:
        return np.ndarray(shape, kind, array, offset * kind.itemsize, tuple(s * kind.itemsize for s in strides))
    if kind == array.dtype:
        start = np.lib.stride_tricks.as_strided(array, (1,), (array.itemsize,))
        return np.lib.stride_tricks.as_strided(_shift(start, offset), shape, tuple(s * array.itemsize for s in strides))
    start = np.lib.stride_tricks.as_strided(array, (1,), (array.itemsize,)).view(kind)
    return np.lib.stride_tricks.as_strided(_shift(start, offset), shape, tuple(s * kind.itemsize for s in strides))


def _shift(one: np.ndarray, offset: int) -> np.ndarray:
    if offset == 0:
        return one
    return np.lib.stride_tricks.as_strided(one, (offset + 1,), (one.itemsize,))[offset:]


class Pin:
    """The block of memory whose address ``data_ptr`` gave, and which value of the storage it holds."""

    __slots__ = ("block", "value", "version", "told")

    def __init__(self, block: np.ndarray) -> None:
        self.block = block
        self.value: Any = None
        self.version = -1
        self.told = False  # whether somebody asked for the address: then it is worth waiting to keep it

    def holds(self, s: Storage, v: Value) -> bool:
        """Whether the block has the storage's present elements."""
        return self.version == s.version and self.value is not None and self.value() is v


_ZERO = np.zeros((), np.int32)
_PAUSES = [1e-4 * 2**i for i in range(12)]  # 0.4 s in all: on a busy machine XLA's threads come late
_IN_USE = 8  # pauses, 25 ms, where the value that the block held is still there: it may be what has it
_ALIGN = 64  # XLA on the cpu takes memory without a copy when it is aligned so


def aligned_empty(shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """An uninitialised array that XLA can take as it is."""
    count = math.prod(shape) * kind.itemsize
    raw = np.empty(count + _ALIGN, np.uint8)
    start = -raw.ctypes.data % _ALIGN
    return raw[start : start + count].view(kind).reshape(shape)


def address_of(array: np.ndarray) -> int:
    """Where an array's first element is."""
    return int(array.__array_interface__["data"][0])


def data_ptr(s: Storage) -> int:
    """The address of the storage's memory; what is pending runs. 0 where there is none.

    On the cpu it is good for reading until the storage is written; it is the same address again the next time, as long as nobody else has a use for
    the old elements there. What is written there from outside is seen only if numpy has the memory too (``numpy()``, ``from_numpy``): programs may
    hold copies of it.
    """
    s = origin_of(s)
    if s.host is not None:
        return address_of(s.host) if (s.host.size if s.extra is None else s.extra.size) else 0
    v = s.value
    if not v.aval.nbytes or v.aval.device.type == "meta":
        return 0
    if v.trace is None and s.ptr and (v.array is s.ptr.block or s.ptr.holds(s, v)):  # the version counts shapes that change in place, too
        s.ptr.told = True
        return address_of(s.ptr.block)
    array = force(v)
    if isinstance(array, jax.core.Tracer):
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage: it stands for a value inside a JAX transformation")
    if v.aval.device is not _device.CPU:
        return int(array.addressable_data(0).unsafe_buffer_pointer())
    return address_of(_pinned(s, _dtypes.in_memory(looked_at(array, v), v.aval.dtype)))


def _pinned(s: Storage, array: np.ndarray) -> np.ndarray:
    """Memory of the storage's own that holds its elements: the array itself where nobody else has it, or a block that the storage keeps."""
    if array.nbytes >= 1 << 20:
        jax.device_put(_ZERO)  # JAX lets go of host memory that its arrays stood on when it is next called
    pin, v = s.ptr, s.value
    alone = array is v.array and sys.getrefcount(v.array) <= 4 and sys.getrefcount(s.value) <= 4  # its holder, here, the caller, getrefcount's argument
    if not pin and alone and array.flags.c_contiguous and array.flags.writeable and s.strides is None:
        pin = s.ptr = Pin(array)
    elif not pin or pin.block.shape != array.shape or pin.block.dtype != array.dtype or not _free(pin):
        block = aligned_empty(array.shape, array.dtype)
        np.copyto(block, array)
        pin = s.ptr = Pin(block if s.strides is None else _with_strides(array, s.strides))
    else:
        np.copyto(pin.block, array)
    pin.value, pin.version, pin.told = weakref.ref(v), s.version, True
    if s.strides is None and v.aval.dtype.memory is v.aval.dtype.np:
        v.array = pin.block  # one memory, not two
    return pin.block


def _free(pin: Pin) -> bool:
    """Whether nobody else looks at the block. XLA's threads let go of what a program was given a moment after it has run."""
    there = pin.value is not None and pin.value() is not None
    for pause in _PAUSES[: 2 if not pin.told else _IN_USE if there else None]:
        if sys.getrefcount(pin.block) <= 2:
            return True
        jax.device_put(_ZERO)  # JAX lets go of host memory when it is next called, and what came since may have been computed by numpy
        time.sleep(pause)
    return False


def _taken_back(s: Storage, v: Value) -> np.ndarray | None:
    """The block that ``data_ptr`` told of, for numpy to share, if it holds the elements and nobody else looks at it."""
    pin = s.ptr
    if not pin or not pin.holds(s, v):
        return None
    if v.array is pin.block:
        v.array = pin.block.copy()  # the value may be held by others, and stays what it is
    return pin.block if _free(pin) else None


def share_between_processes(s: Storage) -> None:
    """Move a cpu storage into memory that this process's children, and whoever is sent it, write too. NotImplementedError where the system has none."""
    s = origin_of(s)
    if s.host is not None and mapping_under(s.host) is not None:
        return
    if not CAN_SHARE:
        not_implemented("share_memory_ on this system", "send tensors through queues, which copies them")
    array = in_memory(s)
    kept = _span(array)
    mapping = Mapping.new(max(kept * array.itemsize, 1))
    memory = np.asarray(mapping)[: kept * array.itemsize].view(array.dtype)
    shared = np.ndarray(array.shape, array.dtype, memory, 0, array.strides)
    np.copyto(shared, array)
    s.host, s.extra = shared, None


def _span(array: np.ndarray) -> int:
    """How many elements an array's memory has, from its first to its last."""
    return 1 + sum((n - 1) * st // array.itemsize for n, st in zip(array.shape, array.strides, strict=True)) if array.size else 0


def host_value(array: np.ndarray) -> Value:
    """A value on a numpy array that nobody will write again."""
    return value_of(array)


def put_on(v: Value, where: _device.device) -> Value:
    """The same value on another device; the pending work of this thread goes first."""
    if v.aval.device is where:
        return v
    if where.type == "meta":
        out = Value()
        out.aval, out.array, out.trace, out.pos = aval(v.aval.shape, v.aval.dtype, where), None, None, -1
        return out
    if v.aval.device.type == "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    if v.trace is not None:
        flush("device")
    return value_of(jax.device_put(force(v), jax_device(where)), where, v.aval.dtype)


def numpy_of(v: Value) -> np.ndarray:
    """The elements as a numpy array that must not be written."""
    if v.aval.device.type == "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    return looked_at(force(v), v)


def looked_at(array: Any, v: Value) -> np.ndarray:
    """An array's elements, once they are there; raises what the guards have found by then, if the value depends on it."""
    try:
        found = elements_of(array)
    except jax.errors.TracerArrayConversionError:
        raise ValueUnknown(UNKNOWN) from None
    if guards.pending:
        guards.look(v)
    return found


def replacing(storages: list[Storage], values: list[Value], arrays: Iterable[Any], shared: set[int] | None) -> list[Iterable[Any]]:
    """What puts new arrays into storages with these values, in place, when it is gone through: the values themselves get them, but for those that somebody else holds too (``shared``)."""
    versions = map(_set_version, storages, [s.version + 1 for s in storages])
    if shared is None:
        return [map(_set_array, values, arrays), versions]
    targets = list(values)
    for i in shared:
        new = targets[i] = Value()
        new.aval, new.array, new.trace, new.pos = values[i].aval, None, None, -1
    at = sorted(shared)
    return [map(_set_array, targets, arrays), map(_set_value, [storages[i] for i in at], [targets[i] for i in at]), versions]


_set_array = Value.array.__set__  # type: ignore[misc]  # the slots themselves: C functions
_set_version, _set_value = Storage.version.__set__, Storage.value.__set__  # type: ignore[attr-defined]
_get_value = Storage.value.__get__


def unchanged(storages: list[Storage], values: list[Value]) -> Iterable[bool]:
    """Whether the storages have these values when it is asked for, and nobody shares their memory or has packed them."""
    return map(eq, map(list, (map(_get_value, storages),)), (values,))


def fresh(array: Any) -> Value:
    """A value from a numpy array of which a copy is taken."""
    return value_of(np.array(array))
