"""Data as pipes."""

from __future__ import annotations

from .._classes import IterableWrapperIterDataPipe

__all__ = ["IterableWrapperIterDataPipe"]
