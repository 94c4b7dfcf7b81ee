"""Which modules are running, by their names under the outermost one."""

from __future__ import annotations

import weakref
from typing import Any

from jtorch._public import torch

__all__ = ["ModuleTracker"]


class ModuleTracker:
    """Inside, ``parents`` holds the names of the modules whose forward is running, and ``"Global"``."""

    parents: set[str]

    def __init__(self) -> None:
        self.parents = {"Global"}
        self.is_bw = False
        self._names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._handles: list[Any] = []

    def _name_of(self, module: Any) -> str:
        """The name that the outermost module seen so far gives it; its class's for that one itself."""
        if module not in self._names:
            root = type(module).__name__
            for name, sub in module.named_modules():
                self._names.setdefault(sub, f"{root}.{name}" if name else root)
        return self._names[module]

    def _begin(self, module: Any, args: Any) -> None:
        self.parents.add(self._name_of(module))

    def _end(self, module: Any, args: Any, output: Any) -> None:
        self.parents.discard(self._name_of(module))

    def __enter__(self) -> ModuleTracker:
        hooks = torch.nn.modules.module
        self._handles = [
            hooks.register_module_forward_pre_hook(self._begin),
            hooks.register_module_forward_hook(self._end, always_call=True),
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.parents = {"Global"}
