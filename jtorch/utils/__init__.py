"""torch.utils: data loading, TensorBoard, hooks, summaries. Sub-modules are imported when first used."""

from __future__ import annotations

import importlib
import importlib.util
import weakref
from types import ModuleType
from typing import Any

from jtorch._core.graph.node import AccumulateGrad
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._install import loaded_late


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchange two tensors: what was seen through one name is seen through the other, class, gradient and attributes included."""
    for t in (t1, t2):
        if not isinstance(t, Tensor):
            raise AttributeError(f"'{type(t).__name__}' object has no attribute '_use_count'")
    for t, name in ((t1, "t1"), (t2, "t2")):
        own = t._edge.ref if isinstance(t._edge, AccumulateGrad) else None  # type: ignore[attr-defined]  # how its gradient finds it
        if any(r is not own for r in weakref.getweakrefs(t)):
            raise RuntimeError(f"Cannot swap {name} because it has weakref associated with it")
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    for name in (n for n in Tensor.__slots__ if n != "__weakref__"):  # type: ignore[attr-defined]
        first, second = getattr(t1, name, None), getattr(t2, name, None)
        setattr(t1, name, second)
        setattr(t2, name, first)
    for t in (t1, t2):
        if isinstance(t._edge, AccumulateGrad):
            t._edge.ref = weakref.ref(t)  # type: ignore[attr-defined]


def set_module(obj: Any, mod: str) -> None:
    """Say that an object comes from the module ``mod``."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod


def __getattr__(name: str) -> ModuleType:
    path = f"jtorch.utils.{name}"
    if not name.startswith("__") and importlib.util.find_spec(path) is not None:
        found = importlib.import_module(path)
        loaded_late()
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
