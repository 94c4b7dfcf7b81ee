"""Tensors from Python data, numpy arrays and constants. Values are made on the host; they go to the device when something computes with them."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from jtorch import _device, _dtypes
from jtorch._engine.values.values import Value, aval, canonical, device_of, value_of
from jtorch._errors import check_addressable, no_such_type, warn, warn_once
from jtorch._ops._fitting import check_fits, check_long, outside
from jtorch._ops._complex_half import EXPERIMENTAL
from jtorch._ops._float8 import fitted

from jtorch._core.dispatch.signature_binding import number_of
from jtorch._core.storage.host_memory import HostStorage, put_on
from jtorch._core.tensor.autograd_methods import detach, require_grad
from jtorch._core.tensor.storage_objects import TypedStorage, UntypedStorage, tensor_on
from jtorch._core.tensor.nested_numbers import WIDE, array_of, is_sequence, no_number
from jtorch._core.dispatch.conversion import to
from jtorch._core.storage.bare_tensor import Tensor, new_storage, new_tensor
from jtorch._core.storage.view_steps import aval_of, elements

__all__ = ["tensor", "from_array", "from_numpy", "full_value", "as_tensor", "require_grad", "from_jax"]


def place(where: Any) -> _device.device:
    """The device that a factory's ``device=`` means."""
    found = _device.current_default() if where is None else _device.device(where)
    return canonical(found)


