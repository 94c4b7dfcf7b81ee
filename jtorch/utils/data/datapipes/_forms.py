"""Data pipes: datasets that are built by chaining (``pipe.map(f).shuffle().batch(4)``). Deprecated in torch, here for the code that has them.

The forms that need no files, frames or threads are here: others raise AttributeError, as an unregistered form does in torch.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from jtorch._public import torch

from .._utils.collate import default_collate
from .._utils.worker import get_worker_info
from .datapipe import DataChunk, IterDataPipe, MapDataPipe

# --- the forms ----------------------------------------------------------------------------------------------------


class _Iterated(IterDataPipe):
    """A pipe from a function that makes its iterator, and one that tells its length."""

    def __init__(self, run: Callable[[], Iterable[Any]], size: Callable[[], int] | None = None) -> None:
        self._run, self._size = run, size

    def __iter__(self) -> Iterator[Any]:
        return iter(self._run())

    def __len__(self) -> int:
        if self._size is None:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return self._size()


class _Mapped(MapDataPipe):
    def __init__(self, take: Callable[[int], Any], size: Callable[[], int]) -> None:
        self._take, self._size = take, size

    def __getitem__(self, index: int) -> Any:
        return self._take(index)

    def __len__(self) -> int:
        return self._size()


def _apply(fn: Callable[..., Any], x: Any, input_col: Any, output_col: Any) -> Any:
    """``fn`` of an element, or of its columns, whose result takes the place of ``output_col``."""
    if input_col is None:
        return fn(x)
    many = isinstance(input_col, (list, tuple))
    made = fn(*[x[c] for c in input_col]) if many else fn(x[input_col])
    if output_col == -1:
        return (*x, made) if isinstance(x, tuple) else [*x, made]
    at = output_col if output_col is not None else input_col[0] if many else input_col
    copy: Any = list(x) if isinstance(x, tuple) else x.copy()
    copy[at] = made
    return tuple(copy) if isinstance(x, tuple) else copy


def _batches(source: Iterable[Any], size: int, drop_last: bool, wrapper: Callable[[list[Any]], Any]) -> Iterator[Any]:
    turn = iter(source)
    while chunk := list(itertools.islice(turn, size)):
        if len(chunk) == size or not drop_last:
            yield wrapper(chunk)


def _flat(x: Any, level: int) -> Iterator[Any]:
    if level and isinstance(x, list) or level < 0 and isinstance(x, list):
        for y in x:
            yield from _flat(y, level - 1)
    else:
        yield x


class Seeded(IterDataPipe):
    """A pipe whose order follows from torch's seed, or from one that it is given."""

    _enabled = True
    _seed: int | None = None

    def set_shuffle(self, shuffle: bool = True) -> Any:
        """Switch it on or off."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed: int) -> Any:
        """What the next turn's order follows from."""
        self._seed = seed
        return self

    def _order(self) -> random.Random:
        """What a turn's order is drawn with."""
        seed = int(torch.empty((), dtype=torch.int64).random_().item()) if self._seed is None else self._seed
        self._seed = None
        return random.Random(seed)


class _Shuffled(Seeded, _Iterated):
    """The elements of a pipe in another order: the one that torch's buffer gives for the same seed."""

    def __init__(self, source: Any, size: int) -> None:
        super().__init__(lambda: (), lambda: len(source))
        self.datapipe, self.buffer_size = source, size

    def __iter__(self) -> Iterator[Any]:
        if not self._enabled:
            yield from self.datapipe
            return
        held: list[Any] = []
        rng = self._order()
        for x in self.datapipe:
            if len(held) == self.buffer_size:
                at = rng.randint(0, len(held) - 1)
                yield held[at]
                held[at] = x
            else:
                held.append(x)
        while held:
            yield held.pop(rng.randint(0, len(held) - 1))


def _steps(n: int, size: int, drop_last: bool) -> int:
    return n // size if drop_last else -(-n // size)


def _map(self: Any, fn: Callable[..., Any], input_col: Any = None, output_col: Any = None) -> IterDataPipe:
    return _Iterated(lambda: (_apply(fn, x, input_col, output_col) for x in self), lambda: len(self))


def _filter(self: Any, filter_fn: Callable[..., bool], input_col: Any = None) -> IterDataPipe:
    def kept(x: Any) -> bool:
        return filter_fn(x) if input_col is None else filter_fn(*[x[c] for c in input_col]) if isinstance(input_col, (list, tuple)) else filter_fn(x[input_col])

    return _Iterated(lambda: (x for x in self if kept(x)))


