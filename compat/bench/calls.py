"""What a call costs where the arithmetic is small: a compiled step, and a look at a value."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch

from compat.bench import models
from compat.bench.handwritten import FORWARD, Step
from compat.bench.timing import Table, alternate

WARM = 6.0  # seconds of calls: what is called often is compiled once more, in the background
EPISODE = 20  # looks in a step of the policy


def compiled(rounds: int = 15) -> Table:
    """ms for a training step under torch.compile, beside jax.jit of the hand-written one with donated state; nothing is looked at in between."""
    import jtorch

    table = Table(
        "A compiled step, ms a call (median)", ["model", "jtorch, torch.compile", "hand-written jax.jit", "jtorch / jax.jit", "losses agree"],
        "zero_grad, forward, backward and AdamW in one call; loops of calls, of which the last loss is read.",
    )  # fmt: skip
    for name, setup in models.compiled_setups().items():
        ours = models.make(jtorch, setup)
        hand = Step(setup, {k: np.array(v.numpy()) for k, v in ours.model.state_dict().items()})
        runs = {"jtorch": jtorch.compile(ours.step), "jax": hand}
        losses = {k: [f().item() for _ in range(4)] for k, f in runs.items()}
        each = 4 if setup.name == "gpt" else 60

        def loop(f: Callable[[], Any], each: int = each) -> Callable[[], None]:
            def run() -> None:
                for _ in range(each):
                    loss = f()
                loss.item()

            return run

        loops = {k: loop(f) for k, f in runs.items()}
        begin = time.perf_counter()
        while time.perf_counter() - begin < WARM:
            loops["jtorch"]()
        ms = {k: v / each * 1e3 for k, v in alternate(loops, rounds).items()}
        agree = np.allclose(losses["jtorch"], losses["jax"], rtol=2e-4)
        table.row(name, ms["jtorch"], ms["jax"], ms["jtorch"] / ms["jax"], "yes" if agree else f"NO: {losses}")
    return table


def looks(rounds: int = 15) -> Table:
    """µs for what is looked at each time: nothing can be put off, and each program is small."""
    import jtorch

    table = Table(
        "Looks, µs each (median)", ["what is looked at", "jtorch", "torch eager", "jax.jit", "jtorch / torch"],
        f"One look a program. The policy: a network of two layers draws {EPISODE} actions from Categorical, each one read; then backward and Adam; time for each action.",
    )  # fmt: skip
    x = np.linspace(-1, 1, 16, dtype="f4").reshape(4, 4)
    on_jax = jax.numpy.asarray(x)
    squares = jax.jit(lambda a: (a * a).sum())

    def times(f: Callable[[], Any], count: int = 200) -> Callable[[], None]:
        def run() -> None:
            for _ in range(count):
                f()

        return run

    a, b = jtorch.tensor(x), torch.tensor(x)
    t = alternate(
        {"jtorch": times(lambda: (a * a).sum().item()), "torch": times(lambda: (b * b).sum().item()), "jax": times(lambda: squares(on_jax).item())}, rounds, 3
    )
    _row(table, "two operators: (x * x).sum().item()", t, 200)

    setup = models.Setup("mlp", x, np.zeros(4, int), {"layers": 2, "width": 4})
    nets = {"jtorch": models.make(jtorch, setup).model, "torch": models.make(torch, setup).model}
    params = {k: jax.numpy.array(v.numpy()) for k, v in nets["torch"].state_dict().items()}
    forward = jax.jit(lambda p, a: FORWARD["mlp"](p, {}, a, layers=2)[0].argmax())

    def classify(lib: Any, net: Any, given: Any) -> Callable[[], Any]:
        def run() -> Any:
            with lib.no_grad():
                return net(given).argmax().item()

        return run

    t = alternate(
        {
            "jtorch": times(classify(jtorch, nets["jtorch"], a)),
            "torch": times(classify(torch, nets["torch"], b)),
            "jax": times(lambda: forward(params, on_jax).item()),
        },
        rounds,
        3,
    )
    _row(table, "a network's answer: model(x).argmax().item()", t, 200)

    t = alternate({"jtorch": _policy(jtorch), "torch": _policy(torch)}, rounds, 4)
    _row(table, "an action of a policy that is trained", t, EPISODE * 5)
    t = alternate({"jtorch": _policy(jtorch, jtorch.compile), "torch": _policy(torch)}, rounds, 4)
    _row(table, "the same, what chooses it under torch.compile in jtorch", t, EPISODE * 5)
    return table


def _row(table: Table, name: str, seconds: dict[str, float], count: int) -> None:
    us = {k: v / count * 1e6 for k, v in seconds.items()}
    table.row(name, us["jtorch"], us["torch"], us.get("jax", ""), us["jtorch"] / us["torch"])


def _policy(lib: Any, compiled: Callable[[Any], Any] = lambda fn: fn) -> Callable[[], None]:
    """Five steps of REINFORCE. ``compiled``: what is made of the function that draws an action."""
    lib.manual_seed(0)
    nn, Categorical = lib.nn, lib.distributions.Categorical
    net = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = lib.optim.Adam(net.parameters(), lr=1e-3)

    @compiled
    def act(state: Any) -> Any:
        choice = Categorical(logits=net(state))
        action = choice.sample()
        return action, choice.log_prob(action)

    def episode() -> None:
        state, kept = [0.1, 0.0, -0.1, 0.0], []
        for _ in range(EPISODE):
            action, log = act(lib.tensor(state))
            kept.append(log)
            state = [0.9 * s + 0.1 * (action.item() - 0.5) for s in state]
        optimizer.zero_grad()
        (-lib.stack(kept).mean() * state[0]).backward()
        optimizer.step()

    def run() -> None:
        for _ in range(5):
            episode()

    return run
