"""The public modules that torch's Python code looks names up in: ``from jtorch._public import F, torch``.

What torch writes in Python (nn, optim, distributions, utils, ...) calls ``torch.randperm`` and ``F.dropout`` by the names that a program may replace; what it
writes in C++ does not. So the layers above ``_api`` take these objects, the very modules that ``import torch`` gives, and ``_core`` and ``_api`` take
``_namespace``, which no program reaches (``torch._C._VariableFunctions`` in torch). Each object is there from the beginning; its own file completes it later.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from jtorch import _namespace

__all__ = ["torch", "F", "linalg", "fft", "special", "C_nn", "cite", "complete", "publish"]

torch: Any = sys.modules["jtorch"]
F: Any = ModuleType("jtorch.nn.functional")
linalg: Any = ModuleType("jtorch.linalg")
fft: Any = ModuleType("jtorch.fft")
special: Any = ModuleType("jtorch.special")
C_nn: Any = _namespace.C_nn  # one object for both: torch's functions call it by name, too

_SPACES = ((torch, _namespace.torch), (F, _namespace.F), (linalg, _namespace.linalg), (fft, _namespace.fft), (special, _namespace.special))


def publish() -> None:
    """Show in the public modules what the layers below have put together since the last time."""
    for public, native in _SPACES:
        names = vars(public)
        names.update({name: value for name, value in vars(native).items() if not name.startswith("__") and name not in names})


def cite() -> None:
    """Let the docstrings of functions, methods, modules and optimizers say where torch describes them."""
    spaces = {"torch": _namespace.torch, "nn.functional": F, "linalg": linalg, "fft": fft, "special": special, "Tensor": torch.Tensor, "nn": torch.nn, "optim": torch.optim}
    _namespace.cite({name: getattr(torch, name) for name in ("compile", "from_dlpack", "load", "save", "to_dlpack")}, "torch")
    for space, found in spaces.items():
        _namespace.cite(dict(vars(found)), space)


def complete(module: Any, source: dict[str, Any]) -> None:
    """The file of a public module has run: what it defined, and its place among the imported modules, go to the object that was there before."""
    names = vars(module)
    names.update({name: value for name, value in source.items() if name.startswith("__") or name not in names})
    sys.modules[source["__name__"]] = module
