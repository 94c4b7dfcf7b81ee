"""Data pipes: the same elements in the same order under torch and under jtorch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

import jtorch


def pipes(library: Any) -> tuple[Any, Any]:
    """A pipe that counts, and one that is indexed."""
    data = library.utils.data

    class Count(data.IterDataPipe):  # type: ignore[name-defined,misc]
        def __init__(self, n: int) -> None:
            self.n = n

        def __iter__(self) -> Any:
            return iter(range(self.n))

        def __len__(self) -> int:
            return self.n

    class Tens(data.MapDataPipe):  # type: ignore[name-defined,misc]
        def __init__(self, n: int) -> None:
            self.n = n

        def __getitem__(self, i: int) -> int:
            if i >= self.n:
                raise IndexError(i)
            return i * 10

        def __len__(self) -> int:
            return self.n

    return Count, Tens


CASES: dict[str, Callable[[Any, Any], Any]] = {
    "map": lambda count, tens: list(count(7).map(lambda x: x * 2)),
    "map of a column": lambda count, tens: list(count(3).map(lambda a: (a, a)).map(lambda a: a + 1, input_col=0)),
    "filter": lambda count, tens: list(count(7).filter(lambda x: x % 2 == 0)),
    "batch": lambda count, tens: (list(count(7).batch(3)), list(count(7).batch(3, drop_last=True)), len(count(7).batch(3)), str(next(iter(count(2).batch(2))))),
    "unbatch": lambda count, tens: (list(count(7).batch(2).batch(2).unbatch(2)), list(count(7).batch(2).batch(2).unbatch(-1)), list(count(7).batch(2).batch(2).unbatch())),
    "several": lambda count, tens: (list(count(2).concat(count(3))), list(count(4).zip(count(3))), list(count(4).mux(count(3)))),
    "groupby": lambda count, tens: list(count(7).groupby(lambda x: x % 3)),
    "shuffle": lambda count, tens: list(count(9).shuffle()),
    "shuffle by a buffer": lambda count, tens: list(count(20).shuffle(buffer_size=4)),
    "collate": lambda count, tens: [b.tolist() for b in count(5).batch(2).collate()],
    "indexed": lambda count, tens: ([tens(5).map(lambda x: x + 1)[i] for i in range(5)], [tens(5).batch(2)[i] for i in range(3)], [tens(2).concat(tens(2))[i] for i in range(4)], tens(4).zip(tens(3))[1]),
    "lengths": lambda count, tens: (len(count(5).map(str)), len(count(5).concat(count(2))), len(tens(5).batch(2))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_pipes_give_what_torch_gives(name: str) -> None:
    found = []
    for library in (torch, jtorch):
        library.manual_seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(CASES[name](*pipes(library)))
    assert found[0] == found[1]


def test_a_pipe_feeds_the_loader() -> None:
    count, _ = pipes(jtorch)
    assert [b.tolist() for b in jtorch.utils.data.DataLoader(count(7).map(lambda x: x), batch_size=3)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_names_are_taken_once_and_determinism_is_kept() -> None:
    data = jtorch.utils.data

    @data.functional_datapipe("plus_for_a_test")
    class Plus(data.IterDataPipe):
        def __init__(self, source: Any, k: int) -> None:
            self.source, self.k = source, k

        def __iter__(self) -> Any:
            return (x + self.k for x in self.source)

    count, _ = pipes(jtorch)
    assert list(count(3).plus_for_a_test(2)) == [2, 3, 4]
    with pytest.raises(Exception, match="already taken"):
        data.functional_datapipe("map")(Plus)
    with pytest.raises(TypeError, match="guaranteed_datapipes_determinism"), data.guaranteed_datapipes_determinism():
        data.non_deterministic(Plus)(count(2), 1)


CLASSES: dict[str, Callable[[Any, Any], Any]] = {
    "Mapper": lambda i, m: i.Mapper(i.IterableWrapper(range(5)), lambda x: x * 2),
    "Filter": lambda i, m: i.Filter(i.IterableWrapper(range(5)), filter_fn=lambda x: x % 2 == 0),
    "Batcher": lambda i, m: i.Batcher(i.IterableWrapper(range(5)), batch_size=2, drop_last=True),
    "UnBatcher": lambda i, m: i.UnBatcher(i.IterableWrapper([[1, 2], [3]])),
    "Concater": lambda i, m: i.Concater(i.IterableWrapper(range(2)), i.IterableWrapper(range(3))),
    "Zipper": lambda i, m: i.Zipper(i.IterableWrapper(range(2)), i.IterableWrapper(range(3))),
    "Multiplexer": lambda i, m: i.Multiplexer(i.IterableWrapper(range(2)), i.IterableWrapper(range(3))),
    "Grouper": lambda i, m: i.Grouper(i.IterableWrapper(range(6)), group_key_fn=lambda x: x % 2, group_size=3),
    "chained": lambda i, m: i.IterableWrapper(range(6)).map(lambda x: x + 1).batch(2),
    "indexed": lambda i, m: m.Mapper(m.SequenceWrapper([1, 2, 3]), lambda x: x + 1),
    "indexed batches": lambda i, m: m.Batcher(m.Concater(m.SequenceWrapper([1, 2]), m.SequenceWrapper([3])), 2),
    "indexed pairs": lambda i, m: m.Zipper(m.SequenceWrapper([1, 2]), m.SequenceWrapper([3, 4, 5])),
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name: str) -> None:
    import importlib

    found = []
    for library in (torch, jtorch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spaces = [importlib.import_module(f"{library.__name__}.utils.data.datapipes.{kind}") for kind in ("iter", "map")]
            pipe = CLASSES[name](*spaces)
            elements = [pipe[k] for k in range(len(pipe))] if name.startswith("indexed") else list(pipe)
            found.append(([list(e) if isinstance(e, list) else e for e in elements], type(pipe).__name__ if name != "chained" else ""))
    assert found[0] == found[1]


def test_data_of_its_own() -> None:
    from jtorch.utils.data.datapipes.iter import IterableWrapper
    from jtorch.utils.data.datapipes.map import SequenceWrapper

    held = [[1], [2]]
    pipe, sequence = IterableWrapper(held), SequenceWrapper(held)
    next(iter(pipe)).append(9)
    sequence[0].append(9)
    assert held == [[1], [2]] and len(pipe) == len(sequence) == 2
    next(iter(IterableWrapper(held, deepcopy=False))).append(9)
    assert held[0] == [1, 9]