def from_array(array: np.ndarray, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor on a numpy array that nobody will write again."""
    if dtype is not None and array.dtype != dtype.np:
        array = array.astype(dtype.np)
    v = value_of(array if dtype is None else _dtypes.in_memory(array, dtype))
    if v.aval.dtype is _dtypes.complex32:
        warn_once(EXPERIMENTAL)
    where = place(device)
    if where is not _device.CPU:
        v = put_on(v, where)
    t = new_tensor(v)
    return require_grad(t) if requires_grad else t


def from_jax(array: Any) -> Tensor:
    """A tensor on a ``jax.Array`` or a tracer, without a copy."""
    if isinstance(array, jax.core.Tracer):
        return new_tensor(value_of(array))
    return new_tensor(value_of(array, device_of(array)))


def from_numpy(array: Any) -> Tensor:
    """A tensor that shares memory with a numpy array, both ways. TypeError for types that torch has not."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    kind = _dtypes.from_np(array.dtype)
    if not array.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported.")
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. "
            "(You can probably work around this by making a copy of your array  with array.copy().) "
        )
    if any(s % array.itemsize for s in array.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory."
        )
    if not array.flags.writeable:
        warn_once(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing to this tensor will result in undefined behavior. "
            "You may want to copy the array to protect its data or make it writable before converting it to a tensor. "
            "This type of warning will be suppressed for the rest of this program."
        )
    s = new_storage(None)
    s.host = array if array.__class__ is np.ndarray else array.view(np.ndarray)  # of a memmap, a masked array, ... its memory
    if not array.flags.c_contiguous and array.size:
        s.strides = tuple(st // array.itemsize for st in array.strides)
    s.__class__ = HostStorage
    t = Tensor.__new__(Tensor)
    t._s = s
    t._view = t._edge = t._grad = t._meta = None
    t._nr = 0
    del kind
    return t


def _infer(data: Any, wanted: Any = None) -> Any:
    """The numpy array of nested Python data in torch's inferred type, or in Python's own precision if it will be converted to ``wanted``. ValueError/TypeError in torch's words."""
    if isinstance(data, np.ndarray):
        _dtypes.from_np(data.dtype)
        return data
    if isinstance(data, np.generic):
        return np.asarray(data)
    if (x := number_of(data)) is not None:
        if wanted is None or wanted.category == 1:
            check_long(x)
        elif x.__class__ is int:
            x = float(x)
        kind = _dtypes.of_python(x.__class__)
        kind = WIDE.get(x.__class__, kind) if wanted is not None else kind
        return _dtypes.in_memory(np.asarray(x, kind.np), kind)
    if isinstance(data, Tensor):

        return elements(data)
    if is_sequence(data):
        return array_of(data, wanted)
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if hasattr(data, "__array__"):
        return np.asarray(data)
    raise no_number(data, wanted)


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A copy of Python data, a numpy array or a tensor as a leaf. Source: torch.tensor."""

    if isinstance(data, Tensor):

        warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
        )
        where = aval_of(data).device if device is None else place(device)
        return require_grad(to(detach(data), dtype, where, copy=True), requires_grad)
    if isinstance(data, jax.Array):
        t = from_jax(data)
        return require_grad(to(t, _dtype_arg(dtype), place(device) if device is not None else None, copy=True), requires_grad)
    kind = _dtype_arg(dtype)
    if isinstance(data, (UntypedStorage, TypedStorage)):
        return require_grad(to(of_storage(data, kind), None, None if device is None else place(device)), requires_grad)
    array = _infer(data, kind)
    if kind is not None and kind.np is None:
        no_such_type(kind)
    if kind is not None and array.dtype != kind.memory:
        if not isinstance(data, (np.ndarray, np.generic)):
            _check_elements(array, kind)
        array = convert_host(array, kind)
    else:
        array = np.array(array)
    return from_array(array, None, device, requires_grad)


def of_storage(data: Any, kind: Any = None, said: str = "") -> Tensor:
    """A tensor on a storage's memory, of its type. RuntimeError where a typed one is of another; what nobody says the type of is of the default one, bytes are of int64."""
    if kind is None:
        kind = _dtypes.default if isinstance(data, TypedStorage) else _dtypes.int64
    if isinstance(data, TypedStorage) and data.dtype is not kind:
        raise RuntimeError(f"Expected a Storage of type {kind.legacy} or an UntypedStorage, but got " + (said or "{}").format(data.dtype.legacy))
    return tensor_on(data._s, kind, 0, None, None)


def _check_elements(array: np.ndarray, kind: _dtypes.dtype) -> None:
    """Raises for an element of Python data that a type cannot hold."""
    if array.dtype.kind == "c" and not kind.is_complex and kind is not _dtypes.bool_:
        raise TypeError("'complex' object cannot be interpreted as an integer" if kind.category == 1 else "must be real number, not complex")
    bad = outside(kind, array.dtype.kind) if kind.category == 1 else None
    if bad is not None and bad(array).any():
        raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")


def convert_host(array: np.ndarray, kind: _dtypes.dtype) -> np.ndarray:
    """A host array in another type, as C converts; RuntimeError where a Python int does not fit."""
    if array.dtype.kind == "c" and not kind.is_complex:
        array = array != 0 if kind is _dtypes.bool_ else array.real
    with np.errstate(all="ignore"):
        return _dtypes.in_memory(fitted(array, kind).astype(kind.np), kind)


def _dtype_arg(dtype: Any) -> Any:
    if dtype is None or isinstance(dtype, _dtypes.dtype):
        return dtype
    found = _dtypes.OF_CLASS.get(dtype)
    if found is None:
        raise TypeError(f"tensor(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    return found


class Capsule:
    """A capsule of DLPack in the protocol that takers ask for. A capsule does not say where its memory is; on the cpu, unless somebody says otherwise."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # DLPack's number of the cpu


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The same memory where possible (tensors, numpy arrays), else a copy."""
    if isinstance(data, Tensor):
        return to(data, dtype, device)
    if isinstance(data, np.ndarray):
        return to(from_numpy(data), dtype, device)
    if isinstance(data, jax.Array):
        return to(from_jax(data), dtype, device)
    return tensor(data, dtype=dtype, device=device)


_FULL: dict[Any, Value] = {}


def full_value(shape: tuple[int, ...], number: Any, kind: _dtypes.dtype, where: _device.device) -> Value:
    """A value filled with one number. Small zeros and ones are shared: values never change."""
    for d in shape:
        if d < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {d}: {list(shape)}")
    if kind.np is None:
        no_such_type(kind)
    check_addressable(shape, kind.itemsize)
    if where.type == "meta":
        v = Value()
        v.aval, v.array, v.trace, v.pos = aval(shape, kind, where), None, None, -1
        return v
    if kind is _dtypes.complex32:
        warn_once(EXPERIMENTAL)
    if number == 0 and str(number)[0] != "-":
        array = np.zeros(shape, kind.memory)
    else:
        check_fits(number, kind, math.prod(shape) != 1 and kind is not _dtypes.complex32)
        array = np.full(shape, convert_host(np.asarray(number), kind))
    v = value_of(array)
    return v if where is _device.CPU else put_on(v, where)
