"""The namespaces that the layers fill and read: ``torch``, ``torch.nn.functional``, ``torch.linalg``, ``torch.fft``, ``torch.special``.

Code above ``_core`` is written in torch's own words: ``from jtorch._namespace import torch`` and then ``torch.cat(...)``.
They are real modules, so that ``jtorch/__init__.py`` can publish them as they are.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

torch: Any = ModuleType("torch")
F: Any = ModuleType("torch.nn.functional")
linalg: Any = ModuleType("torch.linalg")
fft: Any = ModuleType("torch.fft")
special: Any = ModuleType("torch.special")
aten: Any = ModuleType("torch.ops.aten")  # operators that torch publishes nowhere else
C_nn: Any = ModuleType("torch._C._nn")  # the operators under torch.nn.functional's Python functions, as torch has them

BY_NAME: dict[str, Any] = {"torch": torch, "nn.functional": F, "linalg": linalg, "fft": fft, "special": special, "_nn": C_nn, "aten": aten}

_PAGES = "https://docs.pytorch.org/docs/stable/"


def page(space: str, name: str) -> str:
    """Where torch describes a public name of a namespace ("torch", "Tensor", "nn", "nn.functional", "special", ...); empty for a private one."""
    if name.startswith("_") or space in ("internal", "_nn", "aten"):
        return ""
    full = name if space == "torch" else f"{space}.{name}"
    return f"{_PAGES}special.html#torch.{full}" if space == "special" else f"{_PAGES}generated/torch.{full}.html"


def cite(names: dict[str, Any], space: str) -> None:
    """Let the docstrings of what jtorch has put under these names say where torch describes it, unless they do."""
    for name, found in names.items():
        where, doc = page(space, name), getattr(found, "__doc__", None)
        if not where or not doc or "Source:" in doc or isinstance(found, ModuleType) or not str(getattr(found, "__module__", "")).startswith(("jtorch", "torch")):
            continue
        between = "\n\n    " if "\n    " in doc else "\n\n"  # as the lines after the first stand in the file
        try:
            found.__doc__ = f"{doc.rstrip()}{between}Source: {where}"
        except (AttributeError, TypeError):  # of a class of C
            continue
