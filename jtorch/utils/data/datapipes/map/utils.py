"""Data as pipes."""

from __future__ import annotations

from .._classes import SequenceWrapperMapDataPipe

__all__ = ["SequenceWrapperMapDataPipe"]
