"""``torch.package``: archives of code and data together. Not written and not read: ``torch.save`` and the code's own package do the same."""

from __future__ import annotations

import importlib
from typing import Any

from jtorch._errors import not_implemented

__all__ = ["Importer", "ObjMismatchError", "ObjNotFoundError", "OrderedImporter", "PackageExporter", "PackageImporter", "PackagingError", "is_from_package", "sys_importer"]


class PackagingError(Exception):
    """Something cannot be put into an archive."""


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
        """The module that an object says that it is of."""
        import pickle

        return pickle.whichmodule(obj, name)  # type: ignore[attr-defined,no-any-return]

    def get_name(self, obj: Any, name: str | None = None) -> tuple[str, str]:
        """(module, name), checked to lead to the object."""
        name = name or getattr(obj, "__qualname__", None) or obj.__name__
        module = self.whichmodule(obj, name)
        found: Any = self.import_module(module)
        for part in name.split("."):
            if not hasattr(found, part):
                raise ObjNotFoundError(f"{obj} was not found as {module}.{name}")
            found = getattr(found, part)
        if found is not obj:
            raise ObjMismatchError(f"{obj} is not {module}.{name}")
        return module, name


class _SysImporter(Importer):
    def import_module(self, module_name: str) -> Any:
        return importlib.import_module(module_name)


sys_importer = _SysImporter()


class OrderedImporter(Importer):
    """Asks several, in order."""

    def __init__(self, *importers: Importer) -> None:
        self._importers = list(importers)

    def import_module(self, module_name: str) -> Any:
        """The first that is found. ModuleNotFoundError if none is."""
        for importer in self._importers:
            try:
                return importer.import_module(module_name)
            except ModuleNotFoundError:
                continue
        raise ModuleNotFoundError(module_name)


class PackageExporter:
    """Writes an archive."""

    def __init__(self, f: Any, importer: Any = sys_importer, debug: bool = False) -> None:
        not_implemented("torch.package.PackageExporter", "torch.save keeps the data, and the code's own package the code")


class PackageImporter(Importer):
    """Reads an archive."""

    def __init__(self, file_or_buffer: Any, module_allowed: Any = lambda name: True) -> None:
        not_implemented("torch.package.PackageImporter", "torch.save keeps the data, and the code's own package the code")


def is_from_package(obj: Any) -> bool:
    """Whether an object came out of an archive: none does."""
    return False
