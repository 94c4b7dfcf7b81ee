"""``torch.distributed.tensor.debug``."""

from __future__ import annotations

from typing import Any

from jtorch._errors import not_implemented

__all__ = ["CommDebugMode"]


class CommDebugMode:
    """Collectives are XLA's: which there are stands in the compiled programs. Raises NotImplementedError."""

    def __init__(self) -> None:
        not_implemented("torch.distributed.tensor.debug.CommDebugMode", "where one process sees all devices, XLA puts the collectives when it compiles; the text of a compiled program holds them")

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: Any) -> None:
        """Never reached."""
