"""Pipes that leave elements out."""

from __future__ import annotations

from .._classes import named
from ..datapipe import IterDataPipe

__all__ = ["FilterIterDataPipe"]

FilterIterDataPipe = named("FilterIterDataPipe", "filter", IterDataPipe)
