"""Seconds to the first training step of six real models, nothing compiled before: jtorch's ordinary loop, ``jax.jit`` of the whole step, ``torch.compile`` of the model.

``python -m compat.bench.big_models [-k PATTERN]`` prints the table by itself; each figure is of a process of its own, whose cache is empty. ``jax.jit`` compiles the same model's functions
(``func.functional_call`` and ``grad``) with AdamW written out and the state donated: forward, backward and update as one program.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from compat.bench.timing import Table

COLUMNS = ("jtorch", "jax", "compile")
LIMIT = 900  # seconds of one figure
Given = tuple[Any, tuple[Any, ...], Callable[[Any], Any]]  # the model, its inputs, the loss of its output


def _resnet(torch: Any) -> Given:
    """ResNet-50 (He et al., 2015), images of 64 x 64."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inside: int, width: int, stride: int) -> None:
            super().__init__()
            conv = lambda i, o, k, s=1: nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, bias=False), nn.BatchNorm2d(o))
            self.a, self.b, self.c = conv(inside, width, 1), conv(width, width, 3, stride), conv(width, 4 * width, 1)
            self.short = conv(inside, 4 * width, 1, stride) if stride > 1 or inside != 4 * width else nn.Identity()

        def forward(self, x: Any) -> Any:
            return (self.c(self.b(self.a(x).relu()).relu()) + self.short(x)).relu()

    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inside = 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for k in range(count):
            layers.append(Block(inside, width, stride if k == 0 else 1))
            inside = 4 * width
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, 1000))
    x, y = _images(torch, 4, 64, 1000)
    return model, (x,), lambda out: nn.functional.cross_entropy(out, y)


def _images(torch: Any, count: int, size: int, classes: int) -> tuple[Any, Any]:
    r = np.random.RandomState(0)
    return torch.tensor(r.randn(count, 3, size, size).astype("f4")), torch.tensor(r.randint(0, classes, count))


def _vit(torch: Any) -> Given:
    """ViT-B/16 (Dosovitskiy et al., 2020), one image of 224 x 224."""
    nn = torch.nn

    class ViT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 768, 16, 16)
            self.first, self.places = nn.Parameter(torch.zeros(1, 1, 768)), nn.Parameter(torch.randn(1, 197, 768) * 0.02)
            layer = lambda: nn.TransformerEncoderLayer(768, 12, 3072, 0.0, "gelu", batch_first=True, norm_first=True)
            self.body = nn.Sequential(*[layer() for _ in range(12)], nn.LayerNorm(768))
            self.head = nn.Linear(768, 1000)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            return self.head(self.body(torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.places)[:, 0])

    x, y = _images(torch, 1, 224, 1000)
    return ViT(), (x,), lambda out: nn.functional.cross_entropy(out, y)


def _ids(torch: Any, count: int, length: int, vocabulary: int) -> Any:
    return torch.tensor(np.random.RandomState(0).randint(0, vocabulary, (count, length)))


def _attention(torch: Any, width: int, heads: int) -> Any:
    """Multi-head attention by itself: (x, y, mask or bias, causal) of x to y."""
    nn = torch.nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
            self.o = nn.Linear(width, width, bias=False)

        def forward(self, x: Any, y: Any, bias: Any = None, causal: bool = False) -> Any:
            split = lambda t: t.unflatten(-1, (heads, -1)).transpose(1, 2)
            out = nn.functional.scaled_dot_product_attention(split(self.q(x)), split(self.k(y)), split(self.v(y)), bias, is_causal=causal)
            return self.o(out.transpose(1, 2).flatten(2))

    return Attention()


