"""A pass: a change of a graph."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

__all__ = ["PassResult", "PassBase"]


class PassResult(NamedTuple):
    """The module, and whether the pass changed it."""

    graph_module: Any
    modified: bool


class PassBase(abc.ABC):
    """A pass with what it asks for before and promises after."""

    def __call__(self, graph_module: Any) -> PassResult | None:
        self.requires(graph_module)
        result = self.call(graph_module)
        self.ensures(graph_module)
        return result

    @abc.abstractmethod
    def call(self, graph_module: Any) -> PassResult | None:
        """The pass itself."""

    def requires(self, graph_module: Any) -> None:  # noqa: B027
        """Override to raise where the pass can't be run."""

    def ensures(self, graph_module: Any) -> None:  # noqa: B027
        """Override to check what the pass made."""
