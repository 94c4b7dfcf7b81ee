"""``import torch`` means jtorch: one finder on ``sys.meta_path`` gives torch's names to jtorch's modules, the same objects.

Importing this module imports nothing else of jtorch, so that child processes can set the finder before they run anything.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["TORCH_VERSION", "install", "installed", "loaded_late", "submodule", "take_names", "uninstall"]

TORCH_VERSION = "2.13.0"
"""The release of PyTorch whose behaviour jtorch follows, as ``importlib.metadata.version("torch")`` tells it."""


# jtorch's own floors, which are no modules of torch's though some have such names.
_OWN = frozenset((
    "_api", "_autocast", "_checker", "_config", "_core", "_device", "_dtypes", "_engine", "_errors", "_install", "_namespace", "_ops", "_private", "_public", "_random",
    "_registry", "_types",
))  # fmt: skip


_BESIDE, _BESIDE_HERE = "functorch", "jtorch._private.functorch_package"  # another package that comes with PyTorch


def _ours(name: str) -> bool:
    return name.partition(".")[0] in ("torch", _BESIDE)


def _counterparts(name: str) -> list[str]:
    """Where a module of torch may be here: what torch keeps under private names at its root stands in ``jtorch/_private``."""
    root, _, rest = name.partition(".")
    if root == _BESIDE:
        return [_BESIDE_HERE + (rest and f".{rest}")]
    head, _, below = rest.partition(".")
    if not head.startswith("_") or head.startswith("__"):
        return ["jtorch" + (rest and f".{rest}")]
    return [f"jtorch._private.{rest[1:]}", *([f"jtorch.{rest}"] if head not in _OWN else [])]


def _torch_name(path: str) -> str | None:
    """The name under which torch has a module of jtorch's; None for jtorch's own."""
    _, _, rest = path.partition(".")
    head, _, below = rest.partition(".")
    if f"{path}.".startswith(_BESIDE_HERE + "."):
        return _BESIDE + path[len(_BESIDE_HERE) :]
    if head == "_private":
        return f"torch._{below}" if below else None
    return None if head in _OWN or head == "__main__" else "torch" + (rest and f".{rest}")


def _load(path: str) -> ModuleType | None:
    """A module of jtorch, imported; None if it is what is missing. A failing import inside it is seen."""
    known = sys.modules.get(path)
    if known is not None:
        return known
    try:
        found = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not (path == error.name or path.startswith(error.name + ".")):
            raise
        return None
    take_names()
    return found


def submodule(name: str) -> ModuleType | None:
    """The module of jtorch for a name of torch by its place, imported; None if there is no such place."""
    return next((found for path in _counterparts(name) if (found := _load(path)) is not None), None)


def _find(name: str) -> ModuleType | None:
    """As :func:`submodule`, or what the module above has under the name."""
    found = submodule(name)
    if found is not None:
        return found
    parent, _, leaf = name.rpartition(".")
    owner = _find(parent) if parent else None
    member = getattr(owner, leaf, None)
    if isinstance(member, ModuleType):
        return member
    return _find_part(name)


_looked_at: set[str] = set()
_aliases: dict[str, ModuleType] = {}
_named: dict[Any, str] = {}  # modules, classes and functions that go by torch's name now, and the name that they had
_hints: list[tuple[type, dict[str, Any]]] = []  # classes whose annotations were evaluated, and what stood there


def take_names() -> None:
    """Give what jtorch publishes the names that it has in torch, once each: so that it prints as there, pickles name what torch can import, and tools that
    look an object up by its module find it.

    The modules themselves are ``torch.nn`` and so on, in ``sys.modules`` too. A class or function of a private module is at home in the deepest public one
    whose ``__all__`` has it (torch.fft's has Tensor, which is torch's).
    """
    if not installed():
        return
    fresh = []
    for path, module in sys.modules.copy().items():
        if path.startswith("jtorch") and path not in _looked_at and module is not None and not getattr(module.__spec__, "_initializing", False):
            _looked_at.add(path)
            name = _torch_name(path)
            if name is not None:
                fresh.append((name, module))
                _aliases[name] = module
    for name, module in _aliases.items():
        sys.modules.setdefault(name, module)
    homes: dict[Any, str] = {}
    for name, module in fresh:
        if any(part.startswith("_") for part in name.split(".")) and not name.startswith("torch._"):
            continue
        offered = getattr(module, "__all__", ())
        own = module.__name__
        for key, value in list(vars(module).items()):
            if not isinstance(value, (type, FunctionType)) or value.__name__ != key or not f"{value.__module__}.".startswith("jtorch."):
                continue
            known = homes.get(value, "")
            deeper = known != "torch" + value.__module__[len("jtorch") :] and name.count(".") >= known.count(".") and (key in offered and key != "Tensor" or name == "torch")
            if value.__module__ == own or deeper:
                homes[value] = name
    for value, home in homes.items():
        if isinstance(value, type) and value.__dict__.get("__annotations__") and value.__module__[1:] != home:
            _evaluate(value)
        _named.setdefault(value, value.__module__)
        value.__module__ = home
    for name, module in fresh:
        _named.setdefault(module, module.__name__)
        module.__name__ = name
        _show_parts(name, module)


_own_lookup: dict[ModuleType, Any] = {}  # packages, and the ``__getattr__`` that they had
_absent: set[str] = set()


def _show_parts(name: str, package: ModuleType) -> None:
    """torch imports most of its modules with itself, so that programs read them as attributes of a package without importing them; here they are imported then.
    And what torch's modules import themselves, programs take from there."""
    own = vars(package).get("__getattr__")
    _own_lookup[package] = own
    parts = hasattr(package, "__path__") and name != "torch"

    def lookup(key: str) -> Any:
        if own is not None:
            try:
                return own(key)
            except AttributeError:
                pass
        path = f"{name}.{key}"
        if not key.startswith("__") and path not in _absent:
            try:
                part = _find_part(path) if parts else None
                if part is None:
                    part = importlib.import_module("jtorch._private.carried").found(name, key)
            except ImportError as error:
                raise AttributeError(f"module {name!r} has no attribute {key!r}") from error
            except AttributeError:
                _absent.add(path)
                raise
            setattr(package, key, part)
            return part
        raise AttributeError(f"module {name!r} has no attribute {key!r}")

    package.__getattr__ = lookup  # type: ignore[method-assign]


