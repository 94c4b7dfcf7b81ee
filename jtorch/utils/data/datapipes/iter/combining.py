"""Pipes of several pipes."""

from __future__ import annotations

from typing import Any

from .._classes import named
from .._splitting import demux, fork
from ..datapipe import IterDataPipe

__all__ = ["ConcaterIterDataPipe", "DemultiplexerIterDataPipe", "ForkerIterDataPipe", "MultiplexerIterDataPipe", "ZipperIterDataPipe"]


class ForkerIterDataPipe(IterDataPipe):
    """As ``pipe.fork(...)``: a list of pipes."""

    def __new__(cls, datapipe: Any, num_instances: int, buffer_size: int = 1000, copy: Any = None) -> Any:
        return fork(datapipe, num_instances, buffer_size, copy)


class DemultiplexerIterDataPipe(IterDataPipe):
    """As ``pipe.demux(...)``: a list of pipes."""

    def __new__(cls, datapipe: Any, num_instances: int, classifier_fn: Any, drop_none: bool = False, buffer_size: int = 1000) -> Any:
        return demux(datapipe, num_instances, classifier_fn, drop_none, buffer_size)


ConcaterIterDataPipe = named("ConcaterIterDataPipe", "concat", IterDataPipe)
MultiplexerIterDataPipe = named("MultiplexerIterDataPipe", "mux", IterDataPipe)
ZipperIterDataPipe = named("ZipperIterDataPipe", "zip", IterDataPipe)
