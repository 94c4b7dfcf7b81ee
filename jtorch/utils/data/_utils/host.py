"""Between tensors and host memory, without recording anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jtorch import _device
from jtorch._core.storage.bare_tensor import PLAIN
from jtorch._core.storage.host_memory import host_view
from jtorch._core.storage.view_steps import aval_of, flipped, layout
from jtorch._core.tensor.creation import from_array
from jtorch._dtypes import complex32
from jtorch._engine.recording.trace import force


def host_array(tensor: Any) -> np.ndarray | None:
    """The elements of a plain cpu tensor outside of any graph, not to be written; None when that would mean computing."""
    if type(tensor) not in PLAIN or tensor._edge is not None or aval_of(tensor).device is not _device.CPU or aval_of(tensor).dtype is complex32:
        return None
    s = tensor._s
    array = s.host
    if array is None:
        v = s.value
        if v.trace is not None:
            if not v.trace.host:
                return None  # stays in the trace
        array = np.asarray(force(v))
        view = tensor._view
        if view is None:
            return array
        if not array.flags.c_contiguous or s.strides is not None:
            return None
    elif tensor._view is None:
        return array
    shape, strides, offset = layout(tensor)
    return flipped(host_view(array, shape, strides, offset, aval_of(tensor).dtype.np), tensor._view)


def owned(array: np.ndarray) -> Any:
    """A tensor that takes an array over; nobody may write the array afterwards."""
    return from_array(array, device="cpu")


allocate: Callable[[tuple[int, ...], np.dtype], np.ndarray] = np.empty
"""Where batches are made; a worker sets it to memory that it shares with the main process."""


def stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """``np.stack`` in memory of :data:`allocate`."""
    out = allocate((len(arrays), *arrays[0].shape), arrays[0].dtype)
    return np.stack(arrays, out=out)


def gathered(array: np.ndarray, where: np.ndarray) -> np.ndarray:
    """``array[where]`` in memory of :data:`allocate`; the indices must be in range."""
    out = allocate((len(where), *array.shape[1:]), array.dtype)
    return np.take(array, where, axis=0, out=out, mode="wrap")
