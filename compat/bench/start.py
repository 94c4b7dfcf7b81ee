"""One small program in a process of its own: ``python -m compat.bench.start torch|jtorch notebook|cnn`` prints the seconds from after the imports to its end."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any


def notebook(t: Any) -> None:
    """Thirty calls, each looked at."""
    F = t.nn.functional
    x = t.randn(3, 4)
    for call in (
        lambda: t.arange(12).reshape(3, 4), lambda: x.sum(), lambda: x.mean(0), lambda: x @ x.T, lambda: x[1], lambda: x[:, 1:3], lambda: x * 2 + 1, lambda: t.cat([x, x]),
        lambda: t.softmax(x, -1), lambda: x.std(), lambda: x.max(1), lambda: t.linspace(0, 1, 5), lambda: t.eye(3), lambda: x.exp(), lambda: x > 0, lambda: x[x > 0],
        lambda: t.where(x > 0, x, t.zeros_like(x)), lambda: x.argmax(), lambda: t.sort(x, 1), lambda: x.t().contiguous(), lambda: t.relu(x), lambda: x.view(-1),
        lambda: x.unsqueeze(0).expand(2, 3, 4), lambda: t.stack([x, x]), lambda: x.norm(), lambda: F.one_hot(t.tensor([0, 2, 1])), lambda: t.nn.Linear(4, 2)(x),
        lambda: x.cumsum(0), lambda: t.einsum("ij,kj->ik", x, x), lambda: x.abs().log().sum(),
    ):  # fmt: skip
        repr(call())


def cnn(t: Any) -> None:
    """Three steps of a small convolutional net."""
    nn = t.nn
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)
    )  # fmt: skip
    optimizer = t.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(3):
        x, y = t.randn(16, 1, 28, 28), t.randint(0, 10, (16,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()


PROGRAMS = {"notebook": notebook, "cnn": cnn}


def main() -> int:
    library, program = sys.argv[1:3]
    t: Any = importlib.import_module(library)
    t.manual_seed(0)
    begin = time.perf_counter()
    PROGRAMS[program](t)
    print(time.perf_counter() - begin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
