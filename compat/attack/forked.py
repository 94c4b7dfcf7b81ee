"""Every operator of op_db in forked DataLoader workers, its values compared with PyTorch's: ``python -m compat.attack.forked [--samples 1] [--types] [--part 0/1] [--workers 2]``.

(``compat/test_host_rules.py`` does the same in the test's own process, told that it is such a worker.) The child computes both sides, PyTorch with one thread, which survives a fork.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from typing import Any

import torch

import jtorch
from compat.opdb.samples import cases
from compat.test_host_rules import NAMES, _wrong
from jtorch._engine.values.thread_state import State


class Operators(jtorch.utils.data.Dataset[Any]):
    """An item is what is wrong with an operator, and what process found that."""

    def __init__(self, names: list[str], samples: int) -> None:
        self.names, self.samples = names, samples

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[str, list[str], int, bool]:
        name = self.names[index]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = [str(line) for line in _wrong([name], self.samples)]
            except Exception as error:
                found = [name, f"{type(error).__name__}: {error}"]
        return name, found, os.getpid(), bool(State.host_only)


def _as_it_is(batch: list[Any]) -> list[Any]:
    return batch


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--types", action="store_true", help="with every type, not float32 alone")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part", default="0/1", help="K/N: every N-th operator, from K")
    options = parser.parse_args()
    k, _, n = options.part.partition("/")
    names = NAMES[int(k) :: int(n)]
    if options.types:
        names = [case for name in names for case in cases(name, True)]
    torch.set_num_threads(1)
    (jtorch.ones(300, 300) @ jtorch.ones(300, 300)).sum().item()  # XLA and its threads are there before the fork, as in a training script
    loader: Any = jtorch.utils.data.DataLoader(
        Operators(names, options.samples), batch_size=1, num_workers=options.workers, collate_fn=_as_it_is, multiprocessing_context="fork", timeout=600
    )  # fmt: skip
    begin, bad, seen, processes = time.monotonic(), [], 0, set()
    for ((name, found, process, on_host),) in loader:
        seen += 1
        processes.add(process)
        if found or not on_host or process == os.getpid():
            bad.append(name)
            print(f"  {name}: {found}", flush=True)
        if seen % 50 == 0:
            print(f"  {seen} of {len(names)}, {time.monotonic() - begin:.0f} s", flush=True)
    print(f"{seen} of {len(names)} {'operators with a type each' if options.types else 'operators'} in {len(processes)} forked workers, {len(bad)} wrong: {bad}", flush=True)
    return 1 if bad or seen != len(names) else 0


if __name__ == "__main__":
    sys.exit(main())
