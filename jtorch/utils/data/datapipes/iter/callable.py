"""Pipes that call a function with each element."""

from __future__ import annotations

from .._classes import named
from ..datapipe import IterDataPipe

__all__ = ["CollatorIterDataPipe", "MapperIterDataPipe"]

CollatorIterDataPipe = named("CollatorIterDataPipe", "collate", IterDataPipe)
MapperIterDataPipe = named("MapperIterDataPipe", "map", IterDataPipe)
