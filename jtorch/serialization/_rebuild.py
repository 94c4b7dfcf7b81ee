"""How a tensor takes itself apart for pickle, inside torch.save and outside it."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any

from jtorch._core.storage.bare_tensor import alias_of
from jtorch._public import torch

from ._state import local
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


def reduce_tensor(tensor: Any) -> tuple[Any, ...]:
    """``Tensor.__reduce_ex__`` without the subclass part: a function of ``torch._utils`` and its arguments."""
    from jtorch import _utils

    if tensor.device.type == "meta":
        return _utils._rebuild_meta_tensor_no_storage, (tensor.dtype, tuple(tensor.size()), tensor.stride(), tensor.requires_grad)
    if tensor.layout != torch.strided:
        if tensor.layout == torch.sparse_coo:
            parts = (tensor._indices(), tensor._values(), tensor.size(), tensor.is_coalesced())
        elif tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
            parts = (tensor.crow_indices(), tensor.col_indices(), tensor.values(), tensor.size())
        else:
            parts = (tensor.ccol_indices(), tensor.row_indices(), tensor.values(), tensor.size())
        return _utils._rebuild_sparse_tensor, (tensor.layout, parts)
    dtype = name_of(tensor.dtype)
    typed = dtype in STORAGE_OF_DTYPE
    storage = TensorStorage(tensor, dtype if typed else "uint8", untyped=not typed)
    place = (tensor.storage_offset(), tuple(tensor.size()), tuple(tensor.stride()), tensor.requires_grad, OrderedDict())
    metadata = {name: True for name in ("conj", "neg") if getattr(tensor, f"is_{name}")()}
    more = (metadata,) if metadata else ()
    if typed:
        return _utils._rebuild_tensor_v2, (storage, *place, *more)
    return _utils._rebuild_tensor_v3, (storage, *place, tensor.dtype, *more)


def reduce_ex(tensor: Any, protocol: int) -> tuple[Any, ...]:
    """``Tensor.__reduce_ex__``: subclasses and tensors with Python attributes keep their type and state."""
    from jtorch import _utils

    kind, state = type(tensor), None
    if isinstance(tensor, torch.nn.Parameter) and kind.__name__ in ("Parameter", "Buffer"):
        return reduce_parameter(tensor, protocol)
    state = _python_state(tensor)
    if kind is torch.Tensor and not state:
        return reduce_tensor(tensor)
    function, arguments = reduce_tensor(tensor)
    return _utils._rebuild_from_type_v2, (function, kind, arguments, state)


def reduce_for_file(tensor: Any) -> Any:
    """The reduction of a tensor in a checkpoint; a class with a ``__reduce_ex__`` of its own keeps it."""
    own = type(tensor).__reduce_ex__
    if own in (torch.Tensor.__reduce_ex__, torch.nn.Parameter.__reduce_ex__):
        return reduce_ex(tensor, 2)
    return NotImplemented


def reduce_parameter(parameter: Any, protocol: int) -> tuple[Any, ...]:
    """``Parameter.__reduce_ex__``."""
    from jtorch import _utils

    state = _python_state(parameter)
    if not state:
        return _utils._rebuild_parameter, (parameter.data, parameter.requires_grad, OrderedDict())
    return _utils._rebuild_parameter_with_state, (parameter.data, parameter.requires_grad, OrderedDict(), state)


def _python_state(tensor: Any) -> Any:
    """Attributes that the user put on a tensor; what starts with an underscore and belongs to the class is not among them."""
    if type(tensor).__getstate__ is not object.__getstate__:
        return tensor.__getstate__()
    return dict(getattr(tensor, "__dict__", {})) or None


def storage_to_bytes(storage: HostStorage) -> bytes:
    """A storage as a file of its own: what the ordinary pickle module stores."""
    from . import save

    stream = io.BytesIO()
    save(storage, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def load_from_bytes(data: bytes) -> Any:
    """The inverse of :func:`storage_to_bytes`."""
    from . import load

    before, local.map_location = local.map_location, None
    try:
        return load(io.BytesIO(data), weights_only=False)
    finally:
        local.map_location = before
