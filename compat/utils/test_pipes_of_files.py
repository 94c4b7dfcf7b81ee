"""Data pipes that split, sample and shuffle others, and those of files: the same elements and errors under both libraries."""

from __future__ import annotations

import importlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch as real

import jtorch


def _attempt(fn: Any) -> Any:
    try:
        return fn()
    except Exception as e:  # torch adds which pipe's iterator it was
        return type(e).__name__, str(e).split("\nThis exception")[0]


def _names(torch: Any) -> Any:
    at = f"{torch.__name__}.utils.data.datapipes"
    return importlib.import_module(f"{at}.iter"), importlib.import_module(f"{at}.map"), importlib.import_module(f"{at}.utils.common")


def _split(torch: Any, _: Path) -> list[Any]:
    pipes = _names(torch)[0]
    count = lambda n: pipes.IterableWrapper(range(n))  # noqa: E731
    a, b = count(6).fork(2)
    seen: list[Any] = [list(a), list(b), len(a), list(a), list(b)]
    for size in (0, 2):
        a, b = count(6).fork(2, buffer_size=size)
        left, right = iter(a), iter(b)
        seen += [_attempt(lambda: [next(left) for _ in range(3)]), _attempt(lambda: next(right))]
    a, b = count(4).fork(2)
    left, right = iter(a), iter(b)
    seen += [next(left), next(iter(a)), _attempt(lambda: next(right))[0], next(iter(b))]
    a, b = pipes.IterableWrapper([[1], [2]]).fork(2, copy="deep")
    next(iter(a)).append(5)
    seen += [list(b), _attempt(lambda: count(1).fork(0)), _attempt(lambda: count(1).fork(2, copy="x")), len(count(3).fork(1))]
    for sorts in (lambda x: x % 2, lambda x: x % 3, lambda x: x % 3 if x % 3 < 2 else None, lambda x: int(x > 5)):
        for dropped in (False, True):
            a, b = count(8).demux(2, sorts, drop_none=dropped, buffer_size=4)
            seen += [_attempt(lambda a=a: list(a)), _attempt(lambda b=b: list(b))]
    return [*seen, _attempt(lambda: len(a))]


def _files(torch: Any, folder: Path) -> list[Any]:
    pipes, _, common = _names(torch)

    def short(found: Any) -> list[str]:
        return [os.path.relpath(name, folder) for name in found]

    lister, opener, reader, at = pipes.FileLister, pipes.FileOpener, pipes.StreamReader, str(folder)
    seen: list[Any] = [short(lister(at)), short(lister(at, "*.txt")), short(lister(at, ["*.csv", "a*"], recursive=True)), short(lister([at, f"{at}/s"])), short(lister(f"{at}/a.txt"))]
    seen += [_attempt(lambda: len(lister(at))), len(lister(at, length=3))]
    seen += [[(os.path.basename(n), f.read()) for n, f in lister(at, "*.txt").open_files()], [v for _, v in lister(at, "*.txt").open_files(mode="b").read_from_stream(4)]]
    seen += [_attempt(lambda: opener([], mode="w")), _attempt(lambda: opener([], mode="rb", encoding="x")), _attempt(lambda: list(opener([3])))]
    seen.append(list(reader(pipes.IterableWrapper([("al", io.StringIO("abcde"))], deepcopy=False), chunk=2)))
    stream = common.StreamWrapper(io.StringIO("ab"), name="q")
    seen += [repr(stream)[:16], stream.read(), stream.close(), stream.closed]
    for fn, columns in ((lambda x, y: 0, 0), (lambda x, y=1: 0, [0, 1]), (lambda x: 0, [0, 1]), (lambda *a: 0, [0, 1, 2]), (lambda x, *, k: 0, 0)):
        seen.append(_attempt(lambda fn=fn, columns=columns: common.validate_input_col(fn, columns)))
    for pair in (3, (1,), (1, 2), ("a", 2), ("a", stream)):
        seen.append(_attempt(lambda pair=pair: common.validate_pathname_binary_tuple(pair)))
    return seen


def _orders(torch: Any, _: Path) -> list[Any]:
    pipes, maps, _ = _names(torch)
    torch.manual_seed(0)
    numbers = pipes.IterableWrapper(range(5))
    seen: list[Any] = [list(pipes.Sampler(numbers)), list(pipes.Sampler(numbers, torch.utils.data.RandomSampler)), len(pipes.Sampler(numbers))]
    held = maps.SequenceWrapper([10, 20, 30, 40])
    shuffled = held.shuffle()
    return [*seen, list(shuffled), list(shuffled), list(shuffled.set_seed(5)), list(shuffled.set_shuffle(False)), len(shuffled), list(maps.Shuffler(held, indices=[0, 2]).set_seed(1))]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", [_split, _files, _orders])
def test_pipes(program: Any, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for name in ("b.txt", "a.txt", "c.csv", "s/z.txt"):
        (tmp_path / name).write_text(name * 3)
    assert program(jtorch, tmp_path) == program(real, tmp_path)
