"""Reading and writing storages, on the device and in memory shared with numpy."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from jtorch import _device
from jtorch._engine.recording import guards
from jtorch._engine.recording.trace import flush, force
from jtorch._engine.values.values import Value, aval, jax_device, value_of

from jtorch._core.storage.bare_tensor import Storage

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
    def value(self) -> Value:  # type: ignore[override]
        array = self.host
        if sys.getrefcount(array) <= 3 and array.base is None:  # self.host, the local, and getrefcount's argument
            v = value_of(array)
            self.__class__ = Storage  # type: ignore[assignment]
            Storage.value.__set__(self, v)  # type: ignore[attr-defined]
            self.host = None
            return v
        return value_of(array.copy())

    @value.setter
    def value(self, v: Value) -> None:
        np.copyto(self.host, np.asarray(force(v)))


def share_with_host(s: Storage) -> np.ndarray:
    """Move a cpu storage into memory that numpy shares, and give that memory."""
    if s.host is None:
        v = s.value
        if v.aval.device is not _device.CPU:
            raise TypeError(
                f"can't convert {v.aval.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
            )
        array = np.array(looked_at(force(v)))
        if s.strides is not None:
            array = _with_strides(array, s.strides)
        s.host = array
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


_next_ptr = itertools.count(1)
_at = [0x5500_0000_0000]


def data_ptr(s: Storage) -> int:
    """An address that names this storage: the real one for memory shared with numpy, else a made-up one that no other storage has."""
    if s.host is not None:
        return int(s.host.__array_interface__["data"][0])
    if not s.ptr:
        size = max(s.value.aval.nbytes, 1)
        s.ptr = _at[0]
        _at[0] += (size + 127) // 64 * 64
    return s.ptr


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
    return value_of(jax.device_put(force(v), jax_device(where)), where)


def numpy_of(v: Value) -> np.ndarray:
    """The elements as a numpy array that must not be written."""
    if v.aval.device.type == "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    return looked_at(force(v))


def looked_at(array: Any) -> np.ndarray:
    """An array's elements, once they are there; raises what the guards have found by then."""
    found = np.asarray(array)
    if guards.pending:
        guards.look()
    return found


def overwrite(storages: list[Storage], values: list[Value], arrays: Iterable[Any], shared: set[int] | None) -> None:
    """New arrays for storages with these values, in place: the values themselves get them, but for those that somebody else holds too (``shared``)."""
    if shared is None:
        for v, array in zip(values, arrays, strict=True):
            v.array = array
    else:
        for i, array in enumerate(arrays):
            if i not in shared:
                values[i].array = array
            else:
                new = Value()
                new.aval, new.array, new.trace, new.pos = values[i].aval, array, None, -1
                storages[i].value = new
    for s in storages:
        s.version += 1


def fresh(array: Any) -> Value:
    """A value from a numpy array of which a copy is taken."""
    return value_of(np.array(array))
