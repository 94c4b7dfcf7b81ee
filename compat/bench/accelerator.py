"""Everything that one look at an accelerator should settle, from one file: ``python -m compat.bench.accelerator [--small] [--out accelerator.json]``.

Run on a machine with a GPU, its own jax and (if it is there) its own torch built for it. Sections in the order of their worth; each knows how long it may take, and what does not fit into
``--minutes`` is left out and said so. One JSON and one table come of it. Without an accelerator it runs on the cpu, ``--small``.

What is measured: the three kernels (matmul, einsum, embedding) forward and backward in float32, tf32 and bfloat16 beside torch and the measured peaks; attention through
``scaled_dot_product_attention`` with each kind of mask; training steps of a GPT, a residual network and an LSTM in bfloat16 autocast, ordinary and through ``torch.compile``; memory; how
much of the host's time is hidden behind the device; and the core tests with the device as default.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jtorch

try:
    import torch
except ImportError:  # a bare machine: jtorch alone is measured
    torch = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parents[2]


class Side:
    """A library on its device: how to wait for it, and what memory it says was the most."""

    def __init__(self, lib: Any, device: str) -> None:
        self.lib, self.device = lib, device
        self.name = lib.__name__

    def wait(self, out: Any = None) -> None:
        """Until what was asked for is there. ``out``: what jtorch is to compute (it computes nothing else)."""
        if self.lib is jtorch:
            jax.block_until_ready([t.detach().__jax_array__() for t in _tensors(self.lib, out)])
        elif self.device != "cpu":
            self.lib.cuda.synchronize()

    def peak(self, reset: bool = False) -> float | None:
        """MiB. JAX cannot forget its peak, so only a rise over what came before is seen."""
        if self.lib is jtorch:
            found = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
            return None if found is None else found / 2**20
        if self.device == "cpu":
            return None
        if reset:
            self.lib.cuda.reset_peak_memory_stats()
        return self.lib.cuda.max_memory_allocated() / 2**20  # type: ignore[no-any-return]


def _tensors(lib: Any, x: Any) -> Iterator[Any]:
    if isinstance(x, lib.Tensor):
        yield x
    elif isinstance(x, (list, tuple)):
        for y in x:
            yield from _tensors(lib, y)


class Report:
    """Rows as they come, printed and kept."""

    def __init__(self, minutes: float) -> None:
        self.seconds = minutes * 60
        self.end = time.monotonic() + self.seconds
        self.rows: list[dict[str, Any]] = []
        self.left_out: list[str] = []
        self.facts: dict[str, Any] = {}

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def late(self, share: float, what: str) -> bool:
        """Whether so much of the time is gone that ``what`` must be left out, for what comes after it."""
        if self.left() > self.seconds * (1 - share):
            return False
        self.left_out.append(what)
        return True

    def row(self, section: str, name: str, **numbers: Any) -> None:
        """One measurement; the ratio of jtorch to torch is added where both are there."""
        if numbers.get("torch") and numbers.get("jtorch"):
            numbers["ratio"] = numbers["jtorch"] / numbers["torch"]
        self.rows.append({"section": section, "name": name, **numbers})
        shown = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items() if v is not None)
        print(f"  {section:10s} {name:44s} {shown}", flush=True)

    def table(self) -> str:
        """Markdown."""
        keys = list(dict.fromkeys(k for r in self.rows for k in r))
        lines = [f"{k}: {v}" for k, v in self.facts.items()] + ["", "| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
        for r in self.rows:
            lines.append("| " + " | ".join("" if r.get(k) is None else f"{r[k]:.4g}" if isinstance(r[k], float) else str(r[k]) for k in keys) + " |")
        return "\n".join(lines + ([f"\nLeft out for want of time: {', '.join(self.left_out)}"] if self.left_out else [])) + "\n"


def best(side: Side, fn: Callable[[], Any], seconds: float, most: int = 50) -> float:
    """Milliseconds of the fastest of several runs, each waited for."""
    for _ in range(3):
        side.wait(fn())
    found, end, count = math.inf, time.monotonic() + seconds, 0
    while count < 3 or (time.monotonic() < end and count < most):
        begin = time.perf_counter()
        side.wait(fn())
        found = min(found, time.perf_counter() - begin)
        count += 1
    return found * 1e3


def both(sides: list[Side], make: Callable[[Side], Callable[[], Any]], seconds: float) -> dict[str, float | str]:
    """The same on each side; what fails says so in its place and stops nothing."""
    out: dict[str, float | str] = {}
    for side in sides:
        try:
            out[side.name] = best(side, make(side), seconds)
        except Exception as error:  # noqa: BLE001 - a table with a hole in it is worth more than none
            out[side.name + " failed"] = f"{type(error).__name__}: {error}"[:200]
    return out


# ---- peaks -----------------------------------------------------------------------------------------------------------------


def peaks(report: Report, sides: list[Side], small: bool) -> None:
    """What the device does at best, by JAX alone: copies, and square products."""
    n = 1 << (20 if small else 28)
    copy = jax.jit(lambda x: x + 1)
    x = jnp.zeros(n, jnp.float32)
    raw = Side(jtorch, sides[0].device)
    raw.wait = lambda out=None: jax.block_until_ready(out)  # type: ignore[method-assign]
    ms = best(raw, lambda: copy(x), 1)
    report.facts["copy, GB/s"] = round(8 * n / ms / 1e6, 1)
    m = 512 if small else 8192
    for name, kind, precision in (("float32", jnp.float32, "highest"), ("tf32", jnp.float32, "default"), ("bfloat16", jnp.bfloat16, "default")):
        a = jnp.ones((m, m), kind)
        product = jax.jit(lambda a, b, p=precision: jnp.matmul(a, b, precision=p))
        ms = best(raw, lambda product=product, a=a: product(a, a), 1)
        report.facts[f"product, {name}, TFLOP/s"] = round(2 * m**3 / ms / 1e9, 2)


# ---- the three kernels -----------------------------------------------------------------------------------------------------


def kernel_cases(small: bool) -> dict[str, tuple[Callable[[Any, Any, Any], Any], tuple[int, ...], tuple[int, ...], float]]:
    """(function of the library and two operands, their shapes (the second's first size is a table's rows for lookups), floating operations)."""
    s = 8 if small else 1
    n, b, h, t, d, rows = 4096 // s, 16 // min(s, 4), 16 // min(s, 4), 1024 // s, 64, 1_000_000 // (s * s)
    return {
        "matmul": (lambda t, x, y: x @ y, (n, n), (n, n), 2.0 * n**3),
        "matmul, transposed": (lambda t, x, y: x @ y.T, (n, n), (n, n), 2.0 * n**3),
        "bmm": (lambda t, x, y: t.bmm(x, y), (b * h, t, d), (b * h, d, t), 2.0 * b * h * t * t * d),
        "einsum, heads": (lambda t, x, y: t.einsum("bqhd,bkhd->bhqk", x, y), (b, t, h, d), (b, t, h, d), 2.0 * b * h * t * t * d),
        "embedding": (lambda t, x, y: t.nn.functional.embedding(x, y), (16384 // s,), (rows, 128), 0.0),
        "embedding_bag": (lambda t, x, y: t.nn.functional.embedding_bag(x, y, mode="sum"), (16384 // s, 32), (rows, 128), 0.0),
    }


def kernels(report: Report, sides: list[Side], small: bool) -> None:
    """Forward and backward in three precisions, beside torch; TFLOP/s where that says something."""
    for name, (fn, first, second, operations) in kernel_cases(small).items():
        lookup = name.startswith("embedding")
        for kind in ("float32", "bfloat16") if lookup else ("float32", "tf32", "bfloat16"):
            for backward in (False, True):
                if report.late(0.35, f"{name}, {kind}"):
                    continue

                def make(side: Side, kind: str = kind, backward: bool = backward, fn: Any = fn, first: Any = first, second: Any = second, lookup: bool = lookup) -> Callable[[], Any]:
                    lib = side.lib
                    lib.set_float32_matmul_precision("high" if kind == "tf32" else "highest")
                    dtype = lib.bfloat16 if kind == "bfloat16" else lib.float32
                    lib.manual_seed(0)
                    x = lib.randint(0, second[0], first, device=side.device) if lookup else lib.ones(first, device=side.device, dtype=dtype)
                    y = lib.ones(second, device=side.device, dtype=dtype)
                    inputs = [t.requires_grad_() for t in ([y] if lookup else [x, y])] if backward else []
                    if not backward:
                        return lambda: fn(lib, x, y)
                    g = lib.ones_like(fn(lib, x, y).detach())
                    return lambda: lib.autograd.grad(fn(lib, x, y), inputs, g)

                ms = both(sides, make, 0.25 if small else 0.6)
                speed = {}
                if operations and isinstance(ms.get("jtorch"), float):
                    speed["TFLOP/s"] = operations * (3 if backward else 1) / float(ms["jtorch"]) / 1e9
                report.row("kernel", f"{name}, {kind}, {'forward and backward' if backward else 'forward'}", **ms, **speed)
    for side in sides:
        side.lib.set_float32_matmul_precision("highest")


# ---- attention -------------------------------------------------------------------------------------------------------------


def attention(report: Report, sides: list[Side], small: bool) -> None:
    """``scaled_dot_product_attention`` with each kind of mask, and ``jax.nn.dot_product_attention`` (cuDNN on a GPU) by itself."""
    b, h, t, d = (2, 4, 128, 64) if small else (8, 16, 2048, 64)

    def masks(lib: Any, device: str) -> dict[str, dict[str, Any]]:
        return {
            "no mask": {}, "causal": {"is_causal": True}, "bool mask": {"attn_mask": lib.ones(t, t, device=device, dtype=lib.bool).tril()},
            "added mask": {"attn_mask": lib.zeros(b, 1, t, t, device=device, dtype=lib.bfloat16)},
        }  # fmt: skip

    for name in masks(jtorch, "meta"):
        for backward in (False, True):
            if report.late(0.5, f"attention, {name}"):
                continue

            def make(side: Side, name: str = name, backward: bool = backward) -> Callable[[], Any]:
                lib = side.lib
                q, k, v = (lib.ones(b, h, t, d, device=side.device, dtype=lib.bfloat16).requires_grad_(backward) for _ in range(3))
                how = masks(lib, side.device)[name]

                def run() -> Any:
                    out = lib.nn.functional.scaled_dot_product_attention(q, k, v, **how)
                    return lib.autograd.grad(out.float().sum(), (q, k, v)) if backward else out

                return run

            report.row("attention", f"{name}, {'forward and backward' if backward else 'forward'}", **both(sides, make, 0.25 if small else 0.6))
    raw = Side(jtorch, sides[0].device)
    raw.wait = lambda out=None: jax.block_until_ready(out)  # type: ignore[method-assign]
    q = jnp.ones((b, t, h, d), jnp.bfloat16)
    for how in ("xla", "cudnn") if jax.default_backend() == "gpu" else ("xla",):
        try:
            fn = jax.jit(lambda q, how=how: jax.nn.dot_product_attention(q, q, q, is_causal=True, implementation=how))
            report.row("attention", f"jax.nn, {how}, causal, forward", jax=best(raw, lambda fn=fn: fn(q), 0.5))
        except Exception as error:  # noqa: BLE001 - no cuDNN, or not for this card
            report.row("attention", f"jax.nn, {how}, causal, forward", **{"jax failed": str(error)[:200]})


# ---- models ----------------------------------------------------------------------------------------------------------------


def gpt(lib: Any, device: str, small: bool) -> tuple[Any, Any, Any]:
    """GPT-2 124M: a model of tokens to logits, and a batch."""
    nn, F = lib.nn, lib.nn.functional
    layers, width, heads, vocabulary, length, batch = (2, 64, 4, 256, 32, 2) if small else (12, 768, 12, 50257, 1024, 8)

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:  # (B, T, C)
            B, T, C = x.shape
            q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, heads, C // heads).permute(2, 0, 3, 1, 4)
            x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, C))
            return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class GPT(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks, self.norm = nn.ModuleList([Block() for _ in range(layers)]), nn.LayerNorm(width)
            for table in (self.tokens, self.positions):
                nn.init.normal_(table.weight, std=0.02)

        def forward(self, ids: Any) -> Any:  # (B, T)
            x = self.tokens(ids) + self.positions(lib.arange(ids.shape[1], device=ids.device))
            for block in self.blocks:
                x = block(x)
            return (self.norm(x) @ self.tokens.weight.T).flatten(0, 1)  # (B * T, V)

    ids = np.random.RandomState(0).randint(0, vocabulary, (batch, length + 1))
    return GPT().to(device), lib.tensor(ids[:, :-1]).to(device), lib.tensor(ids[:, 1:]).flatten().to(device)


def resnet(lib: Any, device: str, small: bool) -> tuple[Any, Any, Any]:
    """ResNet-50, and a batch of images."""
    nn = lib.nn
    depths, base, size, batch = ((1, 1), 8, 32, 4) if small else ((3, 4, 6, 3), 64, 224, 64)

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, ins: int, mid: int, stride: int) -> None:
            super().__init__()
            outs = 4 * mid
            self.body = nn.Sequential(
                nn.Conv2d(ins, mid, 1, bias=False), nn.BatchNorm2d(mid), nn.ReLU(), nn.Conv2d(mid, mid, 3, stride, 1, bias=False), nn.BatchNorm2d(mid), nn.ReLU(),
                nn.Conv2d(mid, outs, 1, bias=False), nn.BatchNorm2d(outs),
            )  # fmt: skip
            same = ins == outs and stride == 1
            self.past = nn.Identity() if same else nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))

        def forward(self, x: Any) -> Any:
            return lib.relu(self.body(x) + self.past(x))

    layers = [nn.Conv2d(3, base, 7, 2, 3, bias=False), nn.BatchNorm2d(base), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    ins = base
    for k, depth in enumerate(depths):
        for i in range(depth):
            layers.append(Block(ins, base << k, 2 if i == 0 and k else 1))
            ins = 4 * base << k
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ins, 1000))
    r = np.random.RandomState(0)
    return model.to(device), lib.tensor(r.randn(batch, 3, size, size).astype("f4")).to(device), lib.tensor(r.randint(0, 1000, batch)).to(device)


def lstm(lib: Any, device: str, small: bool) -> tuple[Any, Any, Any]:
    """A tagger: embedding, two layers of LSTM, a label for each token."""
    nn = lib.nn
    width, length, batch = (32, 16, 4) if small else (512, 128, 64)

    class Tagger(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.lstm, self.out = nn.Embedding(1000, width), nn.LSTM(width, width, num_layers=2, batch_first=True), nn.Linear(width, 32)

        def forward(self, ids: Any) -> Any:  # (B, T)
            return self.out(self.lstm(self.embed(ids))[0]).flatten(0, 1)

    r = np.random.RandomState(0)
    return Tagger().to(device), lib.tensor(r.randint(0, 1000, (batch, length))).to(device), lib.tensor(r.randint(0, 32, batch * length)).to(device)


MODELS = {"GPT-2 124M": gpt, "ResNet-50": resnet, "LSTM": lstm}


def steps(report: Report, sides: list[Side], small: bool) -> None:
    """A training step in bfloat16 autocast; the host's share of it; memory; and whether the losses agree."""
    for name, build in MODELS.items():
        if not report.late(0.7, name):
            _step(report, sides, name, build, False, small)


