"""The table of decompositions that ``torch.export.default_decompositions()`` gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["CustomDecompTable"]


class CustomDecompTable(dict[Any, Callable[..., Any]]):
    """Overloads of operators, and functions of the same arguments that stand in for them. What is taken out of it stays whole, as everything does that it never had."""

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    def pop(self, key: Any, *default: Any) -> Any:  # type: ignore[override]
        """Leave an operator whole; what was to stand in for it, None where nothing was."""
        return super().pop(key, *(default or (None,)))

    def copy(self) -> CustomDecompTable:
        """Another table with the same entries."""
        return CustomDecompTable(self)

    def materialize(self) -> dict[Any, Callable[..., Any]]:
        """The entries as a dict."""
        return dict(self)
