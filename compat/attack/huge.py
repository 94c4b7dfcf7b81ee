"""More than 2^31 elements under both libraries: ``python -m compat.attack.huge [--only write,argmax]`` runs each case in a process of its own, one library after the other, and compares what they give and
the memory that they take. Needs 12 GB of free memory; nothing else that is large should run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

N = 2_200_000_000
ROWS = 46_905  # ROWS x ROWS is more than 2^31, too


def _bytes(t: Any) -> Any:
    x = t.zeros(N, dtype=t.uint8)
    x[N - 1] = 7
    x[5] = 3
    return x


def write(t: Any) -> Any:
    x = _bytes(t)
    x[-3:-1] = 4
    x[N - 10 : N - 5] += 2
    return x[-1].item(), x[N - 12 :].tolist(), x[5].item(), x[2**31 - 2 : 2**31 + 2].tolist()


def by_places(t: Any) -> Any:
    x = _bytes(t)
    at = t.tensor([N - 2, 2**31, 1])
    x[at] = t.tensor([9, 8, 6], dtype=t.uint8)
    x.index_fill_(0, t.tensor([N - 4]), 5)
    x.index_add_(0, t.tensor([N - 4, 2**31]), t.tensor([1, 1], dtype=t.uint8))
    x.scatter_(0, t.tensor([N - 6]), t.tensor([11], dtype=t.uint8))
    x.put_(t.tensor([N - 8]), t.tensor([12], dtype=t.uint8))
    at = t.tensor([N - 1, N - 2, N - 4, N - 6, N - 8, 2**31, 1, -1])
    return x[at].tolist(), t.gather(x, 0, at[:7]).tolist(), t.index_select(x, 0, at[:7]).tolist(), t.take(x, at).tolist()


def reductions(t: Any) -> Any:
    x = _bytes(t)
    x[2**31 + 1] = 200
    return x.argmax().item(), x.max().item(), x.min().item(), x.any().item(), x.all().item(), t.count_nonzero(x).item(), (x == 200).nonzero().tolist()


def argmin(t: Any) -> Any:
    x = t.ones(N, dtype=t.int8)
    x[N - 7] = -3
    return x.argmin().item(), x.min(0)[1].item(), x.aminmax()[0].item()


def views(t: Any) -> Any:
    x = _bytes(t)
    rows = x.view(-1, 11)
    rows[-1, 3] = 21
    cut = x.narrow(0, N - 4, 4)
    cut.fill_(2)
    every = x[:: N - 1]
    far = x.as_strided((2, 2), (N - 2, 1))
    return rows[-1].tolist(), cut.tolist(), every.tolist(), far.tolist(), x.unfold(0, 3, N - 3).tolist(), x.storage_offset(), cut.storage_offset(), x.split(N - 2)[1].tolist()


def rows(t: Any) -> Any:
    x = t.zeros(ROWS, ROWS, dtype=t.int8)
    x[ROWS - 1, ROWS - 2] = 5
    x[:, 3] = 1
    x[ROWS - 2] = 2
    y = x.t()
    return x[-1, -4:].tolist(), y[-2, -3:].tolist(), x[ROWS - 1].argmax().item(), x[t.tensor([0, ROWS - 1]), t.tensor([3, ROWS - 2])].tolist(), x.amax(1)[-3:].tolist(), x.amax(0)[-3:].tolist()


def masks(t: Any) -> Any:
    x = _bytes(t)
    mask = x > 0
    picked = x[mask].tolist()
    x.masked_fill_(mask, 9)
    return picked, x[-1].item(), x[5].item(), mask[-2:].tolist(), mask.nonzero().tolist()


def copies(t: Any) -> Any:
    x = _bytes(t)
    y = x.flip(0)
    found = y[0].item(), y[N - 6].item()
    del y
    z = t.cat([x[: N - 100], x[N - 100 :]])
    found += z[-1].item(), z.shape[0], t.equal(x, z)
    z.copy_(x.roll(1))
    return *found, z[0].item(), z[6].item()


def numbers(t: Any) -> Any:
    x = _bytes(t)
    n = x.numpy()
    n[N - 5] = 44
    x[N - 6] = 45
    return x[N - 5].item(), int(n[N - 6]), int(n[-1]), x.numel(), x.nbytes, len(x)


def files(t: Any) -> Any:
    x = _bytes(t)
    with tempfile.TemporaryDirectory() as folder:
        t.save({"x": x, "y": x[-5:]}, f"{folder}/x.pt")
        del x
        found = t.load(f"{folder}/x.pt", mmap=True)
        return found["x"][-1].item(), found["x"].shape[0], found["y"].tolist(), found["y"].storage_offset()


CASES: dict[str, Callable[[Any], Any]] = {f.__name__: f for f in (write, by_places, reductions, argmin, views, rows, masks, copies, numbers, files)}


def child(library: str, name: str) -> None:
    """One case; its result, the most memory, and the seconds, as JSON."""
    import importlib

    t = importlib.import_module(library)
    start = time.time()
    try:
        found: Any = CASES[name](t)
    except Exception as e:
        found = f"{type(e).__name__}: {str(e)[:300]}"
    print(json.dumps([found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, time.time() - start]), flush=True)
    os._exit(0)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--child", nargs=2)
    chosen = parser.parse_args()
    if chosen.child:
        child(*chosen.child)
    bad = 0
    for name in chosen.only.split(","):
        got = []
        for library in ("torch", "jtorch"):
            done = subprocess.run([sys.executable, "-m", "compat.attack.huge", "--child", library, name], capture_output=True, text=True, check=False)
            got.append(json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 and done.stdout else [f"died: {done.returncode} {done.stderr[-300:]}", 0, 0])
        (theirs, a, s), (ours, b, r) = got
        bad += theirs != ours
        print(f"{name}: {'equal' if theirs == ours else f'torch {theirs}, jtorch {ours}'}; torch {a:.1f} GB, {s:.0f} s; jtorch {b:.1f} GB, {r:.0f} s", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
