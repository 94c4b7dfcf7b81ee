"""``torch._VF``: the operators, where a Python function of the same name stands in ``torch``."""

from __future__ import annotations

from typing import Any

from jtorch import _namespace


def __getattr__(name: str) -> Any:
    found = vars(_namespace.torch).get(name)
    if found is None or name.startswith("__"):
        raise AttributeError(f"module 'torch._VF' has no attribute '{name}'")
    return found
