"""A driver is a function that gives the losses of a program's first steps; ``repository`` says whose program it is, if it is no package's."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAMS: dict[str, Callable[[], Any]] = {}
FROM: dict[str, str] = {}
STEPS = 20


def load() -> dict[str, Callable[[], Any]]:
    """Every driver: the modules of this folder register theirs when they are imported."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return PROGRAMS


def program(source: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a driver: ``source`` is ``OWNER/NAME`` of a repository, or a package."""

    def register(fn: Callable[[], Any]) -> Callable[[], Any]:
        if fn.__name__ in PROGRAMS:
            raise RuntimeError(f"{fn.__name__} is there twice")
        PROGRAMS[fn.__name__], FROM[fn.__name__] = fn, source
        return fn

    return register


def checkout(repository: str, below: str = "") -> Path:
    """A repository's folder, from which its modules can be imported from here on."""
    folder = Path(os.environ["PROGRAMS_CHECKOUTS"]) / repository.replace("/", "+") / below
    if not folder.is_dir():
        raise FileNotFoundError(f"{repository} is not among the checkouts")
    sys.path.insert(0, str(folder))
    return folder


def pieces(repository: str, path: str, **names: Any) -> Any:
    """A script's imports, classes and functions as they stand, without what it does when it is run; ``names`` are globals that the script sets."""
    file = checkout(repository, str(Path(path).parent)) / Path(path).name
    tree = ast.parse(file.read_text())
    tree.body = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef))]
    module = types.ModuleType(file.stem)
    module.__file__ = str(file)
    vars(module).update(names)
    sys.modules[f"pieces_{file.stem}"] = module
    for node in tree.body:
        try:
            exec(compile(ast.Module([node], []), str(file), "exec"), vars(module))
        except ImportError:
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                raise
    return module


def losses(model: Any, step: Callable[[int], Any], optimizer: Any = None, steps: int = STEPS) -> list[float]:
    """The losses of some steps of AdamW (or of another optimizer)."""
    import torch

    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=1e-3)
    found = []
    for i in range(steps):
        optimizer.zero_grad()
        loss = step(i)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def tokens(n: int, length: int, vocabulary: int) -> Any:
    """Random words."""
    import torch

    return torch.randint(0, vocabulary, (n, length))
