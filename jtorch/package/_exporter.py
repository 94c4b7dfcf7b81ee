"""Writing archives of code, objects and data."""

from __future__ import annotations

import ast
import importlib.machinery
import io
import linecache
import os
import pickle
import pickletools
import platform
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from jtorch.serialization._locations import location_tag
from jtorch.serialization._names import is_ours
from jtorch.serialization._pickler import make_pickler
from jtorch.serialization._save import _opened, storage_of
from jtorch.serialization._storage import STORAGE_OF_DTYPE, STORAGE_TYPES
from jtorch.serialization._zip import ZipWriter
from jtorch.utils.hooks import RemovableHandle

from ._names import Importer, ObjMismatchError, ObjNotFoundError, OrderedImporter, demangle, is_mangled, sys_importer
from ._patterns import GlobGroup

__all__ = ["EmptyMatchError", "PackageExporter", "PackagingError", "PackagingErrorReason"]
_REFUSED = ("sys", "io")
_STAND_IN = """\
from _mock import MockedObject


def __getattr__(attr: str):
    return MockedObject(__name__ + '.' + attr, _suppress_err=True)
"""


class PackagingErrorReason(Enum):
    """Why a module cannot be put into an archive."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}>"

    IS_EXTENSION_MODULE = "Module is a C extension module. torch.package supports Python modules only."
    NO_DUNDER_FILE = "Module had no __file__ defined."
    SOURCE_FILE_NOT_FOUND = "Module had a __file__, but we could not find it in your filesystem."
    DEPENDENCY_RESOLUTION_FAILED = "Dependency resolution failed."
    NO_ACTION = "Module did not match against any action pattern. Extern, mock, or intern it."
    DENIED = "Module was denied by a pattern."
    MOCKED_BUT_STILL_USED = "Module was mocked out, but is still being used in the package. Please intern or extern the mocked modules if objects are supposed to be in the package."


_Reason = PackagingErrorReason


class EmptyMatchError(Exception):
    """A pattern that had to fit a module fits none."""


class PackagingError(Exception):
    """Modules that cannot be put into an archive, by reason."""

    def __init__(self, dependency_graph: Any, debug: bool = False) -> None:
        broken: dict[PackagingErrorReason, list[str]] = {}
        for name, node in dependency_graph.nodes.items():
            if "error" in node:
                broken.setdefault(node["error"], []).append(name)
        text = "\n"
        for reason, names in broken.items():
            text += f"* {reason.value}\n"
            for name in names:
                text += f"    {name}\n"
                if (context := dependency_graph.nodes[name].get("error_context")) is not None:
                    text += f"      Context: {context}\n"
                if name in _REFUSED:
                    text += (
                        "      Note: While we usually use modules in the python standard library from the local environment, "
                        f"`{name}` has a lot of system level access and therefore can pose a security risk. We heavily recommend removing `{name}` from your packaged code. However, if that "
                        f'is not possible, add it to the extern list by calling PackageExporter.extern("`{name}`")\n'
                    )
                if debug:
                    text += f"      A path to {name}: {' -> '.join(dependency_graph.first_path(name))}\n"
        if not debug:
            text += "\nSet debug=True when invoking PackageExporter for a visualization of where broken modules are coming from!\n"
        self.dependency_graph = dependency_graph
        super().__init__(text)


class _Graph:
    """Modules and pickles with what is known of each, and which needs which."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.needs: dict[str, dict[str, bool]] = {}

    def add(self, name: str, **what: Any) -> None:
        self.nodes.setdefault(name, {}).update(what)

    def need(self, name: str, other: str) -> None:
        self.add(name)
        self.add(other)
        self.needs.setdefault(name, {})[other] = True

    def users(self, name: str) -> list[str]:
        return [n for n, found in self.needs.items() if name in found]

    def paths(self, start: str, end: str) -> Iterator[list[str]]:
        stack = [[start]]
        while stack:
            path = stack.pop()
            if path[-1] == end:
                yield path
            else:
                stack += [[*path, n] for n in self.needs.get(path[-1], ()) if n not in path]

    def first_path(self, name: str) -> list[str]:
        path = [name]
        while users := [u for u in self.users(path[0]) if u not in path]:
            path.insert(0, users[0])
        return path

    def dot(self, edges: Iterable[tuple[str, str]] | None = None) -> str:
        edges = [(a, b) for a, found in self.needs.items() for b in found] if edges is None else edges
        return "\n".join(["digraph G {", "rankdir = LR;", "node [shape=box];", *(f'"{a}" -> "{b}";' for a, b in edges), "}\n"])