def compiled(report: Report, sides: list[Side], small: bool) -> None:
    """The same through ``torch.compile``. Last, for nobody can say how long the compilers take; in small jtorch alone, because torch's needs minutes on a cpu."""
    for name, build in MODELS.items():
        if report.left() < (20 if small else 75):
            report.left_out.append(f"{name}, compiled")
            continue
        _step(report, sides[:1] if small else sides, f"{name}, compiled", build, True, small)


def _step(report: Report, sides: list[Side], name: str, build: Any, compiled: bool, small: bool) -> None:
    row: dict[str, Any] = {}
    for side in sides:
        try:
            row |= _one_model(side, build, compiled, small)
        except Exception as error:  # noqa: BLE001 - the other side's numbers are still worth having
            row[side.name + " failed"] = f"{type(error).__name__}: {error}"[:200]
    report.row("step", name, **row)


def _one_model(side: Side, build: Any, compiled: bool, small: bool) -> dict[str, Any]:
    lib = side.lib
    lib.manual_seed(0)
    model, x, y = build(lib, side.device, small)
    optimizer = lib.optim.AdamW(model.parameters(), lr=1e-4)
    run = lib.compile(model) if compiled else model
    before = side.peak(reset=True)

    def step() -> Any:
        optimizer.zero_grad()
        with lib.autocast(side.device.split(":")[0], dtype=lib.bfloat16):
            loss = lib.nn.functional.cross_entropy(run(x).float(), y)
        loss.backward()
        optimizer.step()
        return loss

    begin = time.perf_counter()
    losses = [step().item()]
    first = time.perf_counter() - begin
    losses += [step().item() for _ in range(4)]
    count = 3 if small else 10
    begin = time.perf_counter()
    for _ in range(count):
        loss = step()
    host = time.perf_counter() - begin  # what Python took, if the device did not hold it up
    loss.item()
    whole = time.perf_counter() - begin
    peak = side.peak()
    tag = side.name
    return {
        tag: whole / count * 1e3, f"{tag} host ms": host / count * 1e3, f"{tag} first s": first, f"{tag} loss": round(losses[-1], 4),
        f"{tag} MiB": None if peak is None else round(peak - (before or 0 if lib is jtorch else 0)),
    }  # fmt: skip


