"""``torch.classes``: classes of C++ that extensions register. No extension can be loaded, so there are none."""

from __future__ import annotations

import types
from typing import Any

from jtorch._errors import not_implemented

__all__ = ["load_library"]

loaded_libraries: set[str] = set()


class _Namespace(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        space = self.__name__.rpartition(".")[2]
        raise RuntimeError(f"Tried to instantiate class '{space}.{name}', but it does not exist! Ensure that it is registered via torch::class_")


def load_library(path: str) -> None:
    """Load an extension of torch's library."""
    not_implemented("torch.classes.load_library", "extensions are built against torch's own library, which is not there")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    globals()[name] = found = _Namespace(f"torch.classes.{name}")
    return found