def _batch(self: Any, batch_size: int, drop_last: bool = False, wrapper_class: Any = DataChunk) -> IterDataPipe:
    if batch_size <= 0:
        raise AssertionError("Batch size is required to be larger than 0!")
    return _Iterated(lambda: _batches(self, batch_size, drop_last, wrapper_class), lambda: _steps(len(self), batch_size, drop_last))


def _unbatch(self: Any, unbatch_level: int = 1) -> IterDataPipe:
    return _Iterated(lambda: (y for x in self for y in _flat(x, unbatch_level)))


def _shuffle(self: Any, *, buffer_size: int = 10000, unbatch_level: int = 0) -> IterDataPipe:
    return _Shuffled(self if unbatch_level == 0 else _unbatch(self, unbatch_level), buffer_size)


def _concat(self: Any, *others: Any) -> IterDataPipe:
    return _Iterated(lambda: itertools.chain(self, *others), lambda: sum(map(len, (self, *others))))


def _zip(self: Any, *others: Any) -> IterDataPipe:
    return _Iterated(lambda: zip(self, *others, strict=False), lambda: min(map(len, (self, *others))))


def _mux(self: Any, *others: Any) -> IterDataPipe:
    pipes = (self, *others)
    return _Iterated(lambda: (x for row in zip(*pipes, strict=False) for x in row), lambda: min(map(len, pipes)) * len(pipes))


def _collate(self: Any, conversion: Any = default_collate, collate_fn: Any = None) -> IterDataPipe:
    return _map(self, conversion if collate_fn is None else collate_fn)


def _groupby(self: Any, group_key_fn: Callable[[Any], Any], *, keep_key: bool = False, group_size: int | None = None, **_: Any) -> IterDataPipe:
    def run() -> Iterator[Any]:
        groups: dict[Any, list[Any]] = {}
        for x in self:
            key = group_key_fn(x)
            groups.setdefault(key, []).append(x)
            if len(groups[key]) == group_size:
                yield (key, groups.pop(key)) if keep_key else groups.pop(key)
        yield from groups.items() if keep_key else groups.values()

    return _Iterated(run)


def _shard(self: Any, sharding_group_filter: Any = None) -> IterDataPipe:
    """Each of the loader's workers takes every n-th element."""
    def run() -> Iterator[Any]:
        info = get_worker_info()
        return iter(self) if info is None else itertools.islice(self, info.id, None, info.num_workers)

    return _Iterated(run, lambda: len(self))


_FORMS: dict[str, Callable[..., Any]] = {
    "map": _map, "filter": _filter, "batch": _batch, "unbatch": _unbatch, "shuffle": _shuffle, "concat": _concat, "zip": _zip, "mux": _mux,
    "collate": _collate, "groupby": _groupby, "sharding_filter": _shard,
}  # fmt: skip
for _name, _form in _FORMS.items():
    IterDataPipe.register_function(_name, _form)


def _joined(self: Any, *others: Any) -> MapDataPipe:
    parts: Sequence[Any] = (self, *others)

    def take(index: int) -> Any:
        for p in parts:
            if index < len(p):
                return p[index]
            index -= len(p)
        raise IndexError(f"Index {index} is out of range.")

    return _Mapped(take, lambda: sum(map(len, parts)))


def _chunks(self: Any, batch_size: int, drop_last: bool = False, wrapper_class: Any = DataChunk) -> MapDataPipe:
    def take(index: int) -> Any:
        if index >= _steps(len(self), batch_size, drop_last):
            raise IndexError(f"Index {index} is out of bound.")
        return wrapper_class([self[i] for i in range(index * batch_size, min((index + 1) * batch_size, len(self)))])

    return _Mapped(take, lambda: _steps(len(self), batch_size, drop_last))


MapDataPipe.register_function("map", lambda self, fn=lambda x: x: _Mapped(lambda i: fn(self[i]), lambda: len(self)))
MapDataPipe.register_function("concat", _joined)
MapDataPipe.register_function("batch", _chunks)
MapDataPipe.register_function("zip", lambda self, *others: _Mapped(lambda i: tuple(p[i] for p in (self, *others)), lambda: min(map(len, (self, *others)))))
