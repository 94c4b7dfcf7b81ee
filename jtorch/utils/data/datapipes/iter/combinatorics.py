"""Pipes that change the order."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

from ...sampler import SequentialSampler
from .._classes import named
from .._forms import _Shuffled
from ..datapipe import IterDataPipe

__all__ = ["SamplerIterDataPipe", "ShufflerIterDataPipe"]

ShufflerIterDataPipe = named("ShufflerIterDataPipe", "shuffle", _Shuffled)


class SamplerIterDataPipe(IterDataPipe):
    """What a ``torch.utils.data.Sampler`` makes of a pipe that has a length. AssertionError if it has none."""

    def __init__(self, datapipe: Any, sampler: Any = SequentialSampler, sampler_args: tuple[Any, ...] | None = None, sampler_kwargs: dict[str, Any] | None = None) -> None:
        if not isinstance(datapipe, Sized):
            raise AssertionError("Sampler class requires input datapipe implemented `__len__`")
        self.datapipe = datapipe
        self.sampler_args, self.sampler_kwargs = sampler_args or (), {**(sampler_kwargs or {}), "data_source": datapipe}
        self.sampler = sampler(*self.sampler_args, **self.sampler_kwargs)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sampler)

    def __len__(self) -> int:
        if isinstance(self.sampler, Sized):
            return len(self.sampler)
        raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
