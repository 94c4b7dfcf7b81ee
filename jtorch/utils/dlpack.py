"""Exchange of tensors with other libraries by DLPack. Source: https://docs.pytorch.org/docs/stable/dlpack.html"""

from __future__ import annotations

import ctypes
import enum
from typing import Any

import jax
import numpy as np

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.creation import Capsule, from_jax, from_numpy
from jtorch._dtypes import complex32
from jtorch._public import torch

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]


class DLDeviceType(enum.IntEnum):
    """DLPack's numbers of devices."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLOpenCL = 4
    kDLVulkan = 7
    kDLMetal = 8
    kDLVPI = 9
    kDLROCM = 10
    kDLROCMHost = 11
    kDLExtDev = 12
    kDLCUDAManaged = 13
    kDLOneAPI = 14
    kDLWebGPU = 15
    kDLHexagon = 16
    kDLMAIA = 17


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule with the tensor's memory, which it shares on the cpu; to be used once. BufferError for a tensor that requires grad."""
    return tensor.__dlpack__()


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of an object with ``__dlpack__`` (or of a capsule): shared on the cpu, if the owner lets it be written, else a copy.

    ``device``: where the result is to be. ``copy``: True for memory of its own, False to forbid a copy (ValueError where one is needed).
    """
    if not hasattr(ext_tensor, "__dlpack__"):
        if type(ext_tensor).__name__ != "PyCapsule":
            raise RuntimeError("from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might have already constructed a tensor from it once.")
        ext_tensor = Capsule(ext_tensor)
    if isinstance(ext_tensor, Tensor) and ext_tensor.dtype is complex32:
        out = torch.view_as_complex(from_dlpack(torch.view_as_real(ext_tensor), copy=copy))
    elif isinstance(ext_tensor, Tensor) and ext_tensor.is_cpu and ext_tensor.dtype.np is not None and ext_tensor.dtype.memory.kind not in "biufc":
        same_size = torch.uint8 if ext_tensor.element_size() == 1 else torch.int16  # the types that numpy does not have
        out = from_dlpack(ext_tensor.view(same_size), copy=copy).view(ext_tensor.dtype)
    elif int(ext_tensor.__dlpack_device__()[0]) != DLDeviceType.kDLCPU:
        out = from_jax(jax.dlpack.from_dlpack(ext_tensor))
    else:
        try:
            array = np.from_dlpack(ext_tensor)
        except RuntimeError:  # a type that numpy does not have, of which JAX makes a copy
            out = from_jax(jax.dlpack.from_dlpack(ext_tensor)).clone()
            return out if device is None else out.to(device)
        if not array.flags.writeable and not isinstance(ext_tensor, (Tensor, np.ndarray, Capsule)):
            if copy is False:
                raise ValueError("cannot share memory that its owner does not let be written (a jax.Array's); leave copy to None or True")
            array = array.copy()
        elif not array.flags.writeable:
            array = _writable(array) if array.size else array.copy()
        out = from_numpy(array.copy() if copy else array)
    return out if device is None else out.to(device)


def _writable(array: np.ndarray) -> np.ndarray:
    """The same memory, of an array that numpy marks read-only though its owner would write it."""
    low, high = np.lib.array_utils.byte_bounds(array)
    memory = (ctypes.c_char * (high - low)).from_address(low)
    memory._keep = array  # type: ignore[attr-defined]  # it lives as long as who uses the memory
    return np.ndarray(array.shape, array.dtype, memory, array.__array_interface__["data"][0] - low, array.strides)  # type: ignore[call-overload]
