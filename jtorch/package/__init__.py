"""``torch.package``: archives of code, objects and data together. The files are torch's: each library reads the other's."""

from __future__ import annotations

from ._exporter import EmptyMatchError, PackageExporter, PackagingError
from ._importer import PackageImporter
from ._names import Importer, ObjMismatchError, ObjNotFoundError, OrderedImporter, is_from_package, sys_importer
from ._patterns import Directory

__all__ = [
    "Directory", "EmptyMatchError", "Importer", "ObjMismatchError", "ObjNotFoundError", "OrderedImporter", "PackageExporter", "PackageImporter", "PackagingError", "is_from_package", "sys_importer",
]  # fmt: skip
