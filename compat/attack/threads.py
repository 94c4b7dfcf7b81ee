"""Threads on the same tensors: no gradient, row, addition, version or call of a hook is lost.

``python -m jtorch compat/attack/threads.py --threads 8 --times 1000 --rounds 20`` for jtorch, ``python compat/attack/threads.py`` for torch.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import torch


def together(count: int, work: Callable[[int], None]) -> None:
    """``work(i)`` in ``count`` threads at once. Raises the first exception of one."""
    errors: list[BaseException] = []
    ready = threading.Barrier(count)

    def run(i: int) -> None:
        try:
            ready.wait()
            work(i)
        except BaseException as e:  # noqa: BLE001 - raised below
            errors.append(e)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def one_leaf(count: int, times: int) -> None:
    """Backward passes into one leaf: every gradient counts."""
    w = torch.ones(4, requires_grad=True)

    def work(i: int) -> None:
        for k in range(times):
            (w * float(i + 1) + k).sum().backward()

    together(count, work)
    assert w.grad.tolist() == [times * count * (count + 1) / 2.0] * 4, w.grad.tolist()


def a_model(count: int, times: int) -> None:
    """The same through a model with hooks on a parameter."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    seen: list[int] = []
    model.bias.register_hook(lambda g: seen.append(1))

    def work(i: int) -> None:
        x = torch.ones(5, 3)
        for _ in range(times):
            model(x).sum().backward()

    together(count, work)
    assert model.bias.grad.tolist() == [5.0 * times * count] * 2, model.bias.grad
    assert model.weight.grad.tolist() == [[5.0 * times * count] * 3] * 2, model.weight.grad
    assert len(seen) == times * count, len(seen)


def rows(count: int, times: int) -> None:
    """Each thread writes its own rows of one tensor."""
    x = torch.zeros(count * 4, 3)

    def work(i: int) -> None:
        for k in range(times):
            r = i * 4 + k % 4
            x[r] = float(k)
            x[r].add_(1)
            if k % 50 == 0:
                x[r].sum().item()

    together(count, work)
    assert x.tolist() == [[float(times - 1 - (times - 1 - r % 4) % 4 + 1)] * 3 for r in range(count * 4)], x.tolist()


def additions(count: int, times: int) -> None:
    """Each thread adds to one tensor in place; its version counts them all."""
    x, y = torch.zeros(3), torch.zeros(2, 3)
    one = torch.ones(3)

    def work(i: int) -> None:
        for k in range(times):
            x.add_(1)
            y[0] += one
            if k % 40 == 0:
                x.sum().item()

    together(count, work)
    assert x.tolist() == [float(count * times)] * 3, x.tolist()
    assert x._version == count * times, x._version


def multi_grad_hooks(count: int, times: int) -> None:
    """A hook on several gradients is called once for each pass."""
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    calls: list[Any] = []
    torch.autograd.graph.register_multi_grad_hook((a, b), lambda grads: calls.append(grads))

    def work(i: int) -> None:
        for _ in range(times):
            (a * b * float(i + 1)).sum().backward()

    together(count, work)
    assert len(calls) == count * times, len(calls)
    assert all(g is not None for grads in calls for g in grads)
    assert a.grad.tolist() == [times * count * (count + 1) / 2.0] * 2, a.grad


def training_beside_reading(count: int, times: int) -> None:
    """One thread trains; the others read the parameters and the optimizer's state all the time."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    over = threading.Event()

    def work(i: int) -> None:
        if i == 0:
            try:
                for _ in range(times):
                    optimizer.zero_grad()
                    model(torch.ones(3, 4)).pow(2).mean().backward()
                    optimizer.step()
            finally:
                over.set()
            return
        while not over.is_set():
            for p in model.parameters():
                assert torch.isfinite(p.detach()).all().item()
            for state in list(optimizer.state.values()):
                for v in list(state.values()):
                    assert torch.isfinite(v).all().item()
            over.wait(0.002)

    together(count, work)
    steps = {float(s["step"]) for s in optimizer.state.values()}
    assert steps == {float(times)}, steps


CASES: dict[str, Callable[[int, int], None]] = {f.__name__: f for f in (one_leaf, a_model, rows, additions, multi_grad_hooks, training_beside_reading)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default="")
    args = parser.parse_args()
    sys.setswitchinterval(1e-4)
    bad = 0
    for name, case in CASES.items():
        if args.cases in name:
            failed = 0
            for _ in range(args.rounds):
                try:
                    case(args.threads, args.times)
                except BaseException as e:  # noqa: BLE001 - counted and shown
                    failed += 1
                    if failed == 1:
                        print(f"{name}: {type(e).__name__}: {str(e)[:500]}\n" + "".join(traceback.format_exception(e)[-6:])[-2500:])
            print(f"{name}: {failed} of {args.rounds} wrong", flush=True)
            bad += failed
    sys.stdout.flush()
    os._exit(1 if bad else 0)


if __name__ == "__main__":
    main()
