"""Weights of TorchScript's archives: the pickle of the module's attributes, without the classes whose code it would need."""

from __future__ import annotations

import pickle
import zipfile
from typing import Any

import numpy as np

from jtorch import _dtypes
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch

__all__ = ["read_weights"]

_STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "LongStorage": "int64",
    "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}  # fmt: skip


class _Object:
    """An object of a class that exists in the archive only."""

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state if isinstance(state, dict) else {}


def _rebuild(storage: np.ndarray, offset: int, size: Any, stride: Any, requires_grad: bool, hooks: Any, *rest: Any) -> Any:
    step = storage.itemsize
    view = np.lib.stride_tricks.as_strided(storage[offset:], tuple(size), tuple(n * step for n in stride)) if storage.size else np.empty(tuple(size), storage.dtype)
    made = torch.from_numpy(np.array(view, order="C")) if storage.dtype.kind in "biufc" else torch.tensor(view.astype(np.float32)).to(getattr(torch, storage.dtype.name))
    return made.requires_grad_() if requires_grad else made


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(archive.open(f"{root}/data.pkl"))
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Object
        if name == "_rebuild_tensor_v2":
            return _rebuild
        if module == "collections" and name == "OrderedDict":
            return dict
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch.jit._pickle":
            return (lambda x, *rest: x) if name != "restore_type_tag" else (lambda value, kind: value)
        if module == "builtins" and name in ("set", "list", "dict", "tuple"):
            return {"set": set, "list": list, "dict": dict, "tuple": tuple}[name]
        return _Object

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, _, count = pid
        return np.frombuffer(bytearray(self.archive.read(f"{self.root}/data/{key}")), getattr(_dtypes, kind).np, int(count))


def read_weights(archive: zipfile.ZipFile, map_location: Any) -> dict[str, Any]:
    """The tensors of an archive by their paths."""
    root = archive.namelist()[0].partition("/")[0]
    found: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Tensor):
            found[path] = value if map_location is None else value.to(map_location)  # type: ignore[attr-defined]
        elif isinstance(value, _Object):
            for name, inner in value.__dict__.get("state", {}).items():
                walk(inner, f"{path}.{name}" if path else name)

    walk(_Reader(archive, root).load(), "")
    return found
