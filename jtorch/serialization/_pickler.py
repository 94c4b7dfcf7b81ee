"""The pickle inside a checkpoint: torch's names for jtorch's objects on the way out, jtorch's objects for torch's names on the way in."""

from __future__ import annotations

import importlib
import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import Any

from jtorch import _dtypes
from jtorch._public import torch

from ._storage import STORAGE_TYPES, StorageType, name_of

PersistentId = Callable[[Any], Any]
_MOVED = {"torch.tensor": "torch._tensor"}



class _TorchNames:
    """Mixed into a pure Python Pickler: globals of ``jtorch.x`` are written as ``torch.x``, so that torch can read the file."""

    def _write_global(self, module: str, name: str, obj: Any) -> None:
        self.write(pickle.GLOBAL + module.encode() + b"\n" + name.encode() + b"\n")  # type: ignore[attr-defined]
        self.memoize(obj)  # type: ignore[attr-defined]

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a class or function by name."""
        module = getattr(obj, "__module__", None) or ""
        if module == "jtorch" or module.startswith("jtorch."):
            qualified = name or getattr(obj, "__qualname__", None) or obj.__name__
            if "<locals>" not in qualified and "." not in qualified:
                return self._write_global(_public_module(module, qualified), qualified, obj)
        try:
            return self._save_plain_global(obj, name)  # type: ignore[attr-defined]
        except pickle.PicklingError:
            pickle.dumps(obj)  # the C pickler has the words that users know
            raise

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Write one object; element types, sizes and storage classes have a form of their own in torch's files."""
        kind = type(obj)
        if kind is StorageType:
            if (known := self.memo.get(id(obj))) is not None:  # type: ignore[attr-defined]
                return self.write(self.get(known[0]))  # type: ignore[attr-defined]
            return self._write_global("torch.storage" if obj.name == "UntypedStorage" else "torch", obj.name, obj)
        if isinstance(obj, torch.dtype):
            if (known := self.memo.get(id(obj))) is not None:  # type: ignore[attr-defined]
                return self.write(self.get(known[0]))  # type: ignore[attr-defined]
            return self._write_global("torch", name_of(obj), obj)
        return super().save(obj, save_persistent_id)  # type: ignore[misc]

    def reducer_override(self, obj: Any) -> Any:
        """Reductions that torch's own classes have."""
        kind = type(obj)
        if isinstance(obj, torch.Tensor):
            from . import _rebuild

            return _rebuild.reduce_for_file(obj)
        if kind is torch.Size:
            return torch.Size, (tuple(obj),)
        if kind is torch.device:
            return torch.device, (obj.type,) if obj.index is None else (obj.type, obj.index)
        if kind is torch.memory_format:
            return name_of(obj)
        if kind is torch.layout:
            from . import _get_layout

            return _get_layout, (str(obj),)
        return NotImplemented




def _public_module(module: str, name: str) -> str:
    """torch's module for an object of jtorch: the same path, or ``torch`` where jtorch's private layout differs."""
    if module == "jtorch" or not any(part.startswith("_") for part in module.split(".")[1:]):
        return module[1:]
    if module == "jtorch._utils":
        return "torch._utils"
    return "torch" if getattr(torch, name, None) is not None else module[1:]


def make_pickler(pickle_module: Any, stream: io.BytesIO, protocol: int, persistent_id: PersistentId) -> Any:
    """A pickler of this module's kind that writes torch's names."""
    base = pickle_module.Pickler
    if base is pickle.Pickler:
        base = pickle._Pickler  # type: ignore[attr-defined]  # the C pickler can only write names that it can import
    mixins: tuple[type, ...] = (_TorchNames, base) if issubclass(base, pickle._Pickler) else (base,)  # type: ignore[attr-defined]
    members: dict[str, Any] = {"persistent_id": lambda self, obj: persistent_id(obj)}
    if len(mixins) == 2:
        members["_save_plain_global"] = base.save_global
        members["dispatch"] = {**base.dispatch, FunctionType: _TorchNames.save_global}
    made = type("TorchPickler", mixins, members)
    return made(stream, protocol=protocol)


