"""The ordinary loop over eight devices, and the same step under ``torch.compile``, beside a hand-written ``jax.jit`` step with the same shardings: ``python -m compat.bench.devices``.

A GPT whose blocks are ``fully_shard``-ed; the hand-written step has its parameters, state and batch cut along their first dim, and XLA puts the collectives. All take turns, four steps
at a time, without a look in between.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["main"]

DEVICES, LAYERS, ROUNDS, STEPS, QUIET = 8, 2, 12, 4, 100


def _each() -> dict[str, Callable[[], Any]]:
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    import jtorch
    from compat.bench import models
    from compat.bench.handwritten import Step
    from jtorch.distributed.device_mesh import init_device_mesh
    from jtorch.distributed.fsdp import fully_shard

    ids = np.random.RandomState(0).randint(0, 512, (8, 33))
    setup = models.Setup("gpt", ids[:, :-1], ids[:, 1:], {"layers": LAYERS})
    theirs = Step(setup, {k: v.detach().numpy().copy() for k, v in models.make(jtorch, setup).model.named_parameters()})
    mesh = init_device_mesh("cpu", (DEVICES,))
    x, y = jtorch.tensor(setup.inputs), jtorch.tensor(setup.targets).flatten()

    def step_of_ours() -> Callable[[], Any]:
        model = models.make(jtorch, setup).model
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        optimizer = jtorch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)

        def step() -> Any:
            optimizer.zero_grad()
            loss = jtorch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    devices = Mesh(np.array(jax.devices()), ("x",))

    def laid(tree: Any) -> Any:
        return jax.tree.map(lambda a: jax.device_put(a, NamedSharding(devices, PartitionSpec("x") if a.ndim and a.shape[0] % DEVICES == 0 else PartitionSpec())), tree)

    theirs.p, theirs.o, theirs.x, theirs.y = laid(theirs.p), laid(theirs.o), laid(theirs.x), laid(theirs.y)

    def handwritten() -> Any:
        theirs.p, theirs.s, theirs.o, loss = theirs.step(theirs.p, theirs.s, theirs.o, theirs.x, theirs.y)
        return loss

    return {"ordinary loop": step_of_ours(), "torch.compile": jtorch.compile(step_of_ours()), "jax.jit step": handwritten}


def _measure() -> None:
    import jax

    from compat.bench.timing import Compilations

    runs = _each()
    for f in runs.values():
        for _ in range(4):
            f().item()
    later, quiet = Compilations(), 0
    while quiet < QUIET:  # a program that takes small arrays end to end is compiled in a thread, from the 20th step on
        before = later.count
        for f in runs.values():
            f().item()
        quiet = quiet + 1 if later.count == before else 0
    compiled = Compilations()
    times: dict[str, list[tuple[float, float]]] = {k: [] for k in runs}
    for _ in range(ROUNDS):
        for name, f in runs.items():
            for array in jax.live_arrays():
                array.block_until_ready()
            host, begin = time.thread_time(), time.perf_counter()
            for _ in range(STEPS):
                loss = f()
            host = time.thread_time() - host
            loss.item()
            for array in jax.live_arrays():
                array.block_until_ready()
            times[name].append(((time.perf_counter() - begin) / STEPS, host / STEPS))
    for name, rows in times.items():
        step, host = (min(column) * 1e3 for column in zip(*rows, strict=True))
        print(f"{name:14s} {step:8.2f} ms a step, of which the thread of Python works {host:6.2f} ms")
    *ours, b = times.values()
    for name, a in zip(times, ours, strict=False):
        pairs = list(zip(a, b, strict=True))
        print(f"{name}: {min(a)[0] / min(b)[0]:.2f} of it, {statistics.median(x[0] / y[0] for x, y in pairs):.2f} by the median of the pairs; Python's part {min(x[1] for x in a) / min(y[1] for y in b):.2f} of it")
    print(f"compiled after the fourth step: {later.count - compiled.count} in a thread, {compiled.count} while this was measured")


def main() -> int:
    """Measure in a process that has so many devices."""
    if sys.argv[1:] == ["--here"]:
        _measure()
        return 0
    env = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}"}
    return subprocess.run([sys.executable, "-m", "compat.bench.devices", "--here"], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
