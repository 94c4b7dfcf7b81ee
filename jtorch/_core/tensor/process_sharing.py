"""Tensors in shared memory on their way to other processes: the descriptor of the memory travels, not the elements."""

from __future__ import annotations

from multiprocessing import reduction
from typing import Any

import numpy as np

from jtorch import _dtypes
from jtorch._core.dispatch.as_strided import as_strided
from jtorch._core.storage.bare_tensor import PLAIN, Storage, Tensor, alias_of, new_storage
from jtorch._core.storage.host_memory import HostStorage
from jtorch._core.storage.shared_memory import Mapping, mapping_under
from jtorch._core.storage.view_steps import aval_of, layout
from jtorch._core.tensor import storage_objects
from jtorch._core.tensor.autograd_methods import set_requires_grad

__all__ = ["share_memory"]


def share_memory(s: Storage) -> None:
    """``share_memory_``: move the storage's memory; from then on ``multiprocessing`` sends tensors on it by its descriptor."""
    storage_objects.share_memory(s)
    for cls in PLAIN:
        reduction.ForkingPickler.register(cls, _reduce)


def _reduce(tensor: Tensor) -> Any:
    s = tensor._s
    mapping = None if s.host is None else mapping_under(s.host)
    if mapping is None or mapping.handle < 0 or tensor.requires_grad and not tensor.is_leaf:
        return tensor.__reduce_ex__(2)
    memory = s.host
    start = memory.__array_interface__["data"][0] - mapping.address
    whole = (start, aval_of(alias_of(s, None)).dtype.name, memory.shape, memory.strides)
    view = None if tensor._view is None else layout(tensor)
    state = getattr(tensor, "__dict__", None) or None
    return _rebuild, (reduction.DupFd(mapping.handle), mapping.size, whole, view, aval_of(tensor).dtype.name, tensor.requires_grad, type(tensor), state)


def _rebuild(sent: Any, size: int, whole: Any, view: Any, dtype: str, requires_grad: bool, cls: type, state: Any) -> Tensor:
    handle = sent.detach()
    mapping = Mapping(handle, size)
    mapping.handle = handle  # kept, so that it can be sent on
    start, kind, shape, strides = whole
    np_type = _dtypes.ALL[kind].memory
    s = new_storage(None)
    s.host = np.ndarray(shape, np_type, np.asarray(mapping), start, strides)
    if not s.host.flags.c_contiguous and s.host.size:
        s.strides = tuple(st // np_type.itemsize for st in strides)
    s.__class__ = HostStorage
    tensor = alias_of(s, None)
    if view is not None:
        tensor = storage_objects.tensor_on(s, _dtypes.ALL[dtype], view[2], view[0], view[1]) if dtype != kind else as_strided(tensor, *view)
    if cls is not Tensor:
        tensor = alias_of(tensor._s, tensor._view, cls)
    if requires_grad:
        set_requires_grad(tensor, True)
    if state:
        tensor.__dict__.update(state)
    for known in PLAIN:
        reduction.ForkingPickler.register(known, _reduce)
    return tensor
