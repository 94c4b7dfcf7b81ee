"""``torch._C._profiler``."""

from __future__ import annotations

from typing import Any

__all__ = ["_ExperimentalConfig"]


class _ExperimentalConfig:
    """Options of torch's own profiler: kept. jax.profiler has its own."""

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)
