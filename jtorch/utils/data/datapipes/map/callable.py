"""Pipes that call a function with each element."""

from __future__ import annotations

from .._classes import named
from ..datapipe import MapDataPipe

__all__ = ["MapperMapDataPipe"]

MapperMapDataPipe = named("MapperMapDataPipe", "map", MapDataPipe)
