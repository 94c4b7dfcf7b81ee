"""Peak memory of training steps, each in a process of its own: ``python -m compat.bench.memory [--models gpt cnn ...]``.

A process makes the model, its optimizer and one batch, and runs some steps; what it says is how far its resident memory then rose above what it was before the first step (imports,
compilation's leavings included, as a user would meet them). Compiled programs come from a cache that a run before has filled, so that the compiler's own peak is left out.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np

from compat.bench import models
from compat.bench.timing import Table

STEPS = 6
RUNS = 3
LIBRARIES = ("jtorch", "torch", "handwritten")


def setups() -> dict[str, models.Setup]:
    """The models of the other tables, larger: what is kept must outweigh what a process needs for itself."""
    r = np.random.RandomState(0)
    ids = r.randint(0, 512, (16, 129))
    return {
        "gpt": models.Setup("gpt", ids[:, :-1], ids[:, 1:], {"layers": 6}),
        "mlp": models.Setup("mlp", r.randn(8192, 64).astype("f4"), r.randint(0, 10, 8192), {}),
        "cnn": models.Setup("cnn", r.randn(2048, 1, 8, 8).astype("f4"), r.randint(0, 10, 2048), {}),
        "lstm": models.Setup("lstm", r.randint(0, 128, (256, 64)), r.randint(0, 7, (256, 64)), {}),
    }


class Peak:
    """The highest resident memory of this process while it is watched, in MiB: the kernel's own count where it can be reset, samples otherwise."""

    def __init__(self) -> None:
        self.before = self.highest = resident()
        self._reset = _reset_peak()
        self._going = not self._reset
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if self._going:
            self._thread.start()

    def _watch(self) -> None:
        while self._going:
            self.highest = max(self.highest, resident())
            time.sleep(0.002)

    def rise(self) -> float:
        """How far it rose."""
        self._going = False
        return (_status("VmHWM") if self._reset else max(self.highest, resident())) - self.before


def _status(field: str) -> float:
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(field))


def resident() -> float:
    """MiB of this process that are in memory."""
    return _status("VmRSS")


def _reset_peak() -> bool:
    try:
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
    except OSError:
        return False
    return _status("VmHWM") - resident() < 64


def child(name: str, library: str) -> None:
    """Print MiB at the peak above what was there before the first step, and above what is left of the parameters afterwards."""
    setup = setups()[name]
    job = models.make(importlib.import_module("jtorch" if library == "handwritten" else library), setup)
    step: Any = job.step
    if library == "handwritten":
        from compat.bench.handwritten import Step

        state = {k: v.numpy().copy() for k, v in job.model.state_dict().items()}
        buffers = {n for n, _ in job.model.named_buffers()}
        del job
        step = Step(setup, {k: v for k, v in state.items() if k not in buffers}, {k: v for k, v in state.items() if k in buffers})
    peak = Peak()
    first = 0.0
    for i in range(STEPS):
        step().item()
        if i == 0:
            first = peak.rise()
    print(f"{first:.1f} {peak.rise():.1f}")


def measured(name: str, library: str, cache: str) -> tuple[float, float]:
    """``(after the first step, after all)`` in MiB, of a process whose programs are in the cache."""
    env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1", "JTORCH_CACHE_DIR": cache}
    command = [sys.executable, "-m", "compat.bench.memory", "--child", name, library]
    found = []
    for _ in range(RUNS + (library != "torch")):
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=900, check=True)
        found.append([float(x) for x in done.stdout.split()[-2:]])
    first, every = (statistics.median(x) for x in zip(*found[-RUNS:], strict=True))  # how pieces of freed memory fit differs from run to run, by a fifth
    return first, every


def memory(names: Any = None) -> Table:
    """MiB at the peak of training, beside torch and the hand-written step."""
    table = Table(
        "Peak memory of training, MiB", ["model", *LIBRARIES, "jtorch / torch", "jtorch / jax.jit"],
        f"How far resident memory rises above what it was before the first of {STEPS} steps; programs come from a cache; each in processes of its own, of which the median counts. After the first step in brackets.",
    )  # fmt: skip
    for name in names or setups():
        with tempfile.TemporaryDirectory() as cache:
            found = {library: measured(name, library, cache) for library in LIBRARIES}
        at = {k: v[1] for k, v in found.items()}
        table.row(name, *(f"{v[1]:.0f} ({v[0]:.0f})" for v in found.values()), at["jtorch"] / at["torch"], at["jtorch"] / at["handwritten"])
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m compat.bench.memory")
    parser.add_argument("--models", nargs="+", choices=list(setups()))
    parser.add_argument("--child", nargs=2, metavar=("MODEL", "LIBRARY"))
    args = parser.parse_args()
    if args.child:
        child(*args.child)
    else:
        memory(args.models)
