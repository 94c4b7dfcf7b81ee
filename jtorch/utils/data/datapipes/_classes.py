"""The forms of data pipes as classes: ``Mapper(pipe, f)`` is what ``pipe.map(f)`` is."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from ._forms import _Iterated, _Mapped
from .datapipe import IterDataPipe, MapDataPipe

__all__ = ["IterableWrapperIterDataPipe", "SequenceWrapperMapDataPipe", "named"]


class _Copied:
    """Data of the pipe's own: a deep copy in each turn where asked for."""

    def _take(self, data: Any, deepcopy: bool, what: str) -> Any:
        if not deepcopy:
            return data
        try:
            return copy.deepcopy(data)
        except TypeError:
            warnings.warn(f"The input {what} can not be deepcopied, please be aware of in-place modification would affect source data.", stacklevel=3)
            return data


class IterableWrapperIterDataPipe(_Copied, IterDataPipe):
    """An iterable as a pipe."""

    def __init__(self, iterable: Iterable[Any], deepcopy: bool = True) -> None:
        self.iterable, self.deepcopy = iterable, deepcopy

    def __iter__(self) -> Iterator[Any]:
        yield from self._take(self.iterable, self.deepcopy, "iterable")

    def __len__(self) -> int:
        return len(self.iterable)  # type: ignore[arg-type]


class SequenceWrapperMapDataPipe(_Copied, MapDataPipe):
    """A sequence or mapping as a pipe."""

    def __init__(self, sequence: Any, deepcopy: bool = True) -> None:
        self.sequence = self._take(sequence, deepcopy, "sequence")

    def __getitem__(self, index: Any) -> Any:
        return self.sequence[index]

    def __len__(self) -> int:
        return len(self.sequence)


def named(name: str, form: str, made: type[IterDataPipe] | type[MapDataPipe]) -> type:
    """The class whose instances the registered ``form`` makes, derived from ``made``."""
    kind: Any = made if made not in (IterDataPipe, MapDataPipe) else _Iterated if made is IterDataPipe else _Mapped

    def __init__(self: Any, datapipe: Any, *args: Any, **kwargs: Any) -> None:
        vars(self).update(vars(kind.functions[form](datapipe, *args, **kwargs)))

    return type(name, (kind,), {"__init__": __init__, "__doc__": f"As ``pipe.{form}(...)``."})
