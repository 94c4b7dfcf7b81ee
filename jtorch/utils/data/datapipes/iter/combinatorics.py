"""Pipes that change the order."""

from __future__ import annotations

from .._classes import named
from .._forms import _Shuffled

__all__ = ["ShufflerIterDataPipe"]

ShufflerIterDataPipe = named("ShufflerIterDataPipe", "shuffle", _Shuffled)
