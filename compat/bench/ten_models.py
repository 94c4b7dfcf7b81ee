"""Ten kinds of model beside torch, training and inference, each library in a process of its own.

``python -m compat.bench.ten_models [-k PATTERN]`` prints the table by itself. A training step reads its loss; inference, in evaluation mode under ``no_grad``, reads one number of the result.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from compat.bench import models
from compat.bench.paired import Library, command, pair, seconds, serve
from compat.bench.timing import Table

WARM, ROUNDS, TURNS = 22, 7, 3  # after some twenty steps a program's gradients come in one piece


def _residual(torch: Any) -> Any:
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
            self.conv2, self.norm2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
            self.short = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)) if stride > 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            return (self.norm2(self.conv2(self.norm1(self.conv1(x)).relu())) + self.short(x)).relu()

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), Block(32, 32, 1), Block(32, 64, 2), Block(64, 128, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)
    )  # fmt: skip


def _unet(torch: Any) -> Any:
    nn = torch.nn

    def twice(inside: int, outside: int) -> Any:
        return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1), nn.GroupNorm(4, outside), nn.SiLU(), nn.Conv2d(outside, outside, 3, padding=1), nn.SiLU())

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2, self.middle = twice(3, 24), twice(24, 48), twice(48, 96)
            self.up2, self.right2, self.up1, self.right1 = nn.ConvTranspose2d(96, 48, 2, 2), twice(96, 48), nn.ConvTranspose2d(48, 24, 2, 2), twice(48, 24)
            self.out, self.pool = nn.Conv2d(24, 3, 1), nn.MaxPool2d(2)

        def forward(self, x: Any) -> Any:
            a = self.down1(x)
            b = self.down2(self.pool(a))
            y = self.right2(torch.cat([self.up2(self.middle(self.pool(b))), b], 1))
            return self.out(self.right1(torch.cat([self.up1(y), a], 1)))

    return UNet()


def _recommender(torch: Any) -> Any:
    nn = torch.nn

    class Recommender(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleList([nn.Embedding(5000, 16) for _ in range(8)])
            self.rest = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 2))

        def forward(self, ids: Any) -> Any:
            return self.rest(torch.cat([table(ids[:, i]) for i, table in enumerate(self.tables)], 1))

    return Recommender()


def _bilinear(torch: Any) -> Any:
    nn = torch.nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v, self.o = (nn.Parameter(torch.randn(*s) / 16) for s in ((256, 8, 32), (256, 8, 32), (256, 8, 32), (8, 32, 256)))
            self.pair, self.out = nn.Parameter(torch.randn(10, 256, 32) / 64), nn.Parameter(torch.randn(256, 32) / 16)

        def forward(self, x: Any) -> Any:  # (B, T, 256)
            q, k, v = (torch.einsum("btc,chd->bhtd", x, w) for w in (self.q, self.k, self.v))
            weights = torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1)
            y = torch.einsum("bhqk,bhkd,hdc->bqc", weights, v, self.o)
            return torch.einsum("bi,oij,bj->bo", y.mean(1), self.pair, torch.einsum("bc,cj->bj", x[:, 0], self.out))

    return Attention()


def _encoder(torch: Any) -> Any:
    nn = torch.nn

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.TransformerEncoder(nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True), 4)
            self.out = nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            return self.out(self.body(x).mean(1))

    return Encoder()


def _images(*shape: int) -> Callable[[np.random.RandomState], tuple[np.ndarray, np.ndarray]]:
    return lambda r: (r.randn(*shape).astype("f4"), r.randint(0, 10, shape[0]))


# Name: (model, its data, whether the target is an image of the same shape).
MORE: dict[str, tuple[Callable[[Any], Any], Callable[[np.random.RandomState], tuple[np.ndarray, np.ndarray]], bool]] = {
    "ResNet of 8 convolutions, 32 x 32": (_residual, _images(16, 3, 32, 32), False),
    "U-Net, 32 x 32": (_unet, lambda r: (r.randn(8, 3, 32, 32).astype("f4"), r.randn(8, 3, 32, 32).astype("f4")), True),
    "transformer encoder, 4 layers": (_encoder, _images(16, 64, 128), False),
    "recommender, 8 tables": (_recommender, lambda r: (r.randint(0, 5000, (256, 8)), r.randint(0, 2, 256)), False),
    "attention by einsum": (_bilinear, _images(8, 64, 256), False),
}


def names() -> list[str]:
    """The models of the tables of steps, and these; the policy stands in the table of looks."""
    return [*models.setups(), *MORE]


def _runs(torch: Any, name: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A training step, and inference."""
    if name in MORE:
        make, data, image = MORE[name]
        torch.manual_seed(0)
        model = make(torch)
        x, y = map(torch.tensor, data(np.random.RandomState(0)))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        loss_of = torch.nn.functional.mse_loss if image else torch.nn.functional.cross_entropy

        def step() -> float:
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            return float(loss.item())
    else:
        setup = models.setups()[name]
        job = models.make(torch, setup)
        model, x = job.model, torch.tensor(setup.inputs)

        def step() -> float:
            return float(job.step().item())

    def answer() -> float:
        with torch.no_grad():
            return float(model(x).flatten()[0].item())

    def training() -> float:
        model.train()
        return step()

    def inference() -> float:
        model.eval()
        return answer()

    return training, inference


def _worker(library: str) -> None:
    """Answers (model's name, 0, or 1 for inference) with seconds, and 2 with the losses of four steps."""
    torch = importlib.import_module(library)
    known: dict[str, Any] = {}

    def answer(name: str, what: int) -> Any:
        if name not in known:
            known.clear()
            runs = _runs(torch, name)
            known[name] = runs, [runs[0]() for _ in range(4)]
        runs, losses = known[name]
        return losses if what == 2 else seconds(runs[what], WARM, ROUNDS, long=60.0)

    serve(answer)


def table(pattern: str = "") -> Table:
    """ms of a training step and of inference."""
    made = Table(
        "Models beside torch, ms (median)", ["model", "training: jtorch", "torch", "jtorch / torch", "inference: jtorch", "torch", "jtorch / torch", "losses agree"],
        "Forward, backward and AdamW, the loss read each step; inference reads one number. Each library in a process of its own, in turns.",
    )  # fmt: skip
    with Library("compat.bench.ten_models", "jtorch") as ours, Library("compat.bench.ten_models", "torch") as theirs:
        for name in names():
            if re.search(pattern, name):
                agree = np.allclose(ours(name, 2), theirs(name, 2), rtol=2e-3)
                made.row(name, *pair(ours, theirs, (name, 0), TURNS), *pair(ours, theirs, (name, 1), TURNS), "yes" if agree else "NO")
    return made


if __name__ == "__main__":
    sys.exit(command("ten_models", _worker, table))
