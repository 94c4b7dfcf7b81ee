"""Modules of settings, as ``torch._dynamo.config``: names that are known can be set, others raise; ``patch`` sets for a while."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

__all__ = ["Settings", "Section", "settings_module"]


class Settings(ModuleType):
    """A module whose names are settings. AttributeError for those that it does not have."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__ and not name.startswith("_"):
            raise AttributeError(f"{self.__name__}.{name} does not exist")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name not in self.__dict__:
            raise AttributeError(f"{self.__name__}.{name} does not exist")
        super().__delattr__(name)

    def _find(self, name: str) -> tuple[Any, str]:
        """("triton.cudagraphs") -> the section and the name in it."""
        owner: Any = self
        *sections, leaf = name.split(".")
        for section in sections:
            owner = getattr(owner, section)
        if not hasattr(owner, leaf):
            raise AttributeError(f"{self.__name__}.{name} does not exist")
        return owner, leaf

    @contextlib.contextmanager
    def _patched(self, changes: dict[str, Any]) -> Iterator[None]:
        before = []
        try:
            for name, value in changes.items():
                owner, leaf = self._find(name)
                before.append((owner, leaf, getattr(owner, leaf)))
                setattr(owner, leaf, value)
            yield
        finally:
            for owner, leaf, value in reversed(before):
                setattr(owner, leaf, value)

    def patch(self, arg1: Any = None, arg2: Any = None, **kwargs: Any) -> Any:
        """A context manager and decorator that sets one name, a dictionary of them, or those given by keyword, and sets them back."""
        if arg1 is not None:
            if arg2 is not None or isinstance(arg1, str):
                kwargs = {arg1: arg2}
            else:
                kwargs = arg1
        if not isinstance(kwargs, dict):
            raise TypeError(f"patch takes a name and a value, or a dictionary, not {type(kwargs).__name__}")
        return self._patched(kwargs)

    def get_config_copy(self) -> dict[str, Any]:
        """Every setting and its value."""
        return copy.deepcopy(self.shallow_copy_dict())

    def shallow_copy_dict(self) -> dict[str, Any]:
        """Every setting and its value, the values themselves."""
        plain = {n: v for n, v in self.__dict__.items() if not n.startswith("_") and not isinstance(v, ModuleType) and n not in ("annotations", "os")}
        return {n: v for n, v in plain.items() if not isinstance(v, type) or issubclass(v, Section)}


class Section:
    """Settings under one name: class attributes, as in torch."""


def settings_module(name: str, kind: type[Settings] = Settings) -> None:
    """The module of this name holds settings from now on."""
    sys.modules[name].__class__ = kind
