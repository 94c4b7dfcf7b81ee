"""The four programs that are timed, in plain torch; ``torch`` is a parameter, so that the same text runs under both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Job:
    """A model, its optimizer, its data, and one ordinary training step that returns the loss."""

    model: Any
    optimizer: Any
    step: Callable[[], Any]


@dataclass(frozen=True)
class Setup:
    """What both sides need: the data, as numpy arrays, and the optimizer's numbers."""

    name: str
    inputs: np.ndarray
    targets: np.ndarray
    options: dict[str, Any]


def setups(layers: int = 4) -> dict[str, Setup]:
    r = np.random.RandomState(0)
    ids = r.randint(0, 512, (8, 129))
    return {
        f"GPT, {layers} layers": Setup("gpt", ids[:, :-1], ids[:, 1:], {"layers": layers}),
        "MLP, 32 layers": Setup("mlp", r.randn(64, 64).astype("f4"), r.randint(0, 10, 64), {}),
        "digits CNN": Setup("cnn", r.randn(64, 1, 8, 8).astype("f4"), r.randint(0, 10, 64), {}),
        "LSTM tagger": Setup("lstm", r.randint(0, 128, (32, 64)), r.randint(0, 7, (32, 64)), {}),
    }


def compiled_setups() -> dict[str, Setup]:
    """Those whose whole step is compiled: two of so little arithmetic that the call is what costs."""
    r = np.random.RandomState(0)
    inputs, targets = r.randn(8, 16).astype("f4"), r.randint(0, 10, 8)
    small = {f"MLP, {n} layers of 16": Setup("mlp", inputs, targets, {"layers": n, "width": 16}) for n in (4, 32)}
    return {**small, "GPT, 4 layers": setups()["GPT, 4 layers"]}


def make(torch: Any, setup: Setup) -> Job:
    """Build a job in ``torch``, whichever it is, from seed 0."""
    nn, F = torch.nn, torch.nn.functional
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:  # (B, T, C)
            B, T, C = x.shape
            q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
            scores = q @ k.transpose(-2, -1) / math.sqrt(C // self.heads)  # (B, H, T, T)
            later = torch.ones(T, T, dtype=torch.bool).triu(1)
            weights = scores.masked_fill(later, float("-inf")).softmax(-1)
            x = x + self.out((weights @ v).transpose(1, 2).reshape(B, T, C))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self, vocabulary: int = 512, length: int = 128, layers: int = 4, width: int = 256, heads: int = 8) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
            for p in (self.tokens.weight, self.positions.weight, self.head.weight):
                nn.init.normal_(p, std=0.02)

        def forward(self, ids: Any) -> Any:  # (B, T)
            x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)).flatten(0, 1)  # (B * T, V)

    class MLP(nn.Module):
        def __init__(self, layers: int = 32, width: int = 64) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(layers)])
            self.out = nn.Linear(width, 10)

        def forward(self, x: Any) -> Any:  # (B, width)
            for layer in self.layers:
                x = layer(x).relu()
            return self.out(x)

    class CNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2, self.conv3 = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
            self.bn1, self.bn2 = nn.BatchNorm2d(32), nn.BatchNorm2d(64)
            self.fc1, self.fc2 = nn.Linear(1024, 64), nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:  # (B, 1, 8, 8)
            x = F.relu(self.bn1(self.conv1(x)))
            x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
            x = F.relu(self.conv3(x)).flatten(1)
            return self.fc2(F.relu(self.fc1(x)))

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(128, 48)
            self.lstm = nn.LSTM(48, 64, num_layers=2, batch_first=True, bidirectional=True)
            self.out = nn.Linear(128, 7)

        def forward(self, x: Any) -> Any:  # (B, T)
            return self.out(self.lstm(self.embed(x))[0]).flatten(0, 1)

    model = {"gpt": GPT, "mlp": MLP, "cnn": CNN, "lstm": Tagger}[setup.name](**setup.options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    x, y = torch.tensor(setup.inputs), torch.tensor(setup.targets).flatten()

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return Job(model, optimizer, step)
