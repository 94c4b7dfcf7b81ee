"""How a tensor takes itself apart for pickle, inside torch.save and outside it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from jtorch._core.dispatch.torch_function import has_override, override
from jtorch._core.storage.bare_tensor import alias_of
from jtorch._install import submodule
from jtorch._public import torch

from . import _rebuild
from ._storage import STORAGE_OF_DTYPE, HostStorage, bytes_of, name_of, storage_bytes, storage_key


class TensorStorage(HostStorage):
    """The storage of a live tensor, its bytes read only when they are written."""

    def __init__(self, tensor: Any, dtype_name: str, untyped: bool = False) -> None:
        self.untyped_only = untyped  # written as an UntypedStorage, the element type beside it
        self.tensor, self.dtype_name, self.location = tensor, dtype_name, str(tensor.device)
        self.key = storage_key(tensor)
        # Rebuilt in the same process (copy.copy), a tensor shares its memory with this one.
        self._bases = {name_of(tensor.dtype): alias_of(tensor._s, None)} if tensor.layout == torch.strided else {}

    @property
    def data(self) -> Any:  # type: ignore[override]
        """The bytes."""
        return bytes_of(self.tensor)

    def nbytes(self) -> int:
        """Size in bytes."""
        return storage_bytes(self.tensor)


others: list[Any] = []  # functions that have a reduction for tensors of their own kind, None for the rest


def reduce_tensor(tensor: Any) -> tuple[Any, ...]:
    """``Tensor.__reduce_ex__`` without the subclass part: a function of ``torch._utils`` and its arguments."""
    for other in others:
        found = other(tensor)
        if found is not None:
            return found  # type: ignore[no-any-return]
    if tensor.device.type == "meta":
        return _rebuild._rebuild_meta_tensor_no_storage, (tensor.dtype, tuple(tensor.size()), tensor.stride(), tensor.requires_grad)
    if tensor.layout != torch.strided:
        if tensor.layout == torch.sparse_coo:
            parts = (tensor._indices(), tensor._values(), tensor.size(), tensor.is_coalesced())
        elif tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
            parts = (tensor.crow_indices(), tensor.col_indices(), tensor.values(), tensor.size())
        else:
            parts = (tensor.ccol_indices(), tensor.row_indices(), tensor.values(), tensor.size())
        return _rebuild._rebuild_sparse_tensor, (tensor.layout, parts)
    dtype = name_of(tensor.dtype)
    typed = dtype in STORAGE_OF_DTYPE
    storage = TensorStorage(tensor, dtype if typed else "uint8", untyped=not typed)
    place = (tensor.storage_offset(), tuple(tensor.size()), tuple(tensor.stride()), tensor.requires_grad, OrderedDict())
    metadata = {name: True for name in ("conj", "neg") if getattr(tensor, f"is_{name}")()}
    more = (metadata,) if metadata else ()
    if typed:
        return _rebuild._rebuild_tensor_v2, (storage, *place, *more)
    return _rebuild._rebuild_tensor_v3, (storage, *place, tensor.dtype, *more)


def reduce_ex(tensor: Any, protocol: int) -> tuple[Any, ...]:
    """``Tensor.__reduce_ex__``: subclasses and tensors with Python attributes keep their type and state."""
    if has_override((tensor,), {}):
        return override(torch.Tensor.__reduce_ex__, (tensor, protocol), {})  # type: ignore[no-any-return]
    kind, state = type(tensor), _rebuild._get_obj_state(tensor)
    if issubclass(kind, torch.nn.Parameter):
        # Hooks are never saved, hence the empty dictionary, which is part of the format.
        parts = (tensor.data, tensor.requires_grad, OrderedDict())
        return (_rebuild._rebuild_parameter_with_state, (*parts, state)) if state else (_rebuild._rebuild_parameter, parts)
    function, arguments = reduce_tensor(tensor)
    if kind is torch.Tensor and not state:
        return function, arguments
    submodule("torch._tensor")  # where pickles find the function, and from where it has its name
    return _rebuild._rebuild_from_type_v2, (function, kind, arguments, state)


reduce_ex.__name__, reduce_ex.jtorch_public = "__reduce_ex__", reduce_ex  # type: ignore[attr-defined]  # it asks, under this name


def reduce_for_file(tensor: Any) -> Any:
    """The reduction of a tensor in a checkpoint; a class with a ``__reduce_ex__`` of its own keeps it."""
    return reduce_ex(tensor, 2) if type(tensor).__reduce_ex__ is torch.Tensor.__reduce_ex__ else NotImplemented
