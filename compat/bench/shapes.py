"""Loops whose sizes change with every step: seconds of the first and of the second pass, beside torch eager, and how many programs were compiled.

``torch`` is a parameter, so that the same text runs under both.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from compat.bench.timing import Compilations, Table

__all__ = ["changing_sizes"]

Batch = tuple[np.ndarray, ...]


def _gpt(t: Any, layers: int, width: int, longest: int) -> Any:
    F = t.nn.functional

    class Block(t.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.n1, self.n2 = t.nn.LayerNorm(width), t.nn.LayerNorm(width)
            self.qkv, self.out = t.nn.Linear(width, 3 * width), t.nn.Linear(width, width)
            self.up, self.down = t.nn.Linear(width, 4 * width), t.nn.Linear(4 * width, width)

        def forward(self, x: Any, past: Any = None) -> Any:
            b, n, _ = x.shape
            q, k, v = [z.view(b, n, 4, width // 4).transpose(1, 2) for z in self.qkv(self.n1(x)).split(width, 2)]
            if past is not None:
                k, v = t.cat([past[0], k], 2), t.cat([past[1], v], 2)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
            x = x + self.out(y.transpose(1, 2).contiguous().view(b, n, width))
            return x + self.down(F.gelu(self.up(self.n2(x)))), (k, v)

    class GPT(t.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.place = t.nn.Embedding(256, width), t.nn.Embedding(longest, width)
            self.blocks, self.head = t.nn.ModuleList([Block() for _ in range(layers)]), t.nn.Linear(width, 256, bias=False)

        def forward(self, x: Any, pasts: Any = None, at: int = 0) -> Any:
            h, kept = self.embed(x) + self.place(t.arange(at, at + x.shape[1])), []
            for block, past in zip(self.blocks, pasts or [None] * layers, strict=True):
                h, kv = block(h, past)
                kept.append(kv)
            return self.head(h), kept

    return GPT()


def _loop(t: Any, model: Any, loss_of: Callable[..., Any], batches: Sequence[Batch]) -> Callable[[], list[float]]:
    optimizer = t.optim.AdamW(model.parameters(), 1e-3)

    def run() -> list[float]:
        losses = []
        for batch in batches:
            optimizer.zero_grad()
            loss = loss_of(*[t.tensor(a) for a in batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return run


def gpt(t: Any, lengths: Sequence[int], r: np.random.RandomState) -> Callable[[], list[float]]:
    model = _gpt(t, 4, 256, max(lengths) + 1)
    texts = [r.randint(0, 256, (4, n + 1)) for n in lengths]
    return _loop(t, model, lambda x, y: t.nn.functional.cross_entropy(model(x)[0].view(-1, 256), y.reshape(-1)), [(a[:, :-1], a[:, 1:]) for a in texts])


def lstm(t: Any, lengths: Sequence[int], r: np.random.RandomState) -> Callable[[], list[float]]:
    embed, cell, head = t.nn.Embedding(256, 64), t.nn.LSTM(64, 128, 2, batch_first=True), t.nn.Linear(128, 256)
    model = t.nn.ModuleList([embed, cell, head])
    texts = [r.randint(0, 256, (4, n + 1)) for n in lengths]
    return _loop(t, model, lambda x, y: t.nn.functional.cross_entropy(head(cell(embed(x))[0]).view(-1, 256), y.reshape(-1)), [(a[:, :-1], a[:, 1:]) for a in texts])


def graphs(t: Any, lengths: Sequence[int], r: np.random.RandomState) -> Callable[[], list[float]]:
    F = t.nn.functional
    first, second, last = t.nn.Linear(16, 64), t.nn.Linear(64, 64), t.nn.Linear(64, 1)

    def loss(x: Any, source: Any, target: Any, y: Any) -> Any:
        h = F.relu(first(x))
        h = h + F.relu(second(t.zeros_like(h).index_add(0, target, h[source])))
        return F.mse_loss(last(h), y)

    batches = []
    for n in lengths:
        m = 3 * n + r.randint(0, n + 1)
        batches.append((r.randn(n, 16).astype("f"), r.randint(0, n, m), r.randint(0, n, m), r.randn(n, 1).astype("f")))
    return _loop(t, t.nn.ModuleList([first, second, last]), loss, batches)


def signals(t: Any, lengths: Sequence[int], r: np.random.RandomState) -> Callable[[], list[float]]:
    F = t.nn.functional
    first, norm, second, last = t.nn.Conv1d(4, 32, 5, padding=2), t.nn.BatchNorm1d(32), t.nn.Conv1d(32, 64, 5, padding=2), t.nn.Linear(64, 10)

    def loss(x: Any, y: Any) -> Any:
        h = F.max_pool1d(F.relu(norm(first(x))), 2)
        return F.cross_entropy(last(F.relu(second(h)).mean(2)), y)

    return _loop(t, t.nn.ModuleList([first, norm, second, last]), loss, [(r.randn(8, 4, n + 8).astype("f"), r.randint(0, 10, 8)) for n in lengths])


def generation(t: Any, lengths: Sequence[int], r: np.random.RandomState) -> Callable[[], list[float]]:
    """As many tokens as there are lengths, each looked at, over a cache that grows by one."""
    model = _gpt(t, 4, 256, len(lengths) + 64)

    def run() -> list[float]:
        x, pasts, at, out = t.tensor(r.randint(0, 256, (1, int(r.randint(8, 64))))), None, 0, []
        with t.no_grad():
            for _ in lengths:
                logits, pasts = model(x, pasts, at)
                at += x.shape[1]
                x = logits[:, -1:].argmax(-1)
                out.append(float(x.item()))
        return out

    return run


PROGRAMS = {"GPT": gpt, "LSTM": lstm, "graph network": graphs, "1-d convolutions": signals, "generation": generation}


def changing_sizes(pattern: str = "", count: int = 200, longest: int = 512) -> Table:
    """Seconds of two passes over batches of random length, of the programs whose name has this pattern."""
    import jtorch

    table = Table(
        f"Sizes that change: {count} steps of length 1 to {longest}, s", ["program", "jtorch, first pass", "second", "programs", "torch, first pass", "second", "first / torch", "second / torch"],
        "Forward, backward and AdamW, the loss read each step; compiling included. Generation: so many tokens over a growing cache, the second pass another prompt.",
    )  # fmt: skip
    lengths = [int(n) for n in np.random.RandomState(1).randint(1, longest + 1, count)]
    for name in [p for p in PROGRAMS if re.search(pattern, p)]:
        found = {}
        for side, t in (("jtorch", jtorch), ("torch", torch)):
            t.manual_seed(0)
            run, compiled = PROGRAMS[name](t, lengths, np.random.RandomState(0)), Compilations()
            times = []
            for _ in range(2):
                begin = time.perf_counter()
                run()
                times.append(time.perf_counter() - begin)
            found[side] = (*times, compiled.count)
        (a, b, n), (c, d, _) = found["jtorch"], found["torch"]
        table.row(name, a, b, n, c, d, a / c, b / d)
    return table
