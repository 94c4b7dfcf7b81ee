"""Each library in a process of its own, for what one frees and takes changes what the other's memory costs; the two take turns."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Library", "command", "pair", "seconds", "serve"]


LONG = 1.5  # seconds after which calls are enough, so that slow ones are not made as often as quick ones
LEAST = 3  # calls


def seconds(run: Callable[[], Any], warm: int, rounds: int, long: float = LONG) -> float:
    """Median of ``rounds`` calls, after some that are not counted; fewer of what takes ``long`` seconds."""
    _times(run, warm, long)
    return statistics.median(_times(run, rounds, long))


def _times(run: Callable[[], Any], calls: int, long: float) -> list[float]:
    times: list[float] = []
    while len(times) < calls and (len(times) < LEAST or sum(times) < long):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return times


def serve(answer: Callable[..., Any], first: Any = None) -> None:
    """In the process of one library: says ``first``, then answers questions, a line of JSON each."""
    print(json.dumps(first), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)


class Library:
    """The process of one library: ``python -m MODULE --worker NAME``, which serves. ``first`` is what it said first."""

    def __init__(self, module: str, name: str) -> None:
        # A third size would be run by a program for all sizes, which has a table of its own (shapes.py).
        steady = {**os.environ, "JTORCH_DYNAMIC": "0"}
        self.process = subprocess.Popen([sys.executable, "-m", module, "--worker", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=steady)
        self.first = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def __call__(self, *question: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()


def pair(ours: Library, theirs: Library, question: tuple[Any, ...], turns: int) -> tuple[float, float, float]:
    """Milliseconds of each, medians of their turns, and the ratio."""
    took = [(ours(*question), theirs(*question)) for _ in range(turns)]
    mine, other = (1e3 * statistics.median(side) for side in zip(*took, strict=True))
    return mine, other, mine / other


def command(name: str, worker: Callable[[str], None], table: Callable[[str], Any]) -> int:
    """``python -m compat.bench.NAME``: the table, or the process of one library."""
    parser = argparse.ArgumentParser(prog=f"python -m compat.bench.{name}")
    parser.add_argument("-k", default="", help="only rows whose name has this pattern")
    parser.add_argument("--worker", choices=["torch", "jtorch"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker)
    else:
        table(args.k)
    return 0