def _gpt2(torch: Any) -> Given:
    """GPT-2 of 124 million parameters (Radford et al., 2019), 128 tokens."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2, self.attention = nn.LayerNorm(768), nn.LayerNorm(768), _attention(torch, 768, 12)
            self.mlp = nn.Sequential(nn.Linear(768, 3072), nn.GELU("tanh"), nn.Linear(3072, 768))

        def forward(self, x: Any) -> Any:
            y = self.norm1(x)
            x = x + self.attention(y, y, causal=True)
            return x + self.mlp(self.norm2(x))

    class GPT2(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(50257, 768), nn.Embedding(1024, 768)
            self.blocks, self.norm = nn.Sequential(*[Block() for _ in range(12)]), nn.LayerNorm(768)

        def forward(self, ids: Any) -> Any:
            x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
            return self.norm(self.blocks(x)) @ self.tokens.weight.T

    ids = _ids(torch, 1, 129, 50257)
    return GPT2(), (ids[:, :-1],), lambda out: nn.functional.cross_entropy(out.flatten(0, 1), ids[:, 1:].flatten())


def _unet(torch: Any) -> Given:
    """The U-Net of a diffusion model (Ho et al., 2020): three levels of 128 to 256 channels, two blocks each, attention below; images of 32 x 32."""
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, inside: int, outside: int, attends: bool) -> None:
            super().__init__()
            self.norm1, self.conv1, self.time = nn.GroupNorm(32, inside), nn.Conv2d(inside, outside, 3, 1, 1), nn.Linear(512, outside)
            self.norm2, self.conv2 = nn.GroupNorm(32, outside), nn.Conv2d(outside, outside, 3, 1, 1)
            self.short = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()
            self.attention = _attention(torch, outside, 4) if attends else None

        def forward(self, x: Any, time: Any) -> Any:
            y = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
            x = self.short(x) + self.conv2(F.silu(self.norm2(y)))
            if self.attention is not None:
                flat = x.flatten(2).transpose(1, 2)
                x = x + self.attention(flat, flat).transpose(1, 2).reshape(x.shape)
            return x

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = (128, 256, 256)
            self.time, self.first, self.last = nn.Sequential(nn.Linear(128, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU()), nn.Conv2d(3, 128, 3, 1, 1), nn.Conv2d(128, 3, 3, 1, 1)
            self.down, self.up, self.smaller, self.larger = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
            kept, inside = [128], 128
            for k, width in enumerate(widths):
                for _ in range(2):
                    self.down.append(Block(inside, width, k > 0))
                    inside = width
                    kept.append(inside)
                if k < 2:
                    self.smaller.append(nn.Conv2d(inside, inside, 3, 2, 1))
                    kept.append(inside)
            self.middle = Block(inside, inside, True)
            for k, width in reversed(list(enumerate(widths))):
                for _ in range(3):
                    self.up.append(Block(inside + kept.pop(), width, k > 0))
                    inside = width
                if k:
                    self.larger.append(nn.Conv2d(inside, inside, 3, 1, 1))

        def forward(self, x: Any, t: Any) -> Any:
            angles = t[:, None] * torch.exp(-torch.arange(64) / 64 * 9.21)
            time = self.time(torch.cat([angles.sin(), angles.cos()], 1))
            x = self.first(x)
            kept = [x]
            for i, block in enumerate(self.down):
                x = block(x, time)
                kept.append(x)
                if i in (1, 3):
                    x = self.smaller[i // 2](x)
                    kept.append(x)
            x = self.middle(x, time)
            for i, block in enumerate(self.up):
                x = block(torch.cat([x, kept.pop()], 1), time)
                if i in (2, 5):
                    x = self.larger[i // 3](F.interpolate(x, scale_factor=2.0))
            return self.last(F.silu(x))

    x, _ = _images(torch, 2, 32, 10)
    return UNet(), (x, torch.tensor([10.0, 500.0])), lambda out: F.mse_loss(out, x)


def _t5(torch: Any) -> Given:
    """T5-small (Raffel et al., 2019): six layers of an encoder and of a decoder, 512 wide, relative positions; 64 tokens."""
    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self, crosses: bool) -> None:
            super().__init__()
            self.own, self.cross = _attention(torch, 512, 8), _attention(torch, 512, 8) if crosses else None
            self.norms = nn.ModuleList([nn.RMSNorm(512) for _ in range(3 if crosses else 2)])
            self.mlp = nn.Sequential(nn.Linear(512, 2048, bias=False), nn.ReLU(), nn.Linear(2048, 512, bias=False))

        def forward(self, x: Any, bias: Any, memory: Any = None) -> Any:
            y = self.norms[0](x)
            x = x + self.own(y, y, bias)
            if self.cross is not None:
                x = x + self.cross(self.norms[1](x), memory)
            return x + self.mlp(self.norms[-1](x))

    class T5(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(32128, 512)
            self.bias = nn.ModuleList([nn.Embedding(32, 8) for _ in range(2)])
            self.encoder, self.decoder = nn.ModuleList([Layer(False) for _ in range(6)]), nn.ModuleList([Layer(True) for _ in range(6)])
            self.norms = nn.ModuleList([nn.RMSNorm(512) for _ in range(2)])

        def forward(self, ids: Any) -> Any:
            at = torch.arange(ids.shape[1])
            far = (at[None] - at[:, None]).clamp(-16, 15) + 16
            x = y = self.tokens(ids)
            bias, causal = (table(far).permute(2, 0, 1)[None] for table in self.bias)
            causal = causal.masked_fill(at[None] > at[:, None], float("-inf"))
            for layer in self.encoder:
                x = layer(x, bias)
            x = self.norms[0](x)
            for layer in self.decoder:
                y = layer(y, causal, x)
            return self.norms[1](y) * 512**-0.5 @ self.tokens.weight.T

    ids = _ids(torch, 2, 64, 32128)
    return T5(), (ids,), lambda out: nn.functional.cross_entropy(out.flatten(0, 1), ids.roll(1, 1).flatten())


def _lstm(torch: Any) -> Given:
    """An LSTM language model of two layers, 100 steps."""
    nn = torch.nn

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.lstm, self.head = nn.Embedding(1000, 128), nn.LSTM(128, 256, 2, batch_first=True), nn.Linear(256, 1000)

        def forward(self, ids: Any) -> Any:
            return self.head(self.lstm(self.tokens(ids))[0])

    ids = _ids(torch, 8, 100, 1000)
    return Tagger(), (ids,), lambda out: nn.functional.cross_entropy(out.flatten(0, 1), ids.flatten())


MODELS: dict[str, Callable[[Any], Given]] = {
    "ResNet-50": _resnet, "ViT-B/16": _vit, "GPT-2, 124M": _gpt2, "U-Net of a diffusion model": _unet, "T5-small": _t5, "LSTM, 100 steps": _lstm,
}  # fmt: skip


def _ordinary(torch: Any, given: Given, compiled: bool) -> list[tuple[float, float]]:
    """(seconds, loss) of steps of the ordinary loop."""
    model, inputs, loss_of = given
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    found = []
    for _ in range(3):
        begin = time.perf_counter()
        optimizer.zero_grad()
        loss = loss_of(run(*inputs))
        loss.backward()
        optimizer.step()
        shown = loss.item()
        next(iter(model.parameters())).detach().flatten()[0].item()
        found.append((time.perf_counter() - begin, shown))
    return found


def _jitted(torch: Any, given: Given) -> list[tuple[float, float]]:
    """The same of one jitted step on the model's functions."""
    import jax

    import jtorch.interop  # noqa: F401 - tensors are trees of JAX's

    model, inputs, loss_of = given
    state = {k: p.detach() for k, p in model.named_parameters()}
    buffers = {k: b.detach() for k, b in model.named_buffers()}
    first, second = ({k: torch.zeros_like(p) for k, p in state.items()} for _ in range(2))

    def loss(state: Any, buffers: Any) -> Any:
        return loss_of(torch.func.functional_call(model, (state, buffers), inputs))

    def step(state: Any, first: Any, second: Any, buffers: Any, count: Any) -> Any:
        grads, value = torch.func.grad_and_value(loss)(state, buffers)
        first = {k: m.lerp(grads[k], 0.1) for k, m in first.items()}
        second = {k: v * 0.999 + grads[k] * grads[k] * 0.001 for k, v in second.items()}
        rate, root = 1e-4 / (1 - 0.9**count), (1 - 0.999**count) ** 0.5
        new = {k: p * (1 - 1e-6) - rate * first[k] / (second[k].sqrt() / root + 1e-8) for k, p in state.items()}
        return new, first, second, buffers, value

    for t in (*state.values(), *first.values(), *second.values(), *buffers.values()):
        t.numpy()  # there, as in a program that has made its model
    run = jax.jit(step, donate_argnums=(0, 1, 2))
    found = []
    for n in range(1, 4):
        begin = time.perf_counter()
        state, first, second, buffers, value = run(state, first, second, buffers, torch.tensor(float(n)))
        shown = float(value)
        found.append((time.perf_counter() - begin, shown))
    return found


