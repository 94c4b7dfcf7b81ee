"""The pickle inside a checkpoint: torch's names for jtorch's objects on the way out, jtorch's objects for torch's names on the way in."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from types import FunctionType
from typing import Any

from jtorch._public import torch

from ._names import home_of, is_ours, is_torch_name, resolve
from ._rebuild import _get_layout
from ._reduce import reduce_for_file
from ._storage import STORAGE_TYPES, StorageType, name_of

PersistentId = Callable[[Any], Any]


class _TorchNames:
    """Mixed into a pure Python Pickler: jtorch's objects are written by torch's names, so that torch can read the file."""

    def _write_global(self, module: str, name: str, obj: Any) -> None:
        self.write(pickle.GLOBAL + module.encode() + b"\n" + name.encode() + b"\n")  # type: ignore[attr-defined]
        self.memoize(obj)  # type: ignore[attr-defined]

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a class or function by name."""
        module = getattr(obj, "__module__", None) or ""
        if is_ours(module):
            qualified = name or getattr(obj, "__qualname__", None) or obj.__name__
            if (home := home_of(obj, module, qualified)) is not None:
                return self._write_global(*home, obj)
            if vars(torch.Tensor).get(plain := qualified.rpartition(".")[2]) is obj:
                return self.save_reduce(getattr, (torch.Tensor, plain), obj=obj)  # type: ignore[attr-defined]
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
            return reduce_for_file(obj)
        if kind is torch.Size:
            return torch.Size, (tuple(obj),)
        if kind is torch.device:
            return torch.device, (obj.type,) if obj.index is None else (obj.type, obj.index)
        if kind is torch.memory_format:
            return name_of(obj)
        if kind is torch.layout:
            return _get_layout, (str(obj),)
        return NotImplemented


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


class Nothing:
    """Takes the place of every object while a stream is only scanned."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Nothing:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Nothing:
        return self

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
    """Reads over a pickle that is trusted without making any of its objects, and collects the persistent ids."""

    def __init__(self, stream: Any, **arguments: Any) -> None:
        super().__init__(stream, **arguments)
        self.ids: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        """Storage classes as themselves, all else as nothing."""
        return STORAGE_TYPES[name] if name in STORAGE_TYPES else Nothing

    def persistent_load(self, pid: Any) -> Any:
        """Note the id. (A class: formats before 1.6 write modules' classes so, and make instances of them.)"""
        self.ids.append(pid)
        return Nothing
