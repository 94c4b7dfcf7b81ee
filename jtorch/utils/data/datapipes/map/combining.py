"""Pipes of several pipes."""

from __future__ import annotations

from .._classes import named
from ..datapipe import MapDataPipe

__all__ = ["ConcaterMapDataPipe", "ZipperMapDataPipe"]

ConcaterMapDataPipe = named("ConcaterMapDataPipe", "concat", MapDataPipe)
ZipperMapDataPipe = named("ZipperMapDataPipe", "zip", MapDataPipe)