def _find_part(path: str) -> ModuleType | None:
    found = submodule(path)
    if found is None and path.startswith("torch.distributed."):  # names below a package that is written as a file stand in the table all the same
        names = _load("jtorch.distributed._names")
        found = None if names is None else names.found(path.removeprefix("torch.distributed."))
    if found is None:
        machinery = _load("jtorch._private.machinery")
        found = None if machinery is None else machinery.found(path)
    return found


def _evaluate(cls: type) -> None:
    """Annotations are looked up where a class says that it is at home: those of one that moves are evaluated before."""
    names = vars(sys.modules[cls.__module__])
    before = dict(cls.__annotations__)
    after = dict(before)
    for key, text in before.items():
        if isinstance(text, str):
            try:
                after[key] = eval(text, names)
            except Exception:  # a name that only type checkers import
                after[key] = Any
    cls.__annotations__ = after
    _hints.append((cls, before))


def loaded_late() -> None:
    """To be called when a part of jtorch was imported by being asked for."""
    take_names()


class _Loader:
    """Loads by handing over a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed; only its spec, which the import system has replaced, is put back."""
        module.__spec__ = self.spec

    def is_package(self, name: str) -> bool:
        """Whether it has sub-modules."""
        return hasattr(self.module, "__path__")

    def __getattr__(self, name: str) -> Any:
        """What else a loader can tell (code, source, data), from the one that loaded the module: it knows it by jtorch's name."""
        told = getattr(self.spec.loader if self.spec is not None else None, name)
        own = self.spec.name if self.spec is not None else ""
        return (lambda fullname=None: told(own)) if name in ("get_code", "get_source", "get_filename") else told


class _FirstLoader:
    """Imports jtorch when torch is imported, and not before."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """jtorch, whole, from now on this module's loader."""
        module = importlib.import_module("jtorch")
        spec.loader = _Loader(module)  # type: ignore[assignment]
        take_names()
        return module

    def exec_module(self, module: ModuleType) -> None:
        """For the import system, which asks before it creates the module."""
        raise RuntimeError("the module that was created has another loader")


class _Distribution(importlib.metadata.Distribution):
    """torch as :mod:`importlib.metadata` sees it."""

    def read_text(self, filename: str) -> str | None:
        """The one metadata file."""
        if filename in ("METADATA", "PKG-INFO"):
            return f"Metadata-Version: 2.1\nName: torch\nVersion: {TORCH_VERSION}\nSummary: jtorch under the name of torch\n"
        return None

    def locate_file(self, path: Any) -> Any:
        """Nothing is installed."""
        raise FileNotFoundError(path)


