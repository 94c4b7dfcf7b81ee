"""``torch.return_types``: the classes of structured results, made as operators are used."""

from __future__ import annotations

from typing import Any

from jtorch._core.tensor.return_types import TYPES, return_type
from jtorch._registry import OPS


def __getattr__(name: str) -> Any:
    found = TYPES.get(name)
    if found is not None:
        return found
    for public, overloads in OPS.items():
        space, _, short = public.rpartition(".")
        prefix = "" if space in ("torch", "Tensor", "nn.functional", "internal") else f"{space}_"
        for record in overloads:
            if record.fields and prefix + short == name:
                return return_type(name, record.fields)
    raise AttributeError(f"module 'torch.return_types' has no attribute '{name}'")
