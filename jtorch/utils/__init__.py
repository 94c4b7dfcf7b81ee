"""torch.utils: data loading, TensorBoard, hooks, summaries. Sub-modules are imported when first used."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from jtorch._install import loaded_late


def __getattr__(name: str) -> ModuleType:
    path = f"{__name__}.{name}"
    if not name.startswith("__") and importlib.util.find_spec(path) is not None:
        found = importlib.import_module(path)
        loaded_late()
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
