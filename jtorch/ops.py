"""``torch.ops``: operators by the names of torch's own library, ``torch.ops.aten.add.Tensor(a, b)``, and of those that programs define.

``aten`` knows every operator that torch publishes under a Python name, with its overloads, and the few that stand only here. Any other attribute is the namespace
of what was registered with ``torch.library``.
"""

from __future__ import annotations

import os
from typing import Any

from jtorch.library.aten import AtenNamespace
from jtorch.library.operators import OpOverload, OpOverloadPacket, namespace, set_namespace

__all__ = ["aten", "OpOverload", "OpOverloadPacket", "load_library", "loaded_libraries"]

aten = AtenNamespace()
set_namespace(aten)
loaded_libraries: set[str] = set()

_OURS = {
    "prims": "jtorch.library.prims", "_c10d_functional": "jtorch.distributed._functional_collectives", "_c10d_functional_autograd": "jtorch.distributed._functional_collectives",
    "c10d": "jtorch.library.collectives", "c10d_functional": "jtorch.library.collectives", "torchvision": "jtorch.library.vision",
    "torchaudio": "jtorch.library.audio", "_torchaudio": "jtorch.library.audio", "quantized_decomposed": "jtorch.library.quantized", "profiler": "jtorch.library.scopes",
}  # fmt: skip
_FILES = {"torchvision": ("_C",), "lib": ("_torchaudio", "libtorchaudio")}  # of torchaudio they lie a folder deeper
"""Packages whose compiled operators jtorch has itself, by the module that registers them."""


def load_library(path: Any) -> None:
    """Let a package's operators be found. OSError for a library whose operators jtorch does not have: it is compiled against libtorch."""
    full = os.path.abspath(os.fspath(path))
    package = os.path.basename(os.path.dirname(full))
    if not os.path.exists(full) or not os.path.basename(full).startswith(_FILES.get(package, ("?",))):
        raise OSError(f"Could not load this library: {full}")
    __import__(_OURS["torchaudio" if package == "lib" else package])
    loaded_libraries.add(full)


def import_module(module: str) -> None:
    """Import a Python module that registers operators."""
    __import__(module)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name in _OURS:
        __import__(_OURS[name])
    made = namespace(name)
    globals()[name] = made
    return made
