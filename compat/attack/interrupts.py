"""Interrupts at random moments of training: the model and its optimizer must stay whole, at the step where they stand, every time.

``python -m jtorch compat/attack/interrupts.py --seconds 3600`` for jtorch, ``python compat/attack/interrupts.py`` for torch; ``JTORCH_EAGER=1`` for the other mode.
Each model trains without interrupts first, and what it is after each step is kept. Then it trains again and again, and is interrupted once each time: by SIGINT, by SIGTERM with a
handler that saves, by an exception from another thread, by a MemoryError, by a finalizer that computes. Afterwards all parameters, buffers and state must be those of one step.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import io
import os
import random
import signal
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

STEPS = 12


class _Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))

    def forward(self, x: Any) -> Any:
        return self.body(x)


class _Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.rnn, self.out = nn.Embedding(11, 6), nn.GRU(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.out(self.rnn(self.words(x))[0][:, -1])


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True) for _ in range(2)])
        self.out = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return self.out(x.mean(1))


def _mlp() -> Any:
    return nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3))


def _two_groups(model: Any) -> Any:
    named = list(model.named_parameters())
    return torch.optim.AdamW(
        [{"params": [p for n, p in named if p.dim() > 1], "weight_decay": 0.1}, {"params": [p for n, p in named if p.dim() <= 1], "weight_decay": 0.0}], lr=1e-2, eps=1e-2
    )


MODELS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "mlp, SGD with momentum": (_mlp, lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9), lambda g: torch.randn(8, 10, generator=g)),
    "convolutions, Adam": (_Classifier, lambda m: torch.optim.Adam(m.parameters(), lr=1e-2, eps=1e-4), lambda g: torch.randn(8, 1, 6, 6, generator=g)),
    "GRU, RMSprop": (_Tagger, lambda m: torch.optim.RMSprop(m.parameters(), lr=1e-2, eps=1e-4), lambda g: torch.randint(0, 11, (8, 5), generator=g)),
    "attention, AdamW of two groups": (_Attention, _two_groups, lambda g: torch.randn(4, 5, 8, generator=g)),
}


class Run:
    """A model in training from its beginning; ``step()`` takes it one batch further, from wherever it stands."""

    def __init__(self, name: str) -> None:
        make, optimizer, batch = MODELS[name]
        torch.manual_seed(0)
        g = torch.Generator().manual_seed(1)
        self.model = make()
        self.optimizer = optimizer(self.model)
        self.batches = [(x := batch(g), torch.randint(0, 3, (len(x),), generator=g)) for _ in range(STEPS)]
        self.at = 0

    def step(self) -> None:
        x, y = self.batches[self.at % STEPS]
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.at += 1

    def whole(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Parameters and the optimizer's state in one fixed order, read from a saved copy; and the buffers, which forward changes."""
        file = io.BytesIO()
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}, file)
        found = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
        names = {n for n, _ in self.model.named_parameters()}
        parts = [v.numpy().astype(np.float64) for n, v in found["model"].items() if n in names]
        buffers = [v.numpy().astype(np.float64) for n, v in found["model"].items() if n not in names]
        for _, state in sorted(found["optimizer"]["state"].items()):
            parts += [v.detach().numpy().astype(np.float64) if isinstance(v, torch.Tensor) else np.float64(v) for _, v in sorted(state.items())]
        return parts, buffers


class Reference:
    """What a model is after each step of an undisturbed run."""

    def __init__(self, name: str) -> None:
        run = Run(name)
        self.kept = [run.whole()]
        for _ in range(STEPS):
            run.step()
            self.kept.append(run.whole())

    def stand(self, whole: tuple[list[np.ndarray], list[np.ndarray]]) -> int:
        """The step after which the model is like this. AssertionError if there is none. (A step that has begun may have changed the buffers already.)"""
        for k in range(STEPS + 1):
            parts, buffers = self.kept[k]
            after = self.kept[min(k + 1, STEPS)][1]
            found = whole[0]
            if k == 0 and not any(x.any() for x in found[len(parts) :]):  # state that has been made, and nothing is in it yet
                found = found[: len(parts)]
            if _alike(found, parts) and all(_alike([b], [c]) or _alike([b], [d]) for b, c, d in zip(whole[1], buffers, after, strict=True)):
                return k
        near = min(range(STEPS + 1), key=lambda k: _distance(whole[0], self.kept[k][0]))
        raise AssertionError(f"the model is at no step; the nearest is {near}, parts off: {_distance(whole[0], self.kept[near][0])}")


