"""Pipes that gather elements."""

from __future__ import annotations

from .._classes import named
from ..datapipe import MapDataPipe

__all__ = ["BatcherMapDataPipe"]

BatcherMapDataPipe = named("BatcherMapDataPipe", "batch", MapDataPipe)
