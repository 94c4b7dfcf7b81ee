"""``torch.jit._recursive``: what the script compiler keeps of modules that it has seen. Nothing is compiled to another language, so it keeps nothing."""

from __future__ import annotations

from typing import Any

__all__ = ["ConcreteTypeStore", "concrete_type_store"]


class ConcreteTypeStore:
    """The types made for modules, by the modules' classes, and what was compiled for them."""

    def __init__(self) -> None:
        self.type_store: dict[type, list[Any]] = {}
        self.methods_compiled: set[Any] = set()


concrete_type_store = ConcreteTypeStore()