def _alike(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return _distance(a, b) == 0


def _distance(a: list[np.ndarray], b: list[np.ndarray]) -> int:
    """How many arrays differ, beyond what the order of additions does to float32."""
    if len(a) != len(b):
        return max(len(a), len(b))
    return sum(x.shape != y.shape or not np.allclose(x, y, rtol=2e-5, atol=2e-6) for x, y in zip(a, b, strict=True))


class Hit(Exception):
    """What another thread throws."""


def _throw(kind: type[BaseException]) -> Callable[[], None]:
    def throw() -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.main_thread().ident or 0), ctypes.py_object(kind))

    return throw


class _Cycle:
    """Garbage that computes when it is collected."""

    def __init__(self, done: Callable[[], None]) -> None:
        self.me, self.done = self, done

    def __del__(self) -> None:
        self.done()


def interrupted(name: str, kind: str, reference: Reference, rng: random.Random, span: float) -> None:
    """Train, be interrupted once at a random moment, and check; then go on training, and check that too."""
    cell = [Run(name)]
    for _ in range(rng.choice((0, 1, 2, 3))):
        cell[0].step()
    saved: list[Any] = []
    errors: list[BaseException] = []
    over: list[int] = []

    def look() -> None:
        try:
            saved.append(cell[0].whole())
        except BaseException as e:  # noqa: BLE001 - it is reported below
            errors.append(e)
        over.append(1)

    old = [(s, signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGTERM, lambda *_: look())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fire: dict[str, Callable[[], Any]] = {
        "SIGINT": lambda: os.kill(os.getpid(), signal.SIGINT), "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
        "exception": _throw(Hit), "MemoryError": _throw(MemoryError),
    }  # fmt: skip
    try:
        if kind in fire:
            timer = threading.Timer(rng.random() * span, fire[kind])
            timer.daemon = True
        try:
            if kind in fire:
                timer.start()
            end = time.time() + 2
            count = rng.randrange(20, 500)
            while not over and time.time() < end:
                if kind == "collection":
                    gc.set_threshold(count)
                    _Cycle(look)
                elif kind == "weakref":
                    _at_death(look)
                cell[0].step()
                if cell[0].at == STEPS:
                    cell[0] = Run(name)
        except (KeyboardInterrupt, Hit, MemoryError):
            pass
        if kind in fire:
            timer.join()
    except (KeyboardInterrupt, Hit, MemoryError):  # it came between the loop and here
        pass
    finally:
        gc.set_threshold(700, 10, 10)
        for s, h in old:
            signal.signal(s, h)
    assert not errors, f"the handler failed: {errors[0]!r}" + _where(errors[0])
    for whole in saved:
        reference.stand(whole)
    run = cell[0]
    k = reference.stand(run.whole())
    run.at = k
    for _ in range(min(2, STEPS - k)):
        run.step()
    if not any("BatchNorm" in type(m).__name__ for m in run.model.modules()):  # its statistics may have seen a batch twice
        assert reference.stand(run.whole()) == min(k + 2, STEPS), "training does not go on as it should"


def _where(e: BaseException) -> str:
    import traceback

    return "\n" + "".join(traceback.format_exception(e)[-6:])


def _at_death(done: Callable[[], None]) -> None:
    """Call ``done`` when a tensor that the model computes with is gone."""
    x = torch.ones(3) * 2
    keep.append(weakref.ref(x, lambda _: done()))
    del x


def _seconds(name: str) -> float:
    """What an undisturbed run takes."""
    start = time.perf_counter()
    run = Run(name)
    for _ in range(STEPS):
        run.step()
    run.whole()
    return time.perf_counter() - start


keep: list[Any] = []
KINDS = ("SIGINT", "SIGTERM", "exception", "MemoryError", "weakref")  # and, if asked for, "collection"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=int, default=10**9, help="interrupts at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--models", default="")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    end = time.time() + args.seconds
    references: dict[str, Reference] = {}
    spans: dict[str, float] = {}
    done: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    names = [n for n in MODELS if args.models in n]
    while time.time() < end and sum(done.values()) < args.times:
        name, kind = rng.choice(names), rng.choice(args.kinds.split(","))
        if name not in references:
            references[name] = Reference(name)
            spans[name] = min(_seconds(name) for _ in range(3))  # the first runs compile
        try:
            interrupted(name, kind, references[name], rng, spans[name])
        except Exception as e:  # noqa: BLE001 - counted and shown
            bad[f"{kind}: {name}"] += 1
            if bad[f"{kind}: {name}"] <= 2:
                print(f"{kind}: {name}: {type(e).__name__}: {str(e)[:3000]}{_where(e)[-2500:]}", flush=True)
        done[kind] += 1
    print(f"interrupts: {sum(done.values())} {dict(done)}; lost: {sum(bad.values())} {dict(bad)}")
    sys.stdout.flush()
    os._exit(1 if bad else 0)


if __name__ == "__main__":
    main()
