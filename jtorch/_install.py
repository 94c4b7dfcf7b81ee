"""``import torch`` means jtorch: one finder on ``sys.meta_path`` gives torch's names to jtorch's modules, the same objects.

Importing this module imports nothing else of jtorch, so that child processes can set the finder before they run anything.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["TORCH_VERSION", "install", "installed", "loaded_late", "uninstall"]

TORCH_VERSION = "2.13.0"
"""The release of PyTorch whose behaviour jtorch follows, as ``importlib.metadata.version("torch")`` tells it."""


def _counterpart(name: str) -> str:
    return "jtorch" + name[len("torch") :]



def _find(name: str) -> ModuleType | None:
    """The module of jtorch for a name of torch, imported; None if there is none."""
    target = _counterpart(name)
    known = sys.modules.get(target)
    if known is not None:
        return known
    try:
        found = importlib.import_module(target)
        _name_classes()
        return found
    except ModuleNotFoundError as error:
        # Only when the module itself (or a package above it) is what is missing; a failing import inside it must be seen.
        if error.name is None or not (target == error.name or target.startswith(error.name + ".")):
            raise
    parent, _, leaf = name.rpartition(".")
    owner = _find(parent) if parent else None
    member = getattr(owner, leaf, None)
    return member if isinstance(member, ModuleType) else None


_named: dict[type, str] = {}  # classes that go by torch's name now, and the module that they had


def _name_classes() -> None:
    """Give jtorch's public classes the module that torch's have, so that ``type(x)`` prints as there and pickles name what torch can import.

    A class of a private module is at home in the deepest public one whose ``__all__`` has it.
    """
    fresh = [(path, m) for path, m in list(sys.modules.items()) if path.startswith("jtorch") and m is not None and path not in _looked_at]
    homes: dict[type, str] = {}
    for path, module in fresh:
        _looked_at.add(path)
        if any(part.startswith("_") for part in path.split(".")):
            continue
        offered = getattr(module, "__all__", ())
        for name, cls in list(vars(module).items()):
            if isinstance(cls, type) and cls.__module__.startswith("jtorch.") and cls.__name__ == name:
                known = homes.get(cls, "")
                deeper = known != cls.__module__ and path.count(".") >= known.count(".") and (name in offered or path == "jtorch")
                if cls.__module__ == path or deeper:
                    homes[cls] = path
    for cls, home in homes.items():
        _named.setdefault(cls, cls.__module__)
        cls.__module__ = home[1:]


_looked_at: set[str] = set()


def loaded_late() -> None:
    """To be called when a part of jtorch was imported by being asked for."""
    if installed():
        _name_classes()


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
        if name != "torch" and not name.startswith("torch."):
            return None
        module = _find(name)
        if name == "torch":
            _name_classes()
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
    foreign = sorted(name for name, module in sys.modules.items() if (name == "torch" or name.startswith("torch.")) and module is not None)
    if foreign:
        raise RuntimeError(
            f"jtorch cannot take the name of torch: PyTorch is imported already in this process ({', '.join(foreign[:3])}"
            f"{', ...' if len(foreign) > 3 else ''}). Call jtorch.install() before anything imports torch, or run the program with "
            "`python -m jtorch`."
        )
    sys.meta_path.insert(0, _finder)
    importlib.invalidate_caches()
    _teach_multiprocessing()


def uninstall() -> None:
    """Undo :func:`install`; modules that were imported under torch's name lose that name."""
    if not installed():
        return
    sys.meta_path.remove(_finder)
    for cls, path in _named.items():
        cls.__module__ = path
    _named.clear()
    _looked_at.clear()
    for name in [name for name in sys.modules if name == "torch" or name.startswith("torch.")]:
        del sys.modules[name]
    _forget_multiprocessing()


class _InChild:
    """Unpickles, in a process that multiprocessing started, by installing the finder: before that process runs the main script again."""

    def __reduce__(self) -> tuple[Any, ...]:
        home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        return exec, (f"import sys\nif {home!r} not in sys.path: sys.path.append({home!r})\nfrom jtorch._install import install; install()",)


_original: Any = None


def _teach_multiprocessing() -> None:
    global _original
    from multiprocessing import spawn

    if _original is not None:
        return
    _original = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        # A dictionary that the child unpickles first of all; keys that it does not know are ignored.
        return {"jtorch": _InChild(), **_original(name)}

    spawn.get_preparation_data = get_preparation_data


def _forget_multiprocessing() -> None:
    global _original
    if _original is not None:
        from multiprocessing import spawn

        spawn.get_preparation_data, _original = _original, None
