"""Pipes that several others read from: ``fork`` gives each element to all, ``demux`` to the one that a function names.

The elements that some have read and others have not are held, at most ``buffer_size`` of them. Who starts again, having started before, starts for all.
"""

from __future__ import annotations

import copy as _copying
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .datapipe import IterDataPipe

__all__ = ["demux", "fork"]

_COPIES: dict[Any, Callable[[Any], Any]] = {None: lambda x: x, "shallow": _copying.copy, "deep": _copying.deepcopy}


class _Split:
    """One source and what each of its children has still to read. ``takers`` says of an element which children get it."""

    def __init__(self, source: Any, children: int, buffer_size: int, takers: Callable[[Any], Any], overflow: str) -> None:
        self.source, self.buffer_size, self.takers, self.overflow = source, buffer_size, takers, overflow
        self.waiting: list[deque[Any]] = [deque() for _ in range(children)]
        self.turn = 0  # each beginning of a turn for all makes the iterators of the one before invalid
        self.started: set[int] = set()
        self.iterator: Iterator[Any] | None = None

    def start(self, child: int) -> int:
        """A child starts to read: the number of its turn."""
        if child in self.started or not self.started:
            self.turn += 1
            self.started = set()
            self.iterator = iter(self.source)
            for held in self.waiting:
                held.clear()
        self.started.add(child)
        return self.turn

    def read(self, child: int) -> Any:
        """The child's next element. StopIteration at the end, BufferError if too many would be held."""
        mine = self.waiting[child]
        while not mine:
            if self.iterator is None:
                raise StopIteration
            element = next(self.iterator)
            for taker in self.takers(element):
                self.waiting[taker].append(element)
            if 0 <= self.buffer_size < self.held([w for w in self.waiting if w is not mine]):
                raise BufferError(self.overflow)
        return mine.popleft()

    def held(self, others: list[deque[Any]]) -> int:
        """How many elements are held for the others."""
        raise NotImplementedError


class _Forked(_Split):
    def held(self, others: list[deque[Any]]) -> int:
        return max(map(len, others))


class _Demultiplexed(_Split):
    def held(self, others: list[deque[Any]]) -> int:
        return sum(map(len, others))


class _ChildDataPipe(IterDataPipe):
    """One of several readers of a pipe."""

    def __init__(self, split: _Split, child: int, copied: Callable[[Any], Any] = _COPIES[None], sized: bool = True) -> None:
        self.main_datapipe, self.instance_id, self._copied, self._sized = split, child, copied, sized

    def __iter__(self) -> Iterator[Any]:
        split = self.main_datapipe
        return self._elements(split, split.start(self.instance_id))

    def _elements(self, split: _Split, turn: int) -> Iterator[Any]:
        while True:
            if turn != split.turn:
                raise RuntimeError(
                    "This iterator has been invalidated because another iterator has been created from one of the other child DataPipes of the same source.\n"
                    "This may be caused multiple references to the same IterDataPipe. We recommend using `.fork()` if that is necessary."
                )
            try:
                element = split.read(self.instance_id)
            except StopIteration:
                return
            yield self._copied(element)

    def __len__(self) -> int:
        if not self._sized:
            raise TypeError
        return len(self.main_datapipe.source)


def _checked(num_instances: int, buffer_size: int, form: str) -> None:
    if num_instances < 1:
        raise ValueError(f"Expected `num_instances` larger than 0, but {num_instances} is found")
    if buffer_size < 0 and (num_instances > 1 or form == "demux"):
        warnings.warn(f"Unlimited buffer size is set for `{form}`, please be aware of OOM at random places", UserWarning, stacklevel=3)


def fork(datapipe: Any, num_instances: int, buffer_size: int = 1000, copy: Any = None) -> Any:
    """``num_instances`` pipes of the same elements, or of copies of them (``"shallow"``, ``"deep"``). ``buffer_size``: how far one may be ahead of another, -1 for as far as it likes."""
    _checked(num_instances, buffer_size, "fork")
    if num_instances == 1:
        return datapipe
    if copy not in _COPIES:
        raise ValueError(f"Unknown copy method `{copy}` requested, choose one of None, `shallow` or `deep`.")
    everyone = range(num_instances)
    split = _Forked(datapipe, num_instances, buffer_size, lambda _: everyone, f"ForkerIterDataPipe buffer overflow,buffer size {buffer_size} is insufficient.")
    return [_ChildDataPipe(split, i, _COPIES[copy]) for i in everyone]


def demux(datapipe: Any, num_instances: int, classifier_fn: Callable[[Any], int | None], drop_none: bool = False, buffer_size: int = 1000) -> Any:
    """``num_instances`` pipes, each of the elements for which ``classifier_fn`` gives its number. ValueError for another number, and for None unless ``drop_none``."""
    _checked(num_instances, buffer_size, "demux")

    def takers(element: Any) -> tuple[int, ...]:
        at = classifier_fn(element)
        if at is None and drop_none:
            return ()
        if at is None or not 0 <= at < num_instances:
            raise ValueError(f"Output of the classification fn should be between 0 and {num_instances - 1}. {at} is returned.")
        return (at,)

    overflow = f"DemultiplexerIterDataPipe buffer overflow, buffer size {buffer_size} is insufficient."
    split = _Demultiplexed(datapipe, num_instances, buffer_size, takers, overflow)
    return [_ChildDataPipe(split, i, sized=False) for i in range(num_instances)]


IterDataPipe.register_function("fork", fork)
IterDataPipe.register_function("demux", demux)
