"""Pipes of several pipes."""

from __future__ import annotations

from .._classes import named
from ..datapipe import IterDataPipe

__all__ = ["ConcaterIterDataPipe", "MultiplexerIterDataPipe", "ZipperIterDataPipe"]

ConcaterIterDataPipe = named("ConcaterIterDataPipe", "concat", IterDataPipe)
MultiplexerIterDataPipe = named("MultiplexerIterDataPipe", "mux", IterDataPipe)
ZipperIterDataPipe = named("ZipperIterDataPipe", "zip", IterDataPipe)
