"""Avals and values: what the engine computes with.

An ``Aval`` is a shape, an element type and a device, interned so that identity is equality. A ``Value`` is an immutable array, or
output number ``pos`` of a trace that has not run yet.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch import _device, _dtypes, _types
from jtorch._engine.values.unbroken import elsewhere

__all__ = ["Aval", "Value", "aval", "value_of", "jax_device", "device_of", "outside_jit"]


several: list[bool] = []  # holds something from when the first array came that lies on several devices


class Aval:
    """Shape, dtype and device of a value. Get one from :func:`aval`."""

    __slots__ = ("shape", "dtype", "device", "nbytes")
    shape: tuple[int, ...]
    dtype: _dtypes.dtype
    device: _device.device
    nbytes: int
    layout = _types.CONSTANTS["strided"]

    def __repr__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}" + ("" if self.device is _device.CPU else f"@{self.device}")

    @property
    def struct(self) -> jax.ShapeDtypeStruct:
        """The same for JAX's abstract evaluation."""
        return jax.ShapeDtypeStruct(self.shape, self.dtype.np)

_avals: dict[tuple[Any, ...], Aval] = {}


def aval(shape: tuple[int, ...], dtype: _dtypes.dtype, device: _device.device) -> Aval:
    """The one aval with these properties."""
    key = (shape, dtype, device)
    found = _avals.get(key)
    if found is None:
        found = Aval()
        found.shape, found.dtype, found.device = shape, dtype, device
        found.nbytes = dtype.itemsize * math.prod(shape)
        found = _avals.setdefault(key, found)
    return found


class Value:
    """``array`` is a numpy array (host), a jax.Array, a JAX tracer, or None while ``trace`` is pending. ``largest`` is there if guards.py has looked,
    ``lies`` if programs over several devices are to have it so, should it lie on one or be numpy's (see shards.py)."""

    __slots__ = ("aval", "array", "trace", "pos", "largest", "lies", "__weakref__")
    aval: Aval
    array: Any
    trace: Any
    pos: int
    largest: float  # an int, or infinity
    lies: Any  # a NamedSharding


def value_of(array: Any, device: _device.device = _device.CPU, kind: _dtypes.dtype | None = None) -> Value:
    """A value that is already there. A numpy array given here must never be written again. ``kind``: its type, where the array does not say it: of what carries complex32, whose
    parts are halves by now."""
    if isinstance(array, np.generic):  # what numpy's arithmetic makes of arrays without dims
        array = np.asarray(array)
    if kind is None:
        kind = _dtypes.from_np(np.dtype(array.dtype))
        if kind is _dtypes.complex32:
            array = _dtypes.widened(array)
    v = Value()
    v.aval = aval(tuple(array.shape), kind, device)
    v.array, v.trace, v.pos = array, None, -1
    return v


def to_device(array: Any, where: _device.device) -> Any:
    """A numpy array on the device, in memory of its own: it may be shared, and a copy costs less before than after. Inside somebody's ``jit`` it is
    an array all the same, not a tracer."""
    with outside_jit():
        return jax.device_put(array, jax_device(where), may_alias=False)


def outside_jit() -> AbstractContextManager[Any]:
    """Where values are there, JAX computes with them at once, also within somebody's ``jit``: what is kept must not be a tracer of that."""
    return jax.ensure_compile_time_eval() if _being_traced() else _NOTHING


_NOTHING = nullcontext()
_PLATFORM = {"cpu": "cpu", "cuda": "gpu", "tpu": "tpu"}


shared_by = 1  # processes of this machine, where each has one GPU of its own: it goes by the numbers of all


def jax_devices(kind: str) -> list[Any]:
    """JAX's devices behind a torch device type; empty if there are none. ``xla`` is whatever accelerator JAX found, or the cpu."""
    if kind == "xla":
        return list(elsewhere(jax.local_devices))  # JAX holds a lock meanwhile, for which a handler that computes would wait
    try:
        found = list(elsewhere(partial(jax.local_devices, backend=_PLATFORM.get(kind, kind))))
    except RuntimeError:
        return []
    return found * shared_by if kind == "cuda" else found


_jax_device: dict[_device.device, Any] = {}
# Where one has been used there is one: a number is a device in every call of some programs, and JAX is asked on another thread.
_device.accelerators[0] = lambda: any(d.type == "cuda" for d in tuple(_jax_device)) or bool(jax_devices("cuda"))


def jax_device(where: _device.device) -> Any:
    """The JAX device of a torch device. RuntimeError, in torch's words where it has them, if it is not there."""
    found = _jax_device.get(where)
    if found is None:
        there = jax_devices(where.type)
        if not there:
            if where.type == "cuda":
                raise AssertionError("Torch not compiled with CUDA enabled: JAX found no GPU (install the CUDA build of jaxlib)")
            raise RuntimeError(f"PyTorch is not linked with support for {where.type} devices: JAX has no such backend here")
        index = where.index or 0
        if where.type != "cpu" and index >= len(there):
            raise RuntimeError(f"CUDA error: invalid device ordinal: {where} with {len(there)} devices" if where.type == "cuda" else f"no device {where}")
        found = _jax_device[where] = there[0 if where.type == "cpu" else index]
    return found


def canonical(where: _device.device) -> _device.device:
    """The device that a tensor reports: an accelerator always with its index, the cpu without."""
    if where.type == "cpu":
        return _device.CPU
    return where if where.index is not None or where.type == "meta" else _device.device(where.type, 0)


def device_of(array: Any) -> _device.device:
    """The torch device of a jax.Array."""
    devices = array.devices()
    if len(devices) > 1:
        several.append(True)
        del several[1:]
    where = next(iter(devices))
    if where.platform == "cpu":
        return _device.CPU
    kind = {"gpu": "cuda", "cuda": "cuda", "rocm": "cuda"}.get(where.platform, where.platform)
    return _device.device(kind, where.local_hardware_id if kind == "cuda" else where.id)