def resolve(module: str, name: str) -> Any:
    """The object of jtorch for a name in a file. AttributeError or ModuleNotFoundError (with torch's path) where there is none."""
    module = _MOVED.get(module, module)
    if module == "torch" and name in _dtypes.ALL:
        return getattr(torch, name)
    if module in ("torch", "torch.storage", "torch.cuda") and name in STORAGE_TYPES:
        return STORAGE_TYPES[name]
    if module == "torch._utils":
        from jtorch import _utils

        return getattr(_utils, name)
    if module == "torch._tensor" and name == "_rebuild_from_type_v2":
        from jtorch import _utils

        return _utils._rebuild_from_type_v2
    if module == "torch":
        owner: Any = torch
    elif module == "torch.nn.parameter":
        owner = torch.nn
    else:
        path = "j" + module
        try:
            owner = sys.modules.get(path) or importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name and path.startswith(error.name):
                raise ModuleNotFoundError(f"No module named {module!r} in jtorch; the file refers to {module}.{name}", name=module) from None
            raise
    for part in name.split("."):
        owner = getattr(owner, part)
    return owner


def is_torch_name(module: str) -> bool:
    """Whether the module is torch's."""
    return module == "torch" or module.startswith("torch.")


def make_unpickler(pickle_module: Any, stream: Any, persistent_load: Callable[[Any], Any], **arguments: Any) -> Any:
    """An unpickler of this module's kind that reads torch's names as jtorch's objects."""

    def find_class(self: Any, module: str, name: str) -> Any:
        if "Storage" in name and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        if is_torch_name(module):
            return resolve(module, name)
        return base.find_class(self, module, name)

    base = pickle_module.Unpickler
    made = type("TorchUnpickler", (base,), {"find_class": find_class, "persistent_load": lambda self, pid: persistent_load(pid)})
    return made(stream, **arguments)


class _Nothing:
    """Takes the place of every object while a stream is only scanned."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Nothing:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> _Nothing:
        return _Nothing()

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Ignore."""

    def extend(self, items: Any) -> None:
        """Ignore."""

    def add(self, item: Any) -> None:
        """Ignore."""


class Scanner(pickle.Unpickler):
    """Reads over a pickle without making any of its objects, and collects the persistent ids."""

    def __init__(self, stream: Any, **arguments: Any) -> None:
        super().__init__(stream, **arguments)
        self.ids: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        """Storage classes as themselves, all else as nothing."""
        return STORAGE_TYPES[name] if name in STORAGE_TYPES else _Nothing

    def persistent_load(self, pid: Any) -> Any:
        """Note the id."""
        self.ids.append(pid)
        return _Nothing()


def _plain_globals() -> dict[str, Any]:
    from _codecs import encode
    from collections import Counter

    return {
        "collections.OrderedDict": OrderedDict, "collections.Counter": Counter, "_codecs.encode": encode,
        "builtins.bytearray": bytearray, "builtins.set": set, "builtins.complex": complex,
    }  # fmt: skip


_REBUILDERS = (
    "_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_qtensor", "_rebuild_tensor", "_rebuild_tensor_v2",
    "_rebuild_tensor_v3", "_rebuild_sparse_tensor", "_rebuild_meta_tensor_no_storage", "_rebuild_nested_tensor",
    "_rebuild_wrapper_subclass", "_rebuild_device_tensor_from_numpy", "_rebuild_device_tensor_from_cpu_tensor",
)  # fmt: skip
_TORCH_GLOBALS = frozenset(
    ["torch.nn.parameter.Parameter", "torch.serialization._get_layout", "torch.Size", "torch.Tensor", "torch.device",
     "torch._tensor._rebuild_from_type_v2", *(f"torch.{name}" for name in _dtypes.ALL), *(f"torch._utils.{name}" for name in _REBUILDERS),
     *(f"torch.{name}" for name in STORAGE_TYPES), *(f"torch.cuda.{name}" for name in STORAGE_TYPES), "torch.storage.UntypedStorage",
     *(f"torch.{place}{kind.legacy}Tensor" for place in ("", "cuda.", "sparse.", "cuda.sparse.") for kind in _dtypes.ALL.values()),
     *(f"torch.per_{name}" for name in ("tensor_affine", "tensor_symmetric", "channel_affine", "channel_symmetric",
                                         "channel_affine_float_qparams"))]
)  # fmt: skip
_PLAIN = _plain_globals()


def allowed_by_default(path: str) -> Any:
    """The object of a name that every checkpoint may use. KeyError for other names."""
    if path in _PLAIN:
        return _PLAIN[path]
    if path not in _TORCH_GLOBALS:
        raise KeyError(path)
    module, _, name = path.rpartition(".")
    if module == "torch.serialization":
        from . import _get_layout

        return _get_layout
    return resolve(module, name)


__all__ = ["Scanner", "allowed_by_default", "is_torch_name", "make_pickler", "make_unpickler", "resolve"]
