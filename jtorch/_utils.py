"""What checkpoints name as ``torch._utils``: functions that rebuild tensors, and the wrapper that carries an exception between processes."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from jtorch._config import cpu_count as cpu_count
from jtorch._public import torch
from jtorch.serialization._rebuild import (
    _get_obj_state as _get_obj_state,
)
from jtorch.serialization._rebuild import (
    _rebuild_device_tensor_from_cpu_tensor as _rebuild_device_tensor_from_cpu_tensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_device_tensor_from_numpy as _rebuild_device_tensor_from_numpy,
)
from jtorch.serialization._rebuild import (
    _rebuild_from_type_v2 as _rebuild_from_type_v2,
)
from jtorch.serialization._rebuild import (
    _rebuild_meta_tensor_no_storage as _rebuild_meta_tensor_no_storage,
)
from jtorch.serialization._rebuild import (
    _rebuild_nested_tensor as _rebuild_nested_tensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_parameter as _rebuild_parameter,
)
from jtorch.serialization._rebuild import (
    _rebuild_parameter_with_state as _rebuild_parameter_with_state,
)
from jtorch.serialization._rebuild import (
    _rebuild_qtensor as _rebuild_qtensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_sparse_tensor as _rebuild_sparse_tensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_tensor as _rebuild_tensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_tensor_v2 as _rebuild_tensor_v2,
)
from jtorch.serialization._rebuild import (
    _rebuild_tensor_v3 as _rebuild_tensor_v3,
)
from jtorch.serialization._rebuild import (
    _rebuild_wrapper_subclass as _rebuild_wrapper_subclass,
)
from jtorch.serialization._rebuild import (
    _rebuild_xla_tensor as _rebuild_xla_tensor,
)
from jtorch.serialization._rebuild import (
    _set_obj_state as _set_obj_state,
)


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
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: only so does what the frames hold go with it


# --- lists of tensors end to end, and questions about devices, which libraries take from here ----------------------------------


def _flatten_dense_tensors(tensors: Sequence[Any]) -> Any:
    """All elements of tensors of one type, end to end."""
    return torch.cat([t.contiguous().view(-1) for t in tensors]) if len(tensors) != 1 else tensors[0].contiguous().view(-1)


def _unflatten_dense_tensors(flat: Any, tensors: Sequence[Any]) -> tuple[Any, ...]:
    """Views of ``flat`` in the shapes of ``tensors``."""
    found, start = [], 0
    for t in tensors:
        found.append(flat.narrow(0, start, t.numel()).view_as(t) if t.numel() else torch.empty(0, dtype=t.dtype, device=t.device).view_as(t))
        start += t.numel()
    return tuple(found)


def _flatten_sparse_tensors(tensors: Sequence[Any]) -> tuple[Any, Any]:
    """Indices and values of sparse tensors, each end to end."""
    return _flatten_dense_tensors([t._indices() for t in tensors]), _flatten_dense_tensors([t._values() for t in tensors])


def _unflatten_sparse_tensors(flat: tuple[Any, Any], tensors: Sequence[Any]) -> tuple[Any, ...]:
    """Sparse tensors like ``tensors`` of both."""
    indices = _unflatten_dense_tensors(flat[0], [t._indices() for t in tensors])
    values = _unflatten_dense_tensors(flat[1], [t._values() for t in tensors])
    return tuple(torch.sparse_coo_tensor(i, v, t.size()) for i, v, t in zip(indices, values, tensors))


def _reorder_tensors_as(tensors: Sequence[Any], ordered_tensors: Sequence[Any]) -> tuple[Any, ...]:
    """``tensors``, which are grouped by type, in the order in which the types come in ``ordered_tensors``."""
    by_type: dict[str, list[Any]] = defaultdict(list)
    for t in tensors:
        by_type[t.type()].append(t)
    iterators = {kind: iter(group) for kind, group in by_type.items()}
    return tuple(next(iterators[t.type()]) for t in ordered_tensors)


def _take_tensors(tensors: Sequence[Any], size_limit: int) -> Iterator[list[Any]]:
    """Tensors of one type, in groups of up to ``size_limit`` bytes."""
    groups: dict[str, tuple[list[Any], int]] = {}
    for t in tensors:
        kind = t.type()
        size = (t._indices().nbytes + t._values().nbytes) if t.is_sparse else t.numel() * t.element_size()
        group, taken = groups.get(kind, ([], 0))
        if group and taken + size > size_limit:
            yield group
            group, taken = [], 0
        group.append(t)
        groups[kind] = (group, taken + size)
    for group, _ in groups.values():
        if group:
            yield group


def _element_size(dtype: Any) -> int:
    """The bytes of an element. RuntimeError if it is no type."""
    if not isinstance(dtype, torch.dtype):
        raise RuntimeError(f"expected torch.dtype, but got {type(dtype)}")
    return int(dtype.itemsize)


def is_compiling() -> bool:
    """Whether a graph is being captured."""
    return bool(torch.compiler.is_compiling())


def _get_available_device_type() -> str | None:
    """The kind of accelerator that is there."""
    found = torch.accelerator.current_accelerator(True)
    return None if found is None else found.type


def _get_device_module(device_type: str) -> Any:
    """``torch.cuda`` for "cuda". RuntimeError if there is no such module."""
    found = getattr(torch, device_type, None)
    if found is None:
        raise RuntimeError(f"Device '{device_type}' does not have a corresponding module registered as 'torch.{device_type}'.")
    return found


def _get_all_device_indices() -> list[int]:
    """The numbers of the accelerators."""
    return list(range(torch.accelerator.device_count()))


def _get_current_device_index() -> int:
    """The number of the current one."""
    return int(torch.accelerator.current_device_index()) if torch.accelerator.is_available() else -1


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """The number in a device; of one without, or of None if ``optional``, the current one's. ValueError for cpu, unless ``allow_cpu``."""
    if isinstance(device, str):
        device = torch.device(device)
    index: int | None = None
    if isinstance(device, torch.device):
        if not allow_cpu and device.type == "cpu":
            raise ValueError(f"Expected a non cpu device, but got: {device}")
        index = -1 if device.type == "cpu" else device.index
    elif isinstance(device, int):
        index = device
    if index is None:
        if not optional and not isinstance(device, torch.device):
            raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{device}")
        return _get_current_device_index()
    return index


class _ClassPropertyDescriptor:
    def __init__(self, fget: Any) -> None:
        self.fget = fget

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self.fget.__get__(instance, owner or type(instance))()


def classproperty(func: Any) -> _ClassPropertyDescriptor:
    """A property of a class."""
    return _ClassPropertyDescriptor(func if isinstance(func, (classmethod, staticmethod)) else classmethod(func))


def try_import(module_name: str) -> Any:
    """The module, or None."""
    try:
        return importlib.import_module(module_name)
    except ImportError:
        return None


def _import_dotted_name(name: str) -> Any:
    """What a dotted name leads to."""
    parts = name.split(".")
    found: Any = importlib.import_module(parts[0])
    for part in parts[1:]:
        found = getattr(found, part)
    return found
