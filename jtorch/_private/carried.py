"""Names that torch's modules have because they import them: programs take them from there (``from torch.nn.modules.conv import _pair``).

``carried.txt`` lists them, one line a module, with where they are at home (``tools/write_carried.py`` asks real torch); they are looked up when somebody asks.
"""

from __future__ import annotations

import functools
import importlib
import pathlib
from typing import Any

__all__ = ["found"]


@functools.cache
def _table() -> dict[str, str]:
    lines = pathlib.Path(__file__).with_suffix(".txt").read_text().splitlines()
    return dict([line.split(" ", 1) for line in lines])


@functools.cache
def _homes(module: str) -> dict[str, tuple[str, str]]:
    homes = {}
    for part in _table().get(module, "").split():
        home, _, names = part.partition(":")
        for text in names.split(","):
            name, _, own = text.partition("=")
            homes[name] = (home, own or name) if home else (own or name, "")
    return homes


_asked: set[tuple[str, str]] = set()  # what is being looked up: the import system asks a package for a part before it makes one


def found(module: str, name: str) -> Any:
    """What ``name`` stands for in torch's module of that name. AttributeError if torch's module does not carry it."""
    if name not in _homes(module) or (module, name) in _asked:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    home, own = _homes(module)[name]
    _asked.add((module, name))
    try:
        part = importlib.import_module(home)
        return getattr(part, own) if own else part
    finally:
        _asked.discard((module, name))
