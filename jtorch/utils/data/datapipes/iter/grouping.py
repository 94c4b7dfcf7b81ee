"""Pipes that gather elements."""

from __future__ import annotations

from .._classes import named
from ..datapipe import IterDataPipe

__all__ = ["BatcherIterDataPipe", "GrouperIterDataPipe", "UnBatcherIterDataPipe"]

BatcherIterDataPipe = named("BatcherIterDataPipe", "batch", IterDataPipe)
GrouperIterDataPipe = named("GrouperIterDataPipe", "groupby", IterDataPipe)
UnBatcherIterDataPipe = named("UnBatcherIterDataPipe", "unbatch", IterDataPipe)