class _Finder(importlib.metadata.DistributionFinder):
    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """torch and everything below it. An import of what jtorch does not have raises ModuleNotFoundError that says so."""
        if name == "jtorch":  # of which this file is a part, wherever sys.path leads by now
            return importlib.util.spec_from_file_location(name, _HERE + "__init__.py")
        if not _ours(name):
            return None
        if name == "torch" and "jtorch" not in sys.modules:  # many only ask whether it is there
            spec = ModuleSpec(name, _FirstLoader(), origin=_HERE + "__init__.py", is_package=True)  # type: ignore[arg-type]
            spec.submodule_search_locations = [os.path.dirname(_HERE)]
            return spec
        module = _find(name)
        take_names()
        sys.modules.pop(name, None)  # or the import system takes it as a module that its parent has imported, and loads it once more
        if module is None:
            if sys._getframe(2).f_code.co_name != "_find_and_load_unlocked":
                return None  # importlib.util.find_spec only asks
            private = any(part.startswith("_") for part in name.split("."))
            why = "it is internal to PyTorch's C++ build" if private else "this part of PyTorch is not there"
            raise ModuleNotFoundError(f"No module named {name!r}: jtorch runs under the name of torch and {why}", name=name)
        spec = ModuleSpec(name, _Loader(module), origin=getattr(module, "__file__", None), is_package=hasattr(module, "__path__"))  # type: ignore[arg-type]
        if hasattr(module, "__path__"):
            spec.submodule_search_locations = list(module.__path__)
        return spec

    def find_distributions(self, context: Any = importlib.metadata.DistributionFinder.Context()) -> Iterable[importlib.metadata.Distribution]:  # noqa: B008
        """torch, when it is asked for by name."""
        return [_Distribution()] if context.name is not None and context.name.lower() == "torch" else []


_finder = _Finder()


def installed() -> bool:
    """Whether ``import torch`` means jtorch in this process."""
    return _finder in sys.meta_path


def install() -> None:
    """Make ``import torch``, and imports of anything below it, give jtorch's modules, in this process and those that multiprocessing starts.

    RuntimeError if PyTorch itself has been imported already, wholly or in part.
    """
    if installed():
        return
    foreign = sorted(name for name, module in sys.modules.items() if _ours(name) and module is not None)
    if foreign:
        raise RuntimeError(
            f"jtorch cannot take the name of torch: PyTorch is imported already in this process ({', '.join(foreign[:3])}"
            f"{', ...' if len(foreign) > 3 else ''}). Call jtorch.install() before anything imports torch, or run the program with "
            "`python -m jtorch`."
        )
    sys.meta_path.insert(0, _finder)
    importlib.invalidate_caches()
    _teach_multiprocessing()
    _teach_inspect()


def uninstall() -> None:
    """Undo :func:`install`; modules that were imported under torch's name lose that name."""
    if not installed():
        return
    sys.meta_path.remove(_finder)
    for value, path in _named.items():
        setattr(value, "__name__" if isinstance(value, ModuleType) else "__module__", path)
    for cls, before in _hints:
        cls.__annotations__ = before
    _named.clear()
    for package, own in _own_lookup.items():
        if own is None:
            vars(package).pop("__getattr__", None)
        else:
            package.__getattr__ = own  # type: ignore[method-assign]
    _own_lookup.clear()
    _hints.clear()
    _aliases.clear()
    _looked_at.clear()
    for name in [name for name in sys.modules if _ours(name)]:
        del sys.modules[name]
    _forget_multiprocessing()
    _forget_inspect()


class _InChild:
    """Unpickles, in a process that multiprocessing started, by installing the finder: before that process runs the main script again."""

    def __reduce__(self) -> tuple[Any, ...]:
        home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        return exec, (f"import sys\nif {home!r} not in sys.path: sys.path.append({home!r})\nfrom jtorch._install import install; install()",)


_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_getfile: Any = None


def _teach_inspect() -> None:
    """A class that goes by the name of another module than the one that has its source is still found there by tools that read sources."""
    global _getfile
    if _getfile is not None:
        return
    _getfile = inspect.getfile

    @functools.wraps(_getfile)
    def getfile(object: Any) -> str:
        if not isinstance(object, type) or not str(object.__module__).startswith("torch"):
            return _getfile(object)  # type: ignore[no-any-return]
        methods = (v.__code__.co_filename for k, v in vars(object).items() if isinstance(v, FunctionType) and v.__qualname__ == f"{object.__qualname__}.{k}")
        home = getattr(sys.modules.get(_named.get(object, "")), "__file__", None)
        return next((file for file in methods if file.startswith(_HERE)), home) or _getfile(object)  # type: ignore[no-any-return]

    inspect.getfile = getfile


def _forget_inspect() -> None:
    global _getfile
    if _getfile is not None:
        inspect.getfile, _getfile = _getfile, None


_original: Any = None


def _teach_multiprocessing() -> None:
    global _original
    from multiprocessing import spawn

    if _original is not None:
        return
    _original = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        # A dictionary that the child unpickles first of all; keys that it does not know are ignored.
        data = _original(name)
        if name == "ignore":  # what the server of forks is to import beforehand is not pickled: it would run the main script, whose `import torch` finds nothing yet
            data.pop("init_main_from_path", None)
            data.pop("init_main_from_name", None)
        return {"jtorch": _InChild(), **data}

    spawn.get_preparation_data = get_preparation_data


def _forget_multiprocessing() -> None:
    global _original
    if _original is not None:
        from multiprocessing import spawn

        spawn.get_preparation_data, _original = _original, None
