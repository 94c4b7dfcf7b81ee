"""Names of modules that came out of archives: each importer puts a parent of its own before them, so that they are nobody else's."""

from __future__ import annotations

import importlib
import itertools
import pickle
import re
from typing import Any

__all__ = ["Importer", "ObjMismatchError", "ObjNotFoundError", "OrderedImporter", "is_from_package", "sys_importer"]
_MANGLED = re.compile(r"<torch_package_\d+>")
_numbers = itertools.count()


def new_parent() -> str:
    """A parent that no other importer has."""
    return f"<torch_package_{next(_numbers)}>"


def is_mangled(name: str) -> bool:
    """Whether a module's name has such a parent."""
    return _MANGLED.match(name) is not None


def demangle(name: str) -> str:
    """The name without it."""
    return name.partition(".")[2] if is_mangled(name) else name


class ObjNotFoundError(Exception):
    """No such name in its module."""


class ObjMismatchError(Exception):
    """The name means another object."""


class Importer:
    """Finds modules and names."""

    modules: dict[str, Any]

    def import_module(self, module_name: str) -> Any:
        """The module."""
        raise NotImplementedError

    def whichmodule(self, obj: Any, name: str) -> str:
        """The module that an object says that it is of, as its archive names it."""
        return demangle(pickle.whichmodule(obj, name))  # type: ignore[attr-defined]

    def get_name(self, obj: Any, name: str | None = None) -> tuple[str, str]:
        """(module, name), checked to lead to the object. ObjNotFoundError, ObjMismatchError."""
        name = name or getattr(obj, "__qualname__", None) or obj.__name__
        module = self.whichmodule(obj, name)
        try:
            found: Any = self.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, KeyError, AttributeError):
            raise ObjNotFoundError(f"{obj} was not found as {module}.{name}") from None
        if found is not obj:
            raise ObjMismatchError(
                f"{obj} is not {module}.{name} of this importer: it came from {pickle.whichmodule(obj, name)}. The importer that made it has to come first"  # type: ignore[attr-defined]
            )
        return module, name


class _SysImporter(Importer):
    def import_module(self, module_name: str) -> Any:
        return importlib.import_module(module_name)

    def whichmodule(self, obj: Any, name: str) -> str:
        return pickle.whichmodule(obj, name)  # type: ignore[attr-defined,no-any-return]


sys_importer = _SysImporter()


class OrderedImporter(Importer):
    """Asks several, in order."""

    def __init__(self, *importers: Importer) -> None:
        self._importers = list(importers)

    def import_module(self, module_name: str) -> Any:
        """The first that is found. ModuleNotFoundError if none is."""
        last: Exception = ModuleNotFoundError(module_name)
        for importer in self._importers:
            if not isinstance(importer, Importer):
                raise TypeError(f"{importer} is not a Importer. All importers in OrderedImporter must inherit from Importer.")
            try:
                return importer.import_module(module_name)
            except ModuleNotFoundError as error:
                last = error
        raise last

    def get_name(self, obj: Any, name: str | None = None) -> tuple[str, str]:
        """The first importer's that leads to the object."""
        for importer in self._importers:
            try:
                return importer.get_name(obj, name)
            except (ObjNotFoundError, ObjMismatchError):
                continue
        raise ObjNotFoundError(f"{obj} was not found by any of {self._importers}")


def is_from_package(obj: Any) -> bool:
    """Whether a module, or the class of an object, came out of an archive."""
    name = obj.__name__ if hasattr(obj, "__spec__") and hasattr(obj, "__name__") else getattr(obj if isinstance(obj, type) else type(obj), "__module__", "")
    return is_mangled(name)
