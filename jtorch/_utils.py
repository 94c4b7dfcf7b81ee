"""What checkpoints name as ``torch._utils``: functions that rebuild tensors, and the wrapper that carries an exception between processes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.serialization._state import local
from jtorch.serialization._storage import HostStorage, name_of, tensor_of


def _rebuild_tensor(storage: HostStorage, storage_offset: int, size: Sequence[int], stride: Sequence[int]) -> Any:
    """A tensor over a storage; the storage says the element type."""
    return tensor_of(storage, storage_offset, size, stride, storage.dtype_name)


def _finish(tensor: Any, requires_grad: bool, hooks: Any, metadata: dict[str, bool] | None) -> Any:
    if metadata and metadata.get("conj"):
        tensor = tensor.conj()
    if metadata and metadata.get("neg"):
        tensor = torch._neg_view(tensor) if hasattr(torch, "_neg_view") else -tensor
    if requires_grad:
        tensor.requires_grad_(True)
    if hooks:
        tensor._backward_hooks = hooks
    return tensor


def _rebuild_tensor_v2(
    storage: HostStorage, storage_offset: int, size: Sequence[int], stride: Sequence[int], requires_grad: bool,
    backward_hooks: Any, metadata: dict[str, bool] | None = None,
) -> Any:  # fmt: skip
    """The form of a tensor in checkpoints since 0.4."""
    return _finish(_rebuild_tensor(storage, storage_offset, size, stride), requires_grad, backward_hooks, metadata)


def _rebuild_tensor_v3(
    storage: HostStorage, storage_offset: int, size: Sequence[int], stride: Sequence[int], requires_grad: bool,
    backward_hooks: Any, dtype: Any, metadata: dict[str, bool] | None = None,
) -> Any:  # fmt: skip
    """The form of a tensor whose element type has no typed storage (uint16, float8, ...)."""
    return _finish(tensor_of(storage, storage_offset, size, stride, name_of(dtype)), requires_grad, backward_hooks, metadata)


def _rebuild_parameter(data: Any, requires_grad: bool, backward_hooks: Any) -> Any:
    """A parameter over a tensor."""
    parameter = torch.nn.Parameter(data, requires_grad)
    if backward_hooks:
        parameter._backward_hooks = backward_hooks
    return parameter


def _rebuild_parameter_with_state(data: Any, requires_grad: bool, backward_hooks: Any, state: Any) -> Any:
    """A parameter that had Python attributes of its own."""
    return _set_obj_state(_rebuild_parameter(data, requires_grad, backward_hooks), state)


def _get_obj_state(obj: Any) -> Any:
    """The Python state of an object: its dictionary, or ``(dictionary, slots)``."""
    return obj.__getstate__()


def _set_obj_state(obj: Any, state: Any) -> Any:
    """Give an object the state that :func:`_get_obj_state` took. RuntimeError for a state of another form."""
    slots: dict[str, Any] = {}
    if isinstance(state, tuple):
        if len(state) != 2:
            raise RuntimeError(f"Invalid serialized state: {state}")
        state, slots = state[0], state[1] or {}
    for name, value in {**(state or {}), **slots}.items():
        setattr(obj, name, value)
    return obj


def _rebuild_from_type_v2(func: Any, new_type: type, args: tuple[Any, ...], state: Any) -> Any:
    """An instance of a Tensor subclass, or a tensor with attributes."""
    result = func(*args)
    if type(result) is not new_type:
        result = result.as_subclass(new_type)
    own = getattr(result.__class__, "__setstate__", torch.Tensor.__setstate__)
    if own is not torch.Tensor.__setstate__:
        result.__setstate__(state)
        return result
    return _set_obj_state(result, state)


def _rebuild_sparse_tensor(layout: Any, data: tuple[Any, ...]) -> Any:
    """A sparse tensor from its parts."""
    if layout == torch.sparse_coo:
        indices, values, size, *coalesced = data
        return torch.sparse_coo_tensor(indices, values, size, is_coalesced=coalesced[0] if coalesced else None)
    if layout in {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}:
        return torch.sparse_compressed_tensor(*data, layout=layout)
    raise NotImplementedError(f"rebuilding sparse tensor for layout {layout}")


def _rebuild_device_tensor_from_cpu_tensor(data: Any, dtype: Any, device: str, requires_grad: bool) -> Any:
    """A tensor of a backend without storages, saved through the CPU."""
    tensor = data.to(dtype=dtype, device=_mapped_device(device))
    tensor.requires_grad = requires_grad
    return tensor


def _rebuild_device_tensor_from_numpy(data: Any, dtype: Any, device: str, requires_grad: bool) -> Any:
    """A tensor of a backend without storages, saved through numpy."""
    return _rebuild_device_tensor_from_cpu_tensor(torch.from_numpy(data), dtype, device, requires_grad)


_rebuild_xla_tensor = _rebuild_device_tensor_from_numpy


def _mapped_device(device: str) -> Any:
    wanted = local.map_location
    if wanted is None:
        return device
    if isinstance(wanted, dict):
        return wanted.get(device, device)
    if isinstance(wanted, (str, torch.device)):
        return wanted
    raise RuntimeError("Callable map_location not supported with _rebuild_wrapper_subclass or _rebuild_device_tensor_from_numpy")


def _rebuild_meta_tensor_no_storage(dtype: Any, size: Sequence[int], stride: Sequence[int], requires_grad: bool) -> Any:
    """A tensor of the meta device."""
    return torch.empty_strided(size, stride, dtype=dtype, device="meta", requires_grad=requires_grad)


def _rebuild_nested_tensor(*parts: Any) -> NoReturn:
    """Nested tensors of the C++ kind are not rebuilt."""
    not_implemented("torch.nested tensors in checkpoints", "save the list of their parts")


def _rebuild_wrapper_subclass(*parts: Any) -> NoReturn:
    """Wrapper subclasses without data are not rebuilt."""
    not_implemented("wrapper subclasses in checkpoints", "save their parts")


def _rebuild_qtensor(*parts: Any) -> NoReturn:
    """Quantised tensors are not rebuilt."""
    not_implemented("quantised tensors in checkpoints", "dequantize() before saving")


class KeyErrorMessage(str):
    """A string whose repr is itself, because KeyError prints the repr of its argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return self


class ExceptionWrapper:
    """An exception as type and text, so that it can cross a process or thread; :meth:`reraise` raises it again with its traceback as text."""

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        exc_info = exc_info or sys.exc_info()
        # Only text is kept: a live traceback would keep every frame, and with them this object, alive.
        self.exc_type = exc_info[0]
        self.exc_msg = "".join(traceback.format_exception(*exc_info))
        self.where = where

    def reraise(self) -> NoReturn:
        """Raise an exception of the original type; RuntimeError where the type cannot be made from one message."""
        text: str = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            text = KeyErrorMessage(text)
        elif getattr(self.exc_type, "message", None):
            raise self.exc_type(message=text)
        try:
            error = self.exc_type(text)
        except Exception:
            raise RuntimeError(text) from None
        raise error


def cpu_count() -> int | None:
    """Number of CPU cores that this process may use, or None when unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()