def _one(column: str, name: str) -> None:
    torch = importlib.import_module("torch" if column == "compile" else "jtorch")
    torch.manual_seed(0)
    given = MODELS[name](torch)
    given[0].train()
    print(json.dumps(_jitted(torch, given) if column == "jax" else _ordinary(torch, given, column == "compile")))


def _asked(column: str, name: str) -> Any:
    """The steps as a fresh process makes them; None if it did not come to its end."""
    with tempfile.TemporaryDirectory() as folder:
        around = {**os.environ, "JTORCH_CACHE_DIR": f"{folder}/j", "TORCHINDUCTOR_CACHE_DIR": f"{folder}/t", "PYTHONWARNINGS": "ignore"}
        try:
            done = subprocess.run([sys.executable, "-m", "compat.bench.big_models", "--one", column, name], env=around, capture_output=True, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            return None
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def table(pattern: str = "") -> Table:
    """Seconds of each first step, and of the second in brackets."""
    made = Table(
        "Time to the first step of real models, s", ["model", "jtorch", "jax.jit", "torch.compile", "jtorch / jax.jit", "jtorch / torch.compile", "losses agree"],
        "Cold: nothing is kept from before, each in a process of its own, imports and making the model left out. Forward, backward and AdamW; the second step in brackets. torch.compile compiles the model (it leaves an LSTM as it is); the first losses are compared.",
    )  # fmt: skip
    for name in MODELS:
        if re.search(pattern, name):
            found = {column: _asked(column, name) for column in COLUMNS}
            cells = [f"{f[0][0]:.2f} ({f[1][0]:.2f})" if f else "did not end" for f in found.values()]
            ours = found["jtorch"]
            over = [f"{ours[0][0] / f[0][0]:.2f}" if f and ours else "" for f in (found["jax"], found["compile"])]
            agree = ours and all([np.isclose(f[0][1], ours[0][1], rtol=1e-4) for f in found.values() if f])  # the first: statistics over four images take later ones apart, by rounding alone
            made.row(name, *cells, *over, "yes" if agree else f"NO: {found}")
    return made


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("-k", default="", help="models whose names match")
    asked.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.one:
        _one(*options.one)
    else:
        print("\n" + table(options.k).markdown())
