"""Endless loops and what they leave in memory: ``python -m compat.attack.resident [--steps 10000] [--shapes 1000] [--chain 200000] [--only numbers,shapes,chain]``.

Each loop is one that never repeats itself: every number that an operator takes changes with every call, every batch has a new shape, a chain of operators has no end. The resident size must
level off at no more than ``LIMIT`` above the start.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator

import pytest

from compat import bridge
from compat.attack.changing_numbers import PLACES, WARM, settled, suitable
from compat.attack.changing_numbers import steps as steps_of_classes
from compat.counting import programs

LIMIT = 250  # MB


def resident() -> float:
    """MB of this process that are in memory."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def numbers(steps: int) -> Iterator[int]:
    """One call of an operator a step, for each number argument that the registry knows of and for each number of an optimizer's class in turn, and no number twice."""
    bridge.jtorch().ones(3).exp().tolist()
    yield 0
    found, classes = {}, steps_of_classes()
    for i, place in enumerate(PLACES):
        call = suitable(place)
        if call is not None:
            found[place] = call
        yield i
    for i, (place, call) in enumerate(classes.items()):
        settled(call(0))
        found[place] = call
        yield len(PLACES) + i
    print(f"  {len(found) - len(classes)} of {len(PLACES)} arguments, and {len(classes)} of the optimizers' classes; no call suits: {[p for p in PLACES if p not in found]}", flush=True)
    anew: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch, programs(patch) as seen:
        for i in range(steps):
            place = list(found)[i % len(found)]
            turn = 3 + i // len(found)
            seen.clear()
            settled(found[place](turn))
            if turn >= WARM:
                anew[place] += sum(seen)
            yield i
    print(f"  compiled anew: {dict(+anew)}", flush=True)


def shapes(count: int) -> Iterator[int]:
    """Training steps of a small model, each with a batch of another size."""
    j = bridge.jtorch()
    model = j.nn.Sequential(j.nn.Linear(8, 16), j.nn.ReLU(), j.nn.Linear(16, 1))
    optimizer = j.optim.SGD(model.parameters(), lr=0.1)
    for n in range(1, count + 1):
        optimizer.zero_grad()
        loss = model(j.randn(n, 8)).pow(2).mean()
        loss.backward()
        optimizer.step()
        loss.item()
        yield n


def chain(length: int) -> Iterator[int]:
    """One value from another, looked at in the end alone."""
    j = bridge.jtorch()
    x = j.ones(10)
    for i in range(length):
        x = j.sin(x)
        if i % 1000 == 0:
            yield i
    x.sum().item()
    yield length


LOOPS = {"numbers": (numbers, "steps"), "shapes": (shapes, "shapes"), "chain": (chain, "chain")}


def main() -> int:
    parser = argparse.ArgumentParser()
    for name, default in (("steps", 10000), ("shapes", 1000), ("chain", 200000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", default=",".join(LOOPS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    bad = 0
    for name in options.only.split(","):
        loop, count = LOOPS[name]
        start = most = last = 0.0
        begin = time.process_time()
        for turn, i in enumerate(loop(getattr(options, count))):
            if turn == 0:
                start = resident()
            if turn % 50 == 0:
                most = max(most, resident() - start)
            if time.process_time() - last > 15:
                last = time.process_time()
                print(f"  {name} {i}: +{resident() - start:.0f} MB, {last - begin:.0f} s", flush=True)
        bad += most > LIMIT
        print(f"{name}: at most +{most:.0f} MB, +{resident() - start:.0f} MB in the end, {time.process_time() - begin:.0f} s of cpu", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