# ---- tests -----------------------------------------------------------------------------------------------------------------


def tests(report: Report, sides: list[Side], small: bool) -> None:
    """The core tests with the device as the default one, in a process of its own, as far as the time goes."""
    seconds = report.left() - (25 if small else 90)
    if seconds < 30:
        report.left_out.append("the core tests")
        return
    start = f"import sys, pytest, jtorch; jtorch.set_default_device({sides[0].device!r}); sys.exit(pytest.main(sys.argv[1:]))"
    where = ["tests/ops/test_pointwise.py"] if small else ["tests/ops", "tests/nn", "tests/autograd"]
    command = [sys.executable, "-c", start, "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=line", "-x" if small else "--maxfail=200", *where]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
        text = done.stdout
    except subprocess.TimeoutExpired as late:
        text = (late.stdout or b"").decode(errors="replace") + "\nnot finished in time"
    lines = [line for line in text.splitlines() if line.strip()]
    report.facts["tests on the device"] = lines[-1] if lines else "nothing was said"
    report.facts["tests that failed"] = [line for line in lines if line.startswith("FAILED")][:50]


SECTIONS: dict[str, Callable[[Report, list[Side], bool], None]] = {"peaks": peaks, "kernels": kernels, "attention": attention, "steps": steps, "tests": tests, "compiled": compiled}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.bench.accelerator", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--small", action="store_true", help="sizes for a cpu, to see that everything runs")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=Path("accelerator.json"))
    args = parser.parse_args()
    gpu = jax.default_backend() == "gpu"
    small = args.small or jax.default_backend() == "cpu"
    sides = [Side(jtorch, "cuda" if gpu else "cpu" if small else "xla")]
    if torch is not None and (torch.cuda.is_available() if gpu else small):
        sides.append(Side(torch, sides[0].device))
        if small:
            torch.set_num_threads(1)  # on a busy machine its threads wait for each other
    report = Report(args.minutes)
    device = jax.local_devices()[0]
    report.facts |= {
        "device": f"{device.platform}: {device.device_kind}", "python": platform.python_version(), "jax": jax.__version__,
        "torch": None if torch is None else torch.__version__, "small": small, "torch beside it": len(sides) == 2,
    }  # fmt: skip
    for name in args.only:
        if report.left() < 5:
            report.left_out.append(name)
            continue
        try:
            SECTIONS[name](report, sides, small)
        except Exception as error:  # noqa: BLE001 - what was measured before is written down all the same
            report.facts[f"{name} failed"] = f"{type(error).__name__}: {error}"
        args.out.write_text(json.dumps({"facts": report.facts, "rows": report.rows, "left out": report.left_out}, indent=1))
    text = report.table()
    args.out.with_suffix(".md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
