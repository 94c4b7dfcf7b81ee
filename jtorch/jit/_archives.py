"""Weights of TorchScript's archives: the pickle of the module's attributes, without the classes whose code it would need.

It is read as ``torch.load(weights_only=True)`` reads files: tensors are made of the archive's own bytes and lie within them, plain containers are plain, all other names are objects that do nothing.
"""

from __future__ import annotations

import io
import pickle
from pickle import UnpicklingError
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch.serialization._allowed import Entry
from jtorch.serialization._load import _Archive
from jtorch.serialization._weights_only import Unpickler
from jtorch.serialization._zip import ZipReader

__all__ = ["read_weights"]

_MOST = 1 << 17  # paths to parts of a module, and how many objects may lie within each other
_DEEPEST = 60


class _Object:
    """An object of a class that exists in the archive only."""

    state: dict[Any, Any] = {}


def _value(value: Any, *rest: Any) -> Any:
    return value


def _object(*args: Any) -> _Object:
    return _Object()


class _Reader(Unpickler):
    """Names of the archive's own classes, and what nobody knows, stand for :class:`_Object`."""

    def named(self, module: str, name: str) -> Any:
        """The object of a name."""
        if module == "torch.jit._pickle":
            self._granted[id(_value)] = Entry(_value, _value)
            return _value
        if not module.startswith("__torch__"):
            try:
                return super().named(module, name)
            except UnpicklingError:
                pass
        self._granted[id(_Object)] = Entry(_Object, _object)
        return _Object

    dispatch = type(Unpickler.dispatch)(Unpickler.dispatch)

    def load_build(self) -> None:
        """An object's attributes."""
        if len(self.stack) > 1 and type(self.stack[-2]) is _Object:
            state = self.stack.pop()
            self.stack[-1].state = state if type(state) is dict else {}
        else:
            super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def read_weights(stream: Any, map_location: Any) -> dict[str, Any]:
    """The tensors of an archive by their paths. RuntimeError and UnpicklingError for what does not fit."""
    archive = _Archive(ZipReader(stream), map_location, None)
    reader = _Reader(io.BytesIO(archive.reader.read("data.pkl")), encoding="utf-8")
    reader.bytes, reader.persistent_load = archive.reader.size, archive.find  # type: ignore[method-assign]
    found: dict[str, Any] = {}
    todo: list[tuple[Any, str, int]] = [(reader.load(), "", 0)]
    for _ in range(_MOST):
        if not todo:
            return found
        value, path, depth = todo.pop()
        if isinstance(value, Tensor):
            found[path] = value
        elif type(value) is _Object:
            if depth > _DEEPEST:
                break
            parts = [(inner, f"{path}.{name}" if path else str(name), depth + 1) for name, inner in value.state.items() if type(name) is str]
            todo.extend(reversed(parts))
    raise UnpicklingError("the archive's module is nested without end")
