"""Reading archives: their modules are imported from them and from nowhere else, under names of their own."""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import io
import linecache
import os
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from jtorch.serialization._load import _Archive
from jtorch.serialization._pickler import make_unpickler
from jtorch.serialization._reader import PyTorchFileReader
from jtorch.serialization._storage import publish, text_of

from ._names import Importer, demangle, new_parent
from ._patterns import Directory, tree

__all__ = ["PackageImporter"]
_ALWAYS = ("numpy", "numpy.core", "numpy.core._multiarray_umath", "builtins")


class _Folder:
    """An archive that was unpacked."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    get_record = read

    def has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    has_record = has

    def get_all_records(self) -> list[str]:
        return [p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file() and not p.name.endswith(".storage")]

    def array(self, name: str, size: int) -> Any:
        import numpy as np

        return np.frombuffer(self.read(name), np.uint8, size).copy()


class _Storages(_Archive):
    """The storages of a package, under the names that they have there."""

    def __init__(self, importer: PackageImporter, reader: Any, map_location: Any) -> None:
        super().__init__(reader, map_location, None)
        self.importer, self.reduced = importer, dict[Any, Any]()

    def find(self, pid: Any) -> Any:
        """A storage, or what ``__reduce_package__`` gave is called with."""
        if isinstance(pid, tuple) and pid and text_of(pid[0]) == "reduce_package":
            *key, func, args = pid[1:]
            if not key:
                return func(self.importer, *args)
            if key[0] not in self.reduced:
                self.reduced[key[0]] = func(self.importer, *args)
            return self.reduced[key[0]]
        if isinstance(pid, tuple) and len(pid) == 5:
            pid = (*pid[:2], str(pid[2]), *pid[3:])
        return super().find(pid)

    def _read(self, key: str, size: int, dtype_name: str, location: str) -> Any:
        found: Any = self.reader
        self.reader = _Renamed(found)  # type: ignore[assignment]
        try:
            return super()._read(key, size, dtype_name, location)
        finally:
            self.reader = found


class _Renamed:
    def __init__(self, reader: Any) -> None:
        self.reader = reader

    def array(self, name: str, size: int) -> Any:
        return self.reader.array(f".data/{name.removeprefix('data/')}.storage", size)


class PackageImporter(Importer):
    """Reads what a :class:`PackageExporter` wrote: a path, a folder or a stream. Modules that are not in the archive are imported only if it names them.

    ImportError for an external module that ``module_allowed`` refuses.
    """

    def __init__(self, file_or_buffer: Any, module_allowed: Callable[[str], bool] = lambda module_name: True) -> None:
        path = os.fspath(file_or_buffer) if isinstance(file_or_buffer, (str, os.PathLike)) else None
        self.filename = path if path is not None else "<pytorch_file_reader>" if isinstance(file_or_buffer, PyTorchFileReader) else "<binary>"
        self.zip_reader: Any = file_or_buffer if isinstance(file_or_buffer, PyTorchFileReader) else _Folder(path) if path is not None and os.path.isdir(path) else PyTorchFileReader(file_or_buffer)
        self.modules: dict[str, Any] = {}
        self._parent = new_parent()
        self.extern_modules = self.zip_reader.get_record(".data/extern_modules").decode().splitlines()
        for name in self.extern_modules:
            if not module_allowed(name):
                raise ImportError(f"package '{file_or_buffer}' needs the external module '{name}' but that module has been disallowed")
        self._sources: dict[str, str] = {}
        self._packages: set[str] = set()
        for record in self.zip_reader.get_all_records():
            *folders, last = record.split("/")
            if folders[:1] == [".data"]:
                continue
            self._packages.update(".".join(folders[: i + 1]) for i in range(len(folders)))
            if last == "__init__.py":
                self._sources[".".join(folders)] = record
            elif last.endswith(".py"):
                self._sources[".".join([*folders, last.removesuffix(".py")])] = record
        self._builtins = {**vars(builtins), "__import__": self.__import__}
        self.modules["torch_package_importer"] = self
        self.storage_context: Any = None
        self.last_map_location: Any = None

    def id(self) -> str:
        """The parent of its modules' names, which no other importer has."""
        return self._parent

    def import_module(self, name: str, package: str | None = None) -> Any:
        """A module of the archive, or one that it names as external. ModuleNotFoundError for others."""
        name = name.removeprefix(self._parent + ".")
        if name in self.modules:
            return self.modules[name]
        parent = name.rpartition(".")[0]
        if parent:
            self.import_module(parent)
            if name in self.modules:
                return self.modules[name]
        module = self._load(name)
        if parent and getattr(self.modules[parent], "__loader__", None) is self:
            setattr(self.modules[parent], name.rpartition(".")[2], module)
        return module

    def _is_external(self, name: str) -> bool:
        return any(name == e or name.startswith(e + ".") for e in self.extern_modules)

    def _load(self, name: str) -> Any:
        source = self._sources.get(name)
        if source is None and name not in self._packages:
            if name in _ALWAYS or self._is_external(name):
                module = self.modules[name] = importlib.import_module(name)
                return module
            if any(e.startswith(name + ".") for e in self.extern_modules):  # a package of which only parts are named
                module = self.modules[name] = importlib.import_module(name)
                return module
            raise ModuleNotFoundError(
                f'No module named "{name}" in self-contained archive "{self.filename}" and the module is also not in the list of allowed external modules: {self.extern_modules}', name=name
            )
        is_package = name in self._packages
        spec = importlib.machinery.ModuleSpec(name, self, origin="<package_importer>", is_package=is_package)  # type: ignore[arg-type]
        module = ModuleType(f"{self._parent}.{name}")
        file = f"{self._parent}.{source}" if source else None
        vars(module).update(
            __spec__=spec, __loader__=self, __file__=file, __cached__=None, __builtins__=self._builtins, __torch_package__=True, __package__=name if is_package else name.rpartition(".")[0]
        )
        if is_package:
            module.__path__ = []
        self.modules[name] = module
        if source is not None and file is not None:
            text = self.zip_reader.get_record(source).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            lines = text.decode().splitlines(keepends=True)
            linecache.cache[file] = (len(text), None, lines, file)  # so that tracebacks and inspect find it
            try:
                exec(compile(text, file, "exec", dont_inherit=True), vars(module))
            except BaseException:
                self.modules.pop(name, None)
                raise
        return module

    def __import__(self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        """What ``import`` does in a module of the archive."""
        if level:
            package = (globals or {}).get("__package__") or ""
            if not package:
                raise ImportError("attempted relative import with no known parent package")
            base = package.rsplit(".", level - 1)[0]
            name = f"{base}.{name}" if name else base
        module = self.import_module(name)
        if not fromlist:
            return module if level else self.import_module(name.partition(".")[0])
        if hasattr(module, "__path__"):
            for part in getattr(module, "__all__", ()) if "*" in fromlist else fromlist:
                if not hasattr(module, part):
                    try:
                        self.import_module(f"{demangle(module.__name__) if getattr(module, '__loader__', None) is self else name}.{part}")
                    except ModuleNotFoundError as error:
                        if error.name != f"{name}.{part}":
                            raise
        return module

    def _record(self, package: Any, resource: str) -> str:
        module = package if isinstance(package, ModuleType) else self.import_module(package)
        name = demangle(module.__name__)
        if module.__spec__ is None or module.__spec__.submodule_search_locations is None:
            raise TypeError(f"{name!r} is not a package")
        if os.path.dirname(resource):
            raise ValueError(f"{resource!r} must be only a file name")
        return f"{name.replace('.', '/')}/{resource}"

    def load_binary(self, package: Any, resource: str) -> bytes:
        """Bytes that lie in a package."""
        return self.zip_reader.get_record(self._record(package, resource))  # type: ignore[no-any-return]

    def load_text(self, package: Any, resource: str, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Text that lies in a package."""
        return self.load_binary(package, resource).decode(encoding, errors)

    def load_pickle(self, package: Any, resource: str, map_location: Any = None) -> Any:
        """An object; its classes are those of the archive."""
        importer = self

        class Unpickler(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                found = importer.import_module(module)
                for part in name.split("."):
                    found = getattr(found, part)
                return found

        reader = self.zip_reader._zip if isinstance(self.zip_reader, PyTorchFileReader) else self.zip_reader
        storages = _Storages(self, reader, map_location)
        stream = io.BytesIO(self.zip_reader.get_record(self._record(package, resource)))
        self.storage_context, self.last_map_location = storages, map_location
        try:
            loaded = make_unpickler(SimpleNamespace(Unpickler=Unpickler), stream, storages.find).load()
        finally:
            self.storage_context = self.last_map_location = None
        publish(storages.storages.values())
        return loaded

    def file_structure(self, *, include: str | Iterable[str] = "**", exclude: str | Iterable[str] = ()) -> Directory:
        """What is in the archive."""
        return tree(self.filename, self.zip_reader.get_all_records(), include, exclude)

    def python_version(self) -> str | None:
        """The version of Python that wrote it."""
        return self.zip_reader.get_record(".data/python_version").decode().strip() if self.zip_reader.has_record(".data/python_version") else None

    def get_source(self, module_name: str) -> str:
        """The code of a module of the archive."""
        return self.zip_reader.get_record(self._sources[demangle(module_name)]).decode()  # type: ignore[no-any-return]

    def get_resource_reader(self, fullname: str) -> Any:
        """For importlib.resources: the files of a package."""
        module = self.import_module(fullname)
        return _Resources(self, fullname) if getattr(module, "__loader__", None) is self and hasattr(module, "__path__") else None


class _Resources:
    def __init__(self, importer: PackageImporter, name: str) -> None:
        self.importer, self.name = importer, name

    def open_resource(self, resource: str) -> Any:
        return io.BytesIO(self.importer.load_binary(self.name, resource))

    def resource_path(self, resource: str) -> Any:
        raise FileNotFoundError

    def is_resource(self, name: str) -> bool:
        return bool(self.importer.zip_reader.has_record(self.importer._record(self.name, name)))

    def contents(self) -> list[str]:
        start = demangle(self.name).replace(".", "/") + "/"
        return list(dict.fromkeys(r.removeprefix(start).partition("/")[0] for r in self.importer.zip_reader.get_all_records() if r.startswith(start)))
