"""The same loaders over both libraries: order, collation, workers' seeds, and what is raised."""

from __future__ import annotations

import collections
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.data

import jtorch
import jtorch.utils.data

Point = collections.namedtuple("Point", "x y")
LIBRARIES = (torch, jtorch)


def same(a: Any, b: Any) -> None:
    if isinstance(a, torch.Tensor):
        assert isinstance(b, jtorch.Tensor)
        assert str(a.dtype) == str(b.dtype) and tuple(a.shape) == tuple(b.shape) and a.stride() == tuple(b.stride())
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b) and len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert type(a) is type(b) and a == b


class Made:
    """A dataset from a function, in either library."""

    def __init__(self, size: int, fn: Callable[[int], Any]) -> None:
        self.size, self.fn = size, fn

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> Any:
        return self.fn(i)


def rows(lib: Any) -> Any:
    x = lib.arange(23.0).view(23, 1) * lib.ones(1, 3)
    return lib.utils.data.TensorDataset(x, lib.arange(23))


def stream(lib: Any) -> Any:
    class Stream(lib.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            info = lib.utils.data.get_worker_info()
            return iter(range(17)) if info is None else iter(range(info.id, 17 + 3 * info.id, info.num_workers))

    return Stream()


def seeded(lib: Any) -> Any:
    def sample(i: int) -> Any:
        info = lib.utils.data.get_worker_info()
        return i, lib.rand(2), np.random.rand(2), random.random(), lib.initial_seed(), info.seed if info else -1

    return Made(9, sample)


def mixed(lib: Any) -> Any:
    return Made(10, lambda i: {"a": i, "b": [float(i), str(i)], "c": Point(np.arange(3) + i, np.float32(i)), "d": (b"x", True)})


def single(lib: Any) -> Any:
    return Made(10, lambda i: {"a": i, "c": Point(np.arange(3) + i, np.float32(i)), "l": [np.ones(2), 1], "t": (np.ones(1), "a")})


D: Callable[[Any], Any] = lambda lib: lib.utils.data
CASES: dict[str, dict[str, Any]] = {
    "default": dict(dataset=rows),
    "batches": dict(dataset=rows, batch_size=4),
    "shuffled": dict(dataset=rows, batch_size=4, shuffle=True),
    "drop_last": dict(dataset=rows, batch_size=4, shuffle=True, drop_last=True),
    "unbatched": dict(dataset=rows, batch_size=None),
    "generator": dict(dataset=rows, batch_size=5, shuffle=True, generator=lambda lib: lib.Generator().manual_seed(3)),
    "replacement": dict(dataset=rows, batch_size=4, sampler=lambda lib: D(lib).RandomSampler(range(23), replacement=True, num_samples=50)),
    "num_samples": dict(dataset=rows, batch_size=4, sampler=lambda lib: D(lib).RandomSampler(range(23), num_samples=50)),
    "subset_random": dict(dataset=rows, batch_size=4, sampler=lambda lib: D(lib).SubsetRandomSampler([1, 5, 7, 9])),
    "weighted": dict(dataset=rows, batch_size=4, sampler=lambda lib: D(lib).WeightedRandomSampler([0.1] * 10 + [0.9] * 13, 40)),
    "weighted_once": dict(dataset=rows, batch_size=4, sampler=lambda lib: D(lib).WeightedRandomSampler([0.1] * 10 + [0.9] * 13, 14, False)),
    "batch_sampler": dict(dataset=rows, batch_sampler=lambda lib: D(lib).BatchSampler(D(lib).RandomSampler(range(23)), 7, True)),
    "distributed": dict(dataset=rows, batch_size=3, sampler=lambda lib: D(lib).DistributedSampler(range(23), 3, 1, seed=4)),
    "distributed_drop": dict(dataset=rows, batch_size=3, sampler=lambda lib: D(lib).DistributedSampler(range(23), 4, 1, drop_last=True)),
    "distributed_few": dict(dataset=rows, batch_size=3, sampler=lambda lib: D(lib).DistributedSampler(range(2), 7, 6, shuffle=False)),
    "containers": dict(dataset=mixed, batch_size=3),
    "converted": dict(dataset=single, batch_size=None),
    "subset": dict(dataset=lambda lib: D(lib).Subset(rows(lib), [3, 1, 2, 5, 7]), batch_size=2, shuffle=True),
    "split": dict(dataset=lambda lib: D(lib).random_split(rows(lib), [0.3, 0.5, 0.2])[1], batch_size=2, shuffle=True),
    "split_sizes": dict(dataset=lambda lib: D(lib).random_split(rows(lib), [10, 13], lib.Generator().manual_seed(1))[1], batch_size=2),
    "concat": dict(dataset=lambda lib: D(lib).ConcatDataset([rows(lib), rows(lib)]), batch_size=6, shuffle=True),
    "stacked": dict(dataset=lambda lib: D(lib).StackDataset(rows(lib), range(23)), batch_size=6, shuffle=True),
    "stacked_dict": dict(dataset=lambda lib: D(lib).StackDataset(a=rows(lib), b=D(lib).Subset(rows(lib), range(23))), batch_size=6),
    "stream": dict(dataset=stream, batch_size=4),
    "stream_drop": dict(dataset=stream, batch_size=4, drop_last=True),
    "stream_unbatched": dict(dataset=stream, batch_size=None),
    "chain": dict(dataset=lambda lib: D(lib).ChainDataset([stream(lib), stream(lib)]), batch_size=4),
    "seeds": dict(dataset=seeded, batch_size=2, shuffle=True),
}
for _name in ("shuffled", "unbatched", "containers", "stream", "stream_drop", "chain", "seeds"):
    for _workers in (1, 2):
        CASES[f"{_name}_{_workers}_workers"] = {**CASES[_name], "num_workers": _workers}
CASES["seeds_persistent"] = {**CASES["seeds"], "num_workers": 2, "persistent_workers": True, "prefetch_factor": 3}
CASES["stream_persistent"] = {**CASES["stream"], "num_workers": 2, "persistent_workers": True}
CASES["worker_init"] = dict(dataset=seeded, batch_size=2, num_workers=2, worker_init_fn=lambda lib: lambda i: lib.rand(i + 1))


def two_epochs(lib: Any, dataset: Any, **options: Any) -> Any:
    lib.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    made = {k: v(lib) if callable(v) else v for k, v in options.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = lib.utils.data.DataLoader(dataset(lib), **made)
        return list(loader), list(loader), lib.rand(1)


@pytest.mark.parametrize("name", CASES)
def test_batches(name: str) -> None:
    same(*[two_epochs(lib, **CASES[name]) for lib in LIBRARIES])


def fails(i: int) -> Any:
    if i == 5:
        raise KeyError("k")
    return i


ERRORS: dict[str, Callable[[Any], Any]] = {
    "none": lambda lib: list(D(lib).DataLoader(Made(3, lambda i: None))),
    "objects": lambda lib: list(D(lib).DataLoader(Made(3, lambda i: np.array([object()])))),
    "sizes": lambda lib: list(D(lib).DataLoader(Made(4, lambda i: lib.ones(i + 1)), batch_size=2)),
    "lengths": lambda lib: list(D(lib).DataLoader(Made(4, lambda i: [1] * (i + 1)), batch_size=2)),
    "raises": lambda lib: list(D(lib).DataLoader(Made(8, fails))),
    "num_workers": lambda lib: D(lib).DataLoader([1], num_workers=-1),
    "timeout": lambda lib: D(lib).DataLoader([1], timeout=-1),
    "prefetch": lambda lib: D(lib).DataLoader([1], prefetch_factor=2),
    "persistent": lambda lib: D(lib).DataLoader([1], persistent_workers=True),
    "shuffle_sampler": lambda lib: D(lib).DataLoader([1], shuffle=True, sampler=[0]),
    "batch_sampler": lambda lib: D(lib).DataLoader([1], batch_size=2, batch_sampler=[[0]]),
    "drop_last": lambda lib: D(lib).DataLoader([1], batch_size=None, drop_last=True),
    "batch_size": lambda lib: D(lib).DataLoader([1], batch_size=0),
    "batch_size_float": lambda lib: D(lib).DataLoader([1], batch_size=1.5),
    "stream_shuffle": lambda lib: D(lib).DataLoader(stream(lib), shuffle=True),
    "stream_len": lambda lib: len(D(lib).DataLoader(stream(lib))),
    "context": lambda lib: D(lib).DataLoader([1], num_workers=1, multiprocessing_context="nope"),
    "context_workers": lambda lib: D(lib).DataLoader([1], multiprocessing_context="fork"),
    "set_attr": lambda lib: setattr(D(lib).DataLoader([1]), "batch_size", 2),
    "empty_random": lambda lib: D(lib).DataLoader([], shuffle=True),
    "num_samples": lambda lib: D(lib).RandomSampler([1], num_samples=0),
    "replacement": lambda lib: D(lib).RandomSampler([1], replacement=1),
    "weights": lambda lib: D(lib).WeightedRandomSampler([[1.0]], 3),
    "weights_samples": lambda lib: D(lib).WeightedRandomSampler([1.0], 0),
    "rank": lambda lib: D(lib).DistributedSampler([1], 2, 2),
    "split": lambda lib: D(lib).random_split(range(5), [2, 2]),
    "fraction": lambda lib: D(lib).random_split(range(5), [1.5, -0.5]),
    "tensor_dataset": lambda lib: D(lib).TensorDataset(lib.ones(2), lib.ones(3)),
    "stack_empty": lambda lib: D(lib).StackDataset(),
    "stack_sizes": lambda lib: D(lib).StackDataset([1], [1, 2]),
    "concat_empty": lambda lib: D(lib).ConcatDataset([]),
    "concat_stream": lambda lib: D(lib).ConcatDataset([stream(lib)]),
    "concat_index": lambda lib: D(lib).ConcatDataset([[1, 2]])[-3],
    "abstract": lambda lib: D(lib).Dataset()[0],
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    found = []
    for lib in LIBRARIES:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            ERRORS[name](lib)
        found.append((caught.type, str(caught.value).replace("'jtorch.", "'torch.")))
    assert found[0] == found[1]


def test_exception_of_a_worker() -> None:
    found = []
    for lib in LIBRARIES:
        with pytest.raises(KeyError) as caught:
            list(D(lib).DataLoader(Made(8, fails), batch_size=2, num_workers=2))
        lines = str(caught.value).splitlines()
        found.append((lines[0], lines[1], lines[-1]))
    assert found[0] == found[1] and "in DataLoader worker process" in found[0][0]
