"""``torch._VF``: the operators, where a Python function of the same name stands in ``torch``."""

from __future__ import annotations

from typing import Any

from jtorch import _namespace


def __getattr__(name: str) -> Any:
    names = vars(_namespace.torch)
    if name not in names or name.startswith("__"):
        raise AttributeError(f"module 'torch._VF' has no attribute '{name}'")
    return names[name]