def find_files_source_depends_on(source: str, package: str) -> list[tuple[str, str | None]]:
    """(module, name in it or None) of each import of a source, relative ones resolved."""
    found: dict[tuple[str, str | None], bool] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update({(alias.name, None): True for alias in node.names})
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = package.rsplit(".", node.level - 1)
                if len(parts) < node.level:
                    raise ValueError("attempted relative import beyond top-level package")
                module = f"{parts[0]}.{module}" if module else parts[0]
            found.update({(module, None if alias.name == "*" else alias.name): True for alias in node.names})
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__" and node.args and isinstance(node.args[0], ast.Constant):
            name, fields = str(node.args[0].value), node.args[3] if len(node.args) > 3 else next((k.value for k in node.keywords if k.arg == "fromlist"), None)
            chosen = [x.value for x in fields.elts if isinstance(x, ast.Constant)] if isinstance(fields, (ast.List, ast.Tuple)) else []
            names = [name] if chosen else [name, *({name.rsplit(".", 1)[0]} - {name})]  # without a list of names it gives the package above
            found.update({(n, None if x == "*" else x): True for n in names for x in (chosen or [None])})
    return list(found)


class PackageExporter:
    """Writes an archive that holds modules' source (``intern``), names of those that are taken from where it is read (``extern``), and objects, text and bytes.

    What a module or a pickle needs is found in its source; each needed module has to fit a pattern, else PackagingError is raised at the end.
    """

    def __init__(self, f: Any, importer: Importer | Sequence[Importer] = sys_importer, debug: bool = False) -> None:
        self.debug = debug
        self.buffer = None if isinstance(f, (str, os.PathLike)) else f
        self._file = _opened(f)
        stream, top = self._file.__enter__()
        self.zip_file = ZipWriter(stream, top)
        self._stream, self._written_files, self._unique_id = stream, set[str](), 0
        self.serialized_reduces: dict[int, Any] = {}
        self.dependency_graph = _Graph()
        self._storages: dict[Any, str] = {}
        self._hooks: dict[str, OrderedDict[int, Callable[[PackageExporter, str], None]]] = {kind: OrderedDict() for kind in ("extern", "mock", "intern")}
        if isinstance(importer, Importer):
            self.importer = importer
        elif isinstance(importer, Sequence):
            self.importer = OrderedImporter(*importer)
        else:
            raise TypeError(f"importer arg should be an Importer or a sequence of Importers, got {type(importer)} instead.")
        self.patterns: dict[GlobGroup, SimpleNamespace] = {}

    def _pattern(self, action: str, include: Any, exclude: Any, allow_empty: bool) -> None:
        self.patterns[GlobGroup(include, exclude=exclude)] = SimpleNamespace(action=action, allow_empty=allow_empty, was_matched=False)

    def intern(self, include: Any, *, exclude: Any = (), allow_empty: bool = True) -> None:
        """Modules that are put into the archive, with what they need."""
        self._pattern("intern", include, exclude, allow_empty)

    def mock(self, include: Any, *, exclude: Any = (), allow_empty: bool = True) -> None:
        """Modules in whose place something stands that refuses to be used."""
        self._pattern("mock", include, exclude, allow_empty)

    def extern(self, include: Any, *, exclude: Any = (), allow_empty: bool = True) -> None:
        """Modules that are imported where the archive is read."""
        self._pattern("extern", include, exclude, allow_empty)

    def deny(self, include: Any, *, exclude: Any = ()) -> None:
        """Modules that must not be needed."""
        self._pattern("deny", include, exclude, True)

    def _hook(self, kind: str, hook: Any) -> Any:
        handle = RemovableHandle(self._hooks[kind])
        self._hooks[kind][handle.id] = hook
        return handle

    def register_extern_hook(self, hook: Any) -> Any:
        """Call ``hook(exporter, name)`` for each module that is not put into the archive. Returns a handle that removes it."""
        return self._hook("extern", hook)

    def register_mock_hook(self, hook: Any) -> Any:
        """The same for modules that are mocked."""
        return self._hook("mock", hook)

    def register_intern_hook(self, hook: Any) -> Any:
        """The same for modules that are put into it."""
        return self._hook("intern", hook)

    def get_unique_id(self) -> str:
        """A number that this archive gives once."""
        self._unique_id += 1
        return str(self._unique_id - 1)

    def save_source_file(self, module_name: str, file_or_directory: str, dependencies: bool = True) -> None:
        """The code of a module from a file, or of a package from a folder."""
        path = Path(file_or_directory)
        if not path.is_dir():
            self.save_source_string(module_name, path.read_text("utf-8"), path.name == "__init__.py", dependencies)
            return
        found = []
        for file in path.glob("**/*.py"):
            parts = [module_name, *file.relative_to(path).with_suffix("").parts]
            found.append((".".join(parts[:-1] if file.name == "__init__.py" else parts), file.read_text("utf-8"), file.name == "__init__.py"))
        for name, source, is_package in found:
            self.save_source_string(name, source, is_package, dependencies)

    def save_source_string(self, module_name: str, src: str, is_package: bool = False, dependencies: bool = True) -> None:
        """The code of a module as text."""
        self.dependency_graph.add(module_name, source=src, is_package=is_package, provided=True, action="intern")
        if dependencies:
            self._follow(src, module_name, is_package)

    def _exists(self, name: str) -> bool:
        try:
            self._import(name)
        except Exception:  # noqa: BLE001 - whatever a module's code raises
            return False
        return True

    def _import(self, name: str) -> Any:
        try:
            return self.importer.import_module(name)
        except ModuleNotFoundError:
            if not is_mangled(name):
                raise
            raise ModuleNotFoundError(f"Module not found: '{name}'. Make sure the PackageImporter that created this module is present in `self.importer`") from None

    def _follow(self, source: str, name: str, is_package: bool) -> None:
        try:
            pairs = find_files_source_depends_on(source, name if is_package else name.rpartition(".")[0])
        except Exception as error:  # noqa: BLE001 - is said at the end
            self.dependency_graph.add(name, error=_Reason.DEPENDENCY_RESOLUTION_FAILED, error_context=str(error))
            return
        for module, part in pairs:
            needed = f"{module}.{part}" if part is not None and self._exists(f"{module}.{part}") else module if self._exists(module) else ""
            if needed:
                self.dependency_graph.need(name, needed)
                self.add_dependency(needed)

    def add_dependency(self, module_name: str, dependencies: bool = True) -> None:
        """A module that something needs: the first pattern that it fits says what becomes of it."""
        graph = self.dependency_graph
        if graph.nodes.get(module_name, {}).get("provided"):
            return
        if module_name in ("torch_package_importer", "_mock"):
            graph.add(module_name, action="skip" if module_name != "_mock" else "mocks", provided=True)
        elif self._comes_with_python(module_name):
            graph.add(module_name, action="extern", provided=True)
        else:
            for pattern, info in self.patterns.items():
                if pattern.matches(module_name):
                    info.was_matched = True
                    graph.add(module_name, action=info.action, provided=True)
                    if info.action == "deny":
                        graph.add(module_name, error=_Reason.DENIED)
                    elif info.action == "intern":
                        self._intern(module_name, dependencies)
                    return
            graph.add(module_name, error=_Reason.NO_ACTION)

    def _comes_with_python(self, name: str) -> bool:
        first = name.partition(".")[0]
        return first == "torch" or (first not in _REFUSED and first in sys.stdlib_module_names)

    def save_module(self, module_name: str, dependencies: bool = True) -> None:
        """The code of a module that the importer finds."""
        if not isinstance(module_name, str):
            raise TypeError("save_module() expects a string input, did you perhaps mean to pass `__name__`?")
        self._intern(module_name, dependencies)

    def _intern(self, name: str, dependencies: bool) -> None:
        module = self._import(name)
        name, is_package, file = demangle(name), hasattr(module, "__path__"), getattr(module, "__file__", None)
        source = "".join(linecache.getlines(file, vars(module))) if isinstance(file, str) and file.endswith(".py") else None
        self.dependency_graph.add(name, action="intern", is_package=is_package, provided=True)
        if source is None:
            reason = _Reason.NO_DUNDER_FILE if file is None else _Reason.IS_EXTENSION_MODULE if file.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)) else _Reason.SOURCE_FILE_NOT_FOUND
            self.dependency_graph.add(name, error=reason, error_context=f"filename: {file}" if reason is _Reason.SOURCE_FILE_NOT_FOUND else None)
            return
        self.dependency_graph.add(name, source=source)
        if dependencies:
            self._follow(source, name, is_package)

    def save_pickle(self, package: str, resource: str, obj: Any, dependencies: bool = True, pickle_protocol: int = 3) -> None:
        """An object, as ``torch.save`` writes it; the modules of its classes are needed then."""
        if pickle_protocol not in (3, 4):
            raise AssertionError(f"torch.package only supports pickle protocols 3 and 4, got {pickle_protocol}")
        stream = io.BytesIO()
        make_pickler(SimpleNamespace(Pickler=_pickler(self.importer)), stream, pickle_protocol, self._persistent_id).dump(obj)
        data, name = stream.getvalue(), f"<{package}.{resource}>"
        self.dependency_graph.add(name, action="intern", provided=True, is_pickle=True)
        if dependencies:
            used: dict[str, list[str]] = {}
            for op, arg, _ in pickletools.genops(data):
                if op.name == "GLOBAL":
                    module, field = str(arg).split(" ")
                    used.setdefault(module, []).append(field)
            for module, fields in used.items():
                self.dependency_graph.need(name, module)
                action = next((info.action for pattern, info in self.patterns.items() if pattern.matches(module)), "")
                if action == "mock" and not self._comes_with_python(module):
                    context = f"Object(s) '{fields}' from module `{module}` was mocked out during packaging but is being used in resource - `{resource}` in package `{package}`. "
                    self.dependency_graph.add(module, action="mock", error=_Reason.MOCKED_BUT_STILL_USED, error_context=context, provided=True)
                else:
                    self.add_dependency(module)
        self._write(self._filename(package, resource), data)

    def save_text(self, package: str, resource: str, text: str) -> None:
        """Text, in UTF-8."""
        self.save_binary(package, resource, text.encode())

    def save_binary(self, package: str, resource: str, binary: bytes) -> None:
        """Bytes."""
        self._write(self._filename(package, resource), binary)

    def _persistent_id(self, obj: Any) -> Any:
        storage = storage_of(obj)
        if storage is not None:
            key = self._storages.get(storage.key)
            if key is None:
                key = self._storages[storage.key] = str(len(self._storages))
                self.zip_file.record(f".data/{key}.storage", np.ascontiguousarray(storage.data))
            kind = STORAGE_TYPES["UntypedStorage" if storage.untyped_only else STORAGE_OF_DTYPE[storage.dtype_name]]
            return ("storage", kind, int(key), location_tag(storage), storage.size())
        if hasattr(obj, "__reduce_package__"):
            if id(obj) not in self.serialized_reduces:
                self.serialized_reduces[id(obj)] = ("reduce_package", id(obj), *obj.__reduce_package__(self))
            return self.serialized_reduces[id(obj)]
        return None

    def _filename(self, package: str, resource: str) -> str:
        if os.path.dirname(resource):
            raise ValueError(f"{resource!r} must be only a file name")
        return f"{package.replace('.', '/')}/{resource}"

    def _write(self, filename: str, data: bytes) -> None:
        if filename in self._written_files:
            raise AssertionError(f"Tried to write file '{filename}', but it already exists in this archive. Please file a bug.")
        if is_mangled(filename):
            raise AssertionError(f"Tried to save a torch.package'd module as '{filename}'. Directly saving torch.package'd modules is not allowed.")
        self._written_files.add(filename)
        self.zip_file.record(filename, data)

    def _write_source(self, name: str, source: str, is_package: bool) -> None:
        self._write(name.replace(".", "/") + ("/__init__.py" if is_package else ".py"), source.encode())

    def __enter__(self) -> PackageExporter:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is None:
            self.close()
        else:
            self._end()

    def close(self) -> None:
        """Write what the patterns say. PackagingError for modules that fit none; EmptyMatchError for patterns that had to fit one."""
        try:
            self._write_modules()
        finally:
            self._end()

    def _write_modules(self) -> None:
        nodes = self.dependency_graph.nodes
        if any("error" in node for node in nodes.values()):
            raise PackagingError(self.dependency_graph, self.debug)
        for pattern, info in self.patterns.items():
            if not info.allow_empty and not info.was_matched:
                raise EmptyMatchError(f"Exporter did not match any modules to {pattern}, which was marked as allow_empty=False")
        external = []
        for name, node in nodes.items():
            action = node["action"]
            for hook in self._hooks.get(action, {}).values():
                hook(self, name)
            if action == "extern":
                external.append(name)
            elif action in ("mock", "mocks"):
                if "_mock.py" not in self._written_files:
                    self._write("_mock.py", Path(__file__).with_name("_mock.py").read_bytes())
                if action == "mock":
                    self._write_source(name, _STAND_IN, hasattr(self._import(name), "__path__"))
            elif action == "intern" and not node.get("is_pickle"):
                self._write_source(name, node["source"], node["is_package"])
        self._write(".data/extern_modules", ("\n".join(external) + "\n").encode())
        self._write(".data/python_version", platform.python_version().encode())
        self.zip_file.record("byteorder", sys.byteorder.encode())

    def _end(self) -> None:
        self.zip_file.close()
        self._stream.flush()
        self._file.__exit__(None, None, None)

    def dependency_graph_string(self) -> str:
        """What needs what, in the language of graphviz."""
        return self.dependency_graph.dot()

    def all_paths(self, src: str, dst: str) -> str:
        """Every way from one module to another, in that language."""
        return self.dependency_graph.dot({pair: True for path in self.dependency_graph.paths(src, dst) for pair in zip(path, path[1:])})

    def _with(self, action: str) -> list[str]:
        return sorted(n for n, node in self.dependency_graph.nodes.items() if node.get("action") == action and "is_pickle" not in node)

    def externed_modules(self) -> list[str]:
        """Modules that are taken from where the archive is read."""
        return self._with("extern")

    def interned_modules(self) -> list[str]:
        """Modules in the archive."""
        return self._with("intern")

    def mocked_modules(self) -> list[str]:
        """Modules that something stands in for."""
        return self._with("mock")

    def denied_modules(self) -> list[str]:
        """Modules that are needed and must not be."""
        return self._with("deny")

    def get_rdeps(self, module_name: str) -> list[str]:
        """What needs a module."""
        return self.dependency_graph.users(module_name)


def _pickler(importer: Importer) -> Any:
    """A pickler whose names are those of an importer."""

    base: Any = pickle._Pickler  # type: ignore[attr-defined]

    class Pickler(base):  # type: ignore[misc]
        def save_global(self, obj: Any, name: str | None = None) -> None:
            if importer is sys_importer or is_ours(getattr(obj, "__module__", None) or ""):
                return super().save_global(obj, name)
            try:
                module, found = importer.get_name(obj, name)
            except (ObjNotFoundError, ObjMismatchError) as error:
                raise pickle.PicklingError(f"Can't pickle {obj}: {error}") from error
            *outer, last = found.split(".")
            if outer:
                parent = importer.import_module(module)
                for part in outer:
                    parent = getattr(parent, part)
                return self.save_reduce(getattr, (parent, last), obj=obj)
            self.write(pickle.GLOBAL + f"{module}\n{last}\n".encode())
            self.memoize(obj)
            return None

    Pickler.dispatch = {**base.dispatch, FunctionType: Pickler.save_global}
    return Pickler
