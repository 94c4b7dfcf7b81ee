"""The functions that a checkpoint names to have its tensors made again; torch's home for them is ``torch._utils``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from jtorch._errors import not_implemented
from jtorch._public import torch

from ._state import local
from ._storage import HostStorage, name_of, tensor_of


def _rebuild_tensor(storage: HostStorage, storage_offset: int, size: Sequence[int], stride: Sequence[int]) -> Any:
    """A tensor over a storage; the storage says the element type."""
    return tensor_of(storage, storage_offset, size, stride, name_of(storage.dtype))


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
    """The Python state of an object: its dictionary, or ``(dictionary, slots)``; of a tensor only what its user gave it."""
    if not isinstance(obj, torch.Tensor) or type(obj).__getstate__ is not object.__getstate__:  # type: ignore[attr-defined]
        return obj.__getstate__()
    above = [cls for cls in type(obj).__mro__ if not issubclass(torch.Tensor, cls) and cls is not torch.nn.Parameter]
    given = [cls.__dict__.get("__slots__", ()) for cls in above]
    names = [name for own in given for name in ([own] if isinstance(own, str) else own)]
    slots = {name: getattr(obj, name) for name in names if name not in ("__dict__", "__weakref__") and hasattr(obj, name)}
    state = dict(getattr(obj, "__dict__", {})) or None
    return (state, slots) if slots else state


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
    """A sparse tensor from its parts. RuntimeError for indices that point outside of it."""
    if layout == torch.sparse_coo:
        indices, values, size, *coalesced = data
        is_coalesced = coalesced[0] if coalesced else None
        return torch.sparse_coo_tensor(indices, values, size, is_coalesced=is_coalesced, check_invariants=True)
    if layout in {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}:
        return torch.sparse_compressed_tensor(*data, layout=layout, check_invariants=True)
    raise NotImplementedError(f"rebuilding sparse tensor for layout {layout}")


def _rebuild_device_tensor_from_cpu_tensor(data: Any, dtype: Any, device: str, requires_grad: bool) -> Any:
    """A tensor of a backend without storages, saved through the CPU."""
    tensor = data.to(dtype=dtype, device=_mapped_device(device))
    tensor.requires_grad = requires_grad
    return tensor


def _rebuild_device_tensor_from_numpy(data: np.ndarray, dtype: Any, device: str, requires_grad: bool) -> Any:
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


def _get_layout(name: str) -> Any:
    """The layout of this name. KeyError for any other name."""
    return {str(found): found for found in vars(torch).values() if isinstance(found, torch.layout)}[name]


# Where torch has them: the names by which checkpoints go.
HOMES: dict[Any, tuple[str, str]] = {
    function: ("torch._utils", function.__name__)
    for function in (
        _rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3, _rebuild_parameter, _rebuild_parameter_with_state, _rebuild_sparse_tensor,
        _rebuild_device_tensor_from_cpu_tensor, _rebuild_device_tensor_from_numpy, _rebuild_meta_tensor_no_storage, _rebuild_nested_tensor,
        _rebuild_wrapper_subclass, _rebuild_qtensor,
    )
}  # fmt: skip
for _function in HOMES:  # where the ordinary pickle module finds them
    _function.__module__ = "jtorch._utils"
_rebuild_from_type_v2.__module__ = "jtorch._private.tensor"
HOMES[_rebuild_from_type_v2] = ("torch._tensor", "_rebuild_from_type_v2")
HOMES[_get_layout] = ("torch.serialization", "_get_layout")
BY_HOME: dict[tuple[str, str], Any] = {home: function for function, home in HOMES.items()}
BY_HOME["torch._utils", "_rebuild_from_type_v2"] = _rebuild_from_type_v2  # as earlier versions of jtorch wrote it
