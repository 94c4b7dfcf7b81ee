"""Between tensors and host memory, without recording anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jtorch._namespace import torch


def host_array(tensor: Any) -> np.ndarray | None:
    """The elements of a plain cpu tensor outside of any graph, not to be written; None when that would mean computing or copying."""
    return None


def owned(array: np.ndarray) -> Any:
    """A tensor that takes an array over; nobody may write the array afterwards."""
    return torch.from_numpy(array)


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
