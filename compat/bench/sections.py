"""The measurements, one function a table."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from compat.bench import models, start
from compat.bench.handwritten import Step
from compat.bench.timing import Compilations, Table, alternate

CHAIN = 500
TURN = 10  # chains in a row before the other side has its turn: a loop is measured, not what another library left in the caches


def _jtorch() -> Any:
    import jtorch

    return jtorch


def _turn(f: Callable[..., None], *args: Any) -> Callable[[], None]:
    def run() -> None:
        for _ in range(TURN):
            f(*args)

    return run


def operators() -> Table:
    """µs for one small operator in a chain of 500: recorded and executed by jtorch, dispatched by torch, called through jax.jit."""
    j = _jtorch()
    table = Table(
        f"Small operators, µs each in a chain of {CHAIN}", ["operator", "jtorch", "of it recording", "torch eager", "jax.jit, one call each", "jtorch / torch"],
        "Whole cost with execution; 4 x 4 float32; chains taken ten in a row. With grad: the first operand requires grad, backward not run unless said.",
    )  # fmt: skip
    chains: list[tuple[str, bool, Callable[[Any, Any, Any], Any], Callable[[Any, Any], Any]]] = [
        ("add", False, lambda t, x, y: x + y, lambda x, y: x + y),
        ("add, with grad", True, lambda t, x, y: x + y, lambda x, y: x + y),
        ("mul by a number", False, lambda t, x, y: x * 0.999, lambda x, y: x * np.float32(0.999)),
        ("matmul", False, lambda t, x, y: x @ y, lambda x, y: x @ y),
        ("relu", True, lambda t, x, y: t.relu(x), lambda x, y: jax.nn.relu(x)),
        ("transpose and add", False, lambda t, x, y: x.t() + y, lambda x, y: x.T + y),
        ("add_ in place", False, lambda t, x, y: x.add_(y), lambda x, y: x + y),
        ("sum over a dim, keepdim", True, lambda t, x, y: t.sum(x, 1, keepdim=True) * 0.25 + y, lambda x, y: jnp.sum(x, 1, keepdims=True) * np.float32(0.25) + y),
    ]
    for name, grad, f, g in chains:
        recording: list[float] = []
        jitted = jax.jit(g)
        xj, xt = jnp.full((4, 4), 0.25, jnp.float32), jnp.full((4, 4), 0.25, jnp.float32)

        def chain(lib: Any, f: Any = f, grad: bool = grad, recording: list[float] = recording) -> None:
            import time

            x, y = lib.full((4, 4), 0.25), lib.full((4, 4), 0.25)
            z = x.requires_grad_() if grad else x
            begin = time.perf_counter()
            for _ in range(CHAIN):
                z = f(lib, z, y)
            if lib is j:
                recording.append(time.perf_counter() - begin)
            z.detach().numpy()

        def raw(jitted: Any = jitted, xj: Any = xj, xt: Any = xt) -> None:
            z = xj
            for _ in range(CHAIN):
                z = jitted(z, xt)
            z.block_until_ready()

        t = alternate({"jtorch": _turn(chain, j), "torch": _turn(chain, torch), "jax": _turn(raw)}, 15, 2)
        us = {k: v / CHAIN / TURN * 1e6 for k, v in t.items()}
        table.row(name, us["jtorch"], sorted(recording)[len(recording) // 2] / CHAIN * 1e6, us["torch"], us["jax"], us["jtorch"] / us["torch"])

    def with_backward(lib: Any) -> None:
        x, y = lib.full((4, 4), 0.25).requires_grad_(), lib.full((4, 4), 0.25)
        z = x
        for _ in range(CHAIN):
            z = z + y
        z.sum().backward()
        x.grad.numpy()

    t = alternate({"jtorch": _turn(with_backward, j), "torch": _turn(with_backward, torch)}, 15, 2)
    us = {k: v / CHAIN / TURN * 1e6 for k, v in t.items()}
    table.row("add, with grad and backward", us["jtorch"], "", us["torch"], "", us["jtorch"] / us["torch"])
    return table


def steps(rounds: int = 7) -> Table:
    """ms for a whole training step of four models; all three start from the same parameters, and their losses are compared."""
    j = _jtorch()
    table = Table(
        "Training step, ms (median)", ["model", "jtorch", "torch eager", "hand-written jax.jit", "jtorch / jax.jit", "jtorch / torch", "losses agree"],
        "Forward, backward and AdamW, the loss read each step; the hand-written step is one donated program (compat/bench/handwritten.py).",
    )  # fmt: skip
    for name, setup in models.setups().items():
        ours, theirs = models.make(j, setup), models.make(torch, setup)
        state = theirs.model.state_dict()
        buffers = {n for n, _ in theirs.model.named_buffers()}
        hand = Step(setup, {k: v.numpy().copy() for k, v in state.items() if k not in buffers}, {k: v.numpy().copy() for k, v in state.items() if k in buffers})
        ours.model.load_state_dict({k: j.tensor(v.numpy()) for k, v in state.items()})
        runs = {"jtorch": ours.step, "torch": theirs.step, "jax": hand}
        losses = {k: [f().item() for _ in range(4)] for k, f in runs.items()}
        agree = all(np.allclose(losses["torch"], losses[k], rtol=2e-4) for k in losses)
        each = 4 if setup.name == "gpt" else 20

        def loop(f: Callable[[], Any], each: int = each) -> Callable[[], None]:
            def run() -> None:
                for _ in range(each):
                    f().item()

            return run

        t = alternate({k: loop(f) for k, f in runs.items()}, rounds, 3)
        ms = {k: v / each * 1e3 for k, v in t.items()}
        table.row(name, ms["jtorch"], ms["torch"], ms["jax"], ms["jtorch"] / ms["jax"], ms["jtorch"] / ms["torch"], "yes" if agree else f"NO: {losses}")
    return table


def adamw(rounds: int = 9) -> Table:
    """An optimizer alone: 150 parameters."""
    j = _jtorch()
    table = Table("AdamW over 150 parameters, ms a step", ["optimizer", "jtorch", "torch eager", "optax under jax.jit", "jtorch / optax"], "75 matrices of 64 x 64 and 75 vectors of 64; gradients given.")
    r = np.random.RandomState(0)
    arrays = [r.randn(*((64, 64) if i % 2 else (64,))).astype("f4") for i in range(150)]

    def torch_style(lib: Any) -> Callable[[], None]:
        params = [lib.nn.Parameter(lib.tensor(a)) for a in arrays]
        grads = [lib.tensor(a) for a in arrays]
        optimizer = lib.optim.AdamW(params, lr=1e-3)
        for p, g in zip(params, grads, strict=True):
            p.grad = g

        def run() -> None:
            for _ in range(20):
                optimizer.step()
            params[-1].detach().numpy()

        return run

    tx = optax.adamw(1e-3)
    state: dict[str, Any] = {"p": [jnp.asarray(a) for a in arrays]}
    grads = [jnp.asarray(a) for a in arrays]
    state["o"] = tx.init(state["p"])

    def update(p: Any, o: Any, g: Any) -> Any:
        u, o = tx.update(g, o, p)
        return optax.apply_updates(p, u), o

    compiled = jax.jit(update, donate_argnums=(0, 1))

    def raw() -> None:
        for _ in range(20):
            state["p"], state["o"] = compiled(state["p"], state["o"], grads)
        jax.block_until_ready(state)

    t = alternate({"jtorch": torch_style(j), "torch": torch_style(torch), "optax": raw}, rounds, 3)
    ms = {k: v / 20 * 1e3 for k, v in t.items()}
    table.row("AdamW", ms["jtorch"], ms["torch"], ms["optax"], ms["jtorch"] / ms["optax"])
    return table


def first_steps(depths: tuple[int, ...] = (4, 16)) -> Table:
    """Seconds to the first loss of the GPT in a fresh process, with an empty compilation cache and then with the warm one."""
    table = Table(
        "Time to the first step, GPT, s", ["layers", "jtorch cold", "jtorch warm", "jax.jit cold", "jax.jit warm"],
        "From the first forward to its loss and the updated parameters, imports and making the model left out; each in a process of its own.",
    )  # fmt: skip
    for depth in depths:
        cells: list[Any] = [f"{depth}"]
        for kind in ("jtorch", "handwritten"):
            with tempfile.TemporaryDirectory() as cache:
                for _ in ("cold", "warm"):
                    cells.append(_first_step(kind, depth, cache))
        table.row(*cells)
    return table


def _first_step(kind: str, depth: int, cache: str) -> float | str:
    own = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.05", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    env = {**os.environ, **(own if kind == "handwritten" else {"JTORCH_CACHE_DIR": cache})}
    done = subprocess.run([sys.executable, "-m", "compat.bench.first_step", kind, str(depth)], capture_output=True, text=True, env=env, timeout=900, check=False)
    lines = done.stdout.split()
    return float(lines[-1]) if done.returncode == 0 and lines else "failed"


def starts(rounds: int = 5) -> Table:
    """Seconds of small programs in fresh processes: the first start on a machine, and later ones. The least of a few for what is repeated."""
    table = Table(
        "Starts, s", ["program", "jtorch, first start", "second", "torch", "second / torch", "whole: jtorch, second", "whole: torch", "whole / torch"],
        "The first four columns leave the imports out; the whole is the process from its start to its end. Thirty calls, each looked at; three steps of a small CNN.",
    )  # fmt: skip
    for program in start.PROGRAMS:
        with tempfile.TemporaryDirectory() as cache:
            first = _start("jtorch", program, cache)[0]
            again = [_start("jtorch", program, cache) for _ in range(rounds)]
        theirs = [_start("torch", program, "0") for _ in range(rounds)]
        (a, b), (c, d) = (tuple(min(column) for column in zip(*runs, strict=True)) for runs in (again, theirs))
        table.row(program, first, a, c, a / c, b, d, b / d)
    return table


def _start(library: str, program: str, cache: str) -> tuple[float, float]:
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "compat.bench.start", library, program], capture_output=True, text=True, env={**os.environ, "JTORCH_CACHE_DIR": cache}, timeout=300, check=True
    )  # fmt: skip
    return float(done.stdout.split()[-1]), time.perf_counter() - begin


def recompilations(count: int = 200) -> Table:
    """Programs compiled in 200 steps with a learning rate that changes each step and a smaller last batch each tenth."""
    j = _jtorch()
    kept, j._config.CACHE_DIR = j._config.CACHE_DIR, "0"  # what an earlier run has left on the disk is no measure
    table = Table("Compilations in 200 steps", ["when", "jtorch"], "Learning rate changed by a scheduler each step; every tenth batch is smaller; MLP of four layers, AdamW, gradient clipping.")
    nn = j.nn
    j.manual_seed(0)
    model = nn.Sequential(*[m for _ in range(4) for m in (nn.Linear(32, 32), nn.ReLU())], nn.Linear(32, 4))
    optimizer = j.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = j.optim.lr_scheduler.CosineAnnealingLR(optimizer, count)
    data, labels = j.randn(40, 32), j.randint(0, 4, (40,))

    def step(n: int) -> None:
        size = 17 if n % 10 == 9 else 40
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(data[:size]), labels[:size])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()

    seen = Compilations()
    for n in range(20):
        step(n)
    table.row("the first 20 steps", seen.count)
    seen = Compilations()
    for n in range(20, 20 + count):
        step(n)
    next(iter(model.parameters())).detach().numpy()
    table.row(f"the next {count} steps", seen.count)
    j._config.CACHE_DIR = kept
    return table
