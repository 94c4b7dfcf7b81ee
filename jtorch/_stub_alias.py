"""``python -m jtorch --stubs [FOLDER]``: lets type checkers and editors read jtorch's types where a program says ``import torch``.

Writes small files ``FOLDER/torch/**.pyi``, each of which takes everything from the module of jtorch of the same name. pyright looks in ``typings`` by
itself; mypy wants ``mypy_path = typings`` in its settings.
"""

from __future__ import annotations

import pathlib
import pkgutil

import jtorch

__all__ = ["write"]


def write(folder: str = "typings") -> int:
    """Write the files; how many."""
    root = pathlib.Path(folder)
    names = ["jtorch", *[m.name for m in pkgutil.walk_packages(jtorch.__path__, "jtorch.", onerror=lambda name: None) if "._" not in m.name]]
    packages = {name.rpartition(".")[0] for name in names}
    for name in names:
        place = root.joinpath("torch", *name.split(".")[1:])
        path = place / "__init__.pyi" if name in packages else place.with_suffix(".pyi")
        path.parent.mkdir(parents=True, exist_ok=True)
        inner = sorted(n.rpartition(".")[2] for n in names if n.rpartition(".")[0] == name and name != "jtorch")
        path.write_text(f"from {name} import *\n" + "".join(f"from {name} import {n} as {n}\n" for n in inner))
    return len(names)
