"""Single kernels at three sizes beside torch, forward and with gradients, and what the machine's own limits would allow.

``python -m compat.bench.kernels [-k PATTERN]`` prints the table by itself. Each library has a process of its own (what one frees and takes changes what the other's memory
costs), and they take turns. Each call's results are waited for; a call of jtorch is recorded anew each time, as in a program, and costs what a look costs. The floor is the larger of the arithmetic at the measured rate of a matrix product and the bytes at the measured rate of a copy.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compat.bench.paired import Library, command, pair, seconds, serve
from compat.bench.timing import Table

Shape = tuple[int, ...]
WARM, ROUNDS, TURNS = 15, 7, 1  # calls that are not counted, calls that are, and how often each library has its turn (one after the other, kernel by kernel)


@dataclass(frozen=True)
class Kernel:
    """``run(torch, *inputs)``. ``sizes``: the shapes of the inputs, three times; ``ints``: the bound of an input of whole numbers, by its place (0: the size of
    another input's first dim); ``work``: multiplications and additions, of the shapes; ``grad``: whether it is also measured with its gradients."""

    name: str
    run: Callable[..., Any]
    sizes: Sequence[Sequence[Shape]]
    ints: tuple[tuple[int, int], ...] = ()
    work: Callable[[Sequence[Shape]], float] | None = None
    grad: bool = True


def _mm(s: Sequence[Shape]) -> float:
    return 2.0 * math.prod(s[0]) * s[1][-1]


def _conv(s: Sequence[Shape]) -> float:
    return 2.0 * s[0][0] * math.prod(s[0][2:]) * math.prod(s[1])


_SQUARES = [(256, 256), (1024, 1024), (2048, 2048)]
_PAIRS = [[a, a] for a in _SQUARES]
_ROWS = [[(512, 256)], [(2048, 512)], [(4096, 1024)]]
_WIDE = [[(64, 1000)], [(256, 10000)], [(256, 50000)]]
_FLAT = [[(1 << 16,)], [(1 << 20,)], [(1 << 22,)]]
_TWO = [[a[0], a[0]] for a in _FLAT]
_HEADS = [[(4, 4, 64, 32)] * 3, [(4, 8, 256, 64)] * 3, [(2, 8, 1024, 64)] * 3]
_IMAGES = [[(16, 16, 16, 16)], [(32, 32, 32, 32)], [(16, 64, 64, 64)]]


def _images(*weight: int) -> list[list[Shape]]:
    """Images with weights of (out / channels, in / channels, ...kernel) for the channels that they have."""
    return [[x, (x[1] * weight[0], max(x[1] // weight[1], 1), *weight[2:])] for (x,) in _IMAGES]


def kernels() -> list[Kernel]:
    """All of them, by kind."""
    found: list[Kernel] = []

    def add(name: str, run: Callable[..., Any], sizes: Sequence[Sequence[Shape]], **options: Any) -> None:
        found.append(Kernel(name, run, sizes, **options))

    # products
    add("a @ b", lambda t, a, b: a @ b, _PAIRS, work=_mm)
    add("a @ b.T", lambda t, a, b: a @ b.T, _PAIRS, work=_mm)
    add("a.T @ b", lambda t, a, b: a.T @ b, _PAIRS, work=_mm)
    add("matrix @ vector", lambda t, a, b: a @ b, [[s, s[:1]] for s in _SQUARES])
    add("linear with bias", lambda t, x, w, b: t.nn.functional.linear(x, w, b), [[(128, 256), (256, 256), (256,)], [(1024, 512), (1024, 512), (1024,)], [(4096, 512), (2048, 512), (2048,)]],
        work=lambda s: 2.0 * math.prod(s[0]) * s[1][0])  # fmt: skip
    add("bmm", lambda t, a, b: t.bmm(a, b), [[(32, 64, 64)] * 2, [(32, 128, 128)] * 2, [(64, 256, 256)] * 2], work=_mm)
    add("einsum bilinear bi,oij,bj->bo", lambda t, a, w, b: t.einsum("bi,oij,bj->bo", a, w, b), [[(32, 32), (32, 32, 32), (32, 32)], [(64, 64), (64, 64, 64), (64, 64)], [(128, 128), (128, 128, 128), (128, 128)]],
        work=lambda s: 2.0 * s[0][0] * math.prod(s[1]))  # fmt: skip
    add("einsum attention bqhd,bkhd->bhqk", lambda t, q, k: t.einsum("bqhd,bkhd->bhqk", q, k), [[(4, 64, 4, 32)] * 2, [(4, 256, 8, 64)] * 2, [(2, 1024, 8, 64)] * 2], work=lambda s: 2.0 * math.prod(s[0]) * s[1][1])
    add("einsum outer bi,bj->bij", lambda t, a, b: t.einsum("bi,bj->bij", a, b), [[(64, 64)] * 2, [(128, 128)] * 2, [(256, 256)] * 2])
    add("attention", lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(q, k, v), _HEADS, work=lambda s: 4.0 * math.prod(s[0]) * s[0][2])
    add("attention, causal", lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True), _HEADS, work=lambda s: 4.0 * math.prod(s[0]) * s[0][2])
    # rows of tables
    tables = [[(1000, 64), (32, 32)], [(100_000, 64), (64, 64)], [(1_000_000, 64), (64, 128)]]
    add("embedding", lambda t, w, i: t.nn.functional.embedding(i, w), tables, ints=((1, 0),), grad=False)
    add("embedding, its gradient summed", lambda t, w, i: t.nn.functional.embedding(i, w), tables[:2], ints=((1, 0),))
    add("embedding bag, mean", lambda t, w, i: t.nn.functional.embedding_bag(i, w), tables[:2], ints=((1, 0),))
    add("gather", lambda t, x, i: x.gather(1, i), [[s, s] for s in _SQUARES], ints=((1, 256),))
    add("index_select", lambda t, x, i: x.index_select(0, i), [[s, s[:1]] for s in _SQUARES], ints=((1, 0),))
    add("index_add", lambda t, x, i, y: x.index_add(0, i, y), [[s, s[:1], s] for s in _SQUARES], ints=((1, 0),))
    add("scatter_add", lambda t, x, i, y: x.scatter_add(0, i, y), [[s, s, s] for s in _SQUARES[:2]], ints=((1, 256),))
    # losses and norms
    add("cross entropy", lambda t, x, y: t.nn.functional.cross_entropy(x, y), [[s[0], s[0][:1]] for s in _WIDE], ints=((1, 1000),))
    add("mse loss", lambda t, x, y: t.nn.functional.mse_loss(x, y), _TWO)
    add("binary cross entropy of logits", lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(x, t.sigmoid(y.detach())), _TWO)
    add("softmax", lambda t, x: t.softmax(x, -1), _ROWS)
    add("log_softmax", lambda t, x: t.log_softmax(x, -1), _ROWS)
    add("logsumexp", lambda t, x: t.logsumexp(x, -1), _ROWS)
    add("layer norm", lambda t, x, w, b: t.nn.functional.layer_norm(x, x.shape[1:], w, b), [[s[0], s[0][1:], s[0][1:]] for s in _ROWS])
    add("rms norm", lambda t, x, w: t.nn.functional.rms_norm(x, x.shape[1:], w), [[s[0], s[0][1:]] for s in _ROWS])
    add("group norm", lambda t, x: t.nn.functional.group_norm(x, 4), _IMAGES)
    add("batch norm, training", lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, training=True), [[s[0], s[0][1:2], s[0][1:2]] for s in _IMAGES])
    # element by element
    add("add", lambda t, x, y: x + y, _TWO)
    add("mul", lambda t, x, y: x * y, _TWO)
    for name in ("exp", "tanh", "sigmoid", "erf", "sin", "relu", "sqrt"):
        add(name, lambda t, x, name=name: getattr(t, name)(x.abs() if name == "sqrt" else x), _FLAT)
    add("gelu", lambda t, x: t.nn.functional.gelu(x), _FLAT)
    add("gelu, tanh", lambda t, x: t.nn.functional.gelu(x, approximate="tanh"), _FLAT)
    add("silu", lambda t, x: t.nn.functional.silu(x), _FLAT)
    add("x ** 3", lambda t, x: x**3, _FLAT)
    add("where", lambda t, x, y: t.where(x > 0, x, y), _TWO)
    add("clamp", lambda t, x: x.clamp(-1, 1), _FLAT)
    add("row plus column", lambda t, x, y: x[:, None] + y[None], [[(n,), (n,)] for n in (256, 1024, 2048)])
    # reductions, scans, orders
    add("sum of all", lambda t, x: x.sum(), _FLAT)
    add("sum over rows", lambda t, x: x.sum(1), _ROWS)
    add("sum over columns", lambda t, x: x.sum(0), _ROWS)
    add("sum over columns, few rows", lambda t, x: x.sum(0), _WIDE)
    add("mean and var", lambda t, x: t.var_mean(x, 1)[0], _ROWS)
    add("max over rows", lambda t, x: x.amax(1), _ROWS)
    add("argmax", lambda t, x: x.argmax(1), _ROWS, grad=False)
    add("norm", lambda t, x: t.linalg.vector_norm(x), _FLAT)
    add("cumsum", lambda t, x: x.cumsum(1), _ROWS)
    add("sort", lambda t, x: x.sort(1)[0], [[(64, 256)], [(256, 1024)], [(256, 4096)]])
    add("topk", lambda t, x: x.topk(8)[0], _WIDE)
    # moving
    add("transpose, copied", lambda t, x: x.t().contiguous(), [[s] for s in _SQUARES])
    add("cat", lambda t, x, y: t.cat([x, y], 1), _PAIRS)
    add("roll", lambda t, x: x.roll(3, 0), [[s] for s in _SQUARES])
    add("masked_fill", lambda t, x, y: x.masked_fill(y > 0, 0.0), _PAIRS)
    # images: convolutions by keywords, groups=0 for as many as channels
    def conv(name: str, sizes: Any, **options: Any) -> None:
        n = len(sizes[0][0]) - 2
        add(name, lambda t, x, w: getattr(t.nn.functional, f"conv{n}d")(x, w, **{k: v if v else x.shape[1] for k, v in options.items()}), sizes,
            work=None if options.get("groups") == 0 else (lambda s: _conv(s) / math.prod([options.get("stride", 1)] * n)))  # fmt: skip

    conv("conv 3 x 3", _images(1, 1, 3, 3), padding=1)
    conv("conv 3 x 3, stride 2", _images(2, 1, 3, 3), padding=1, stride=2)
    conv("conv 1 x 1", _images(2, 1, 1, 1))
    conv("conv 7 x 7, stride 2, 3 channels", [[(8, 3, 32, 32), (16, 3, 7, 7)], [(8, 3, 96, 96), (32, 3, 7, 7)], [(8, 3, 160, 160), (64, 3, 7, 7)]], padding=3, stride=2)
    conv("conv, each channel by itself", [[x, (x[1], 1, 3, 3)] for (x,) in _IMAGES], padding=1, groups=0)
    conv("conv, 4 groups", _images(1, 4, 3, 3), padding=1, groups=4)
    conv("conv 1-d", [[(16, 16, 64), (16, 16, 3)], [(16, 64, 256), (64, 64, 5)], [(32, 128, 512), (128, 128, 5)]], padding=1)
    conv("conv 3-d", [[(2, 8, 8, 8, 8), (8, 8, 3, 3, 3)], [(4, 16, 16, 16, 16), (32, 16, 3, 3, 3)], [(2, 32, 24, 24, 24), (32, 32, 3, 3, 3)]], padding=1)
    add("conv transposed, stride 2", lambda t, x, w: t.nn.functional.conv_transpose2d(x, w, stride=2), [[x, (x[1], x[1] // 2, 2, 2)] for (x,) in _IMAGES], work=_conv)
    add("max pool", lambda t, x: t.nn.functional.max_pool2d(x, 2), _IMAGES)
    add("mean pool", lambda t, x: t.nn.functional.avg_pool2d(x, 2), _IMAGES)
    add("interpolate, bilinear", lambda t, x: t.nn.functional.interpolate(x, scale_factor=2, mode="bilinear"), _IMAGES[:2] + [[(4, 32, 64, 64)]])
    return found


def _inputs(kernel: Kernel, shapes: Sequence[Shape]) -> list[np.ndarray]:
    r = np.random.RandomState(0)
    ints = dict(kernel.ints)
    return [r.randint(0, ints[i] or shapes[0][0], s) if i in ints else r.randn(*s).astype("f4") for i, s in enumerate(shapes)]


def _calls(library: str, kernel: Kernel, shapes: Sequence[Shape]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Forward, and forward with the gradients of what has them, as functions whose results are there when they return."""
    torch = importlib.import_module(library)
    given = [torch.tensor(a) for a in _inputs(kernel, shapes)]
    leaves = [g.clone().requires_grad_() if g.dtype.is_floating_point else g for g in given]
    wanted = [x for x in leaves if x.requires_grad]
    cotangent = torch.ones(kernel.run(torch, *given).shape)

    def wait(results: list[Any]) -> None:
        if library == "jtorch":  # torch's are there
            for x in results:
                torch.func.to_jax(x).block_until_ready()

    def forward() -> None:
        with torch.no_grad():
            wait([kernel.run(torch, *given)])

    def backward() -> None:
        wait([g for g in torch.autograd.grad(kernel.run(torch, *leaves), wanted, cotangent, allow_unused=True) if g is not None])

    return forward, backward


# Why a row is above 1.2 where XLA has no better way that we know of: a letter, what it says, and the kernels.
CALL = "a"
REASONS: dict[str, tuple[str, str]] = {
    CALL: ("the difference is what it costs to call a program and to wait for it: some 0.03 ms to record it and to find it, and 0.04 for XLA to hand over what has a thousand floating point operations or more to a thread of its own, which has to be woken", ""),
    "b": ("XLA sorts with the C++ library, on one thread", "^sort$"),
    "c": ("XLA's scatter takes one element after the other, on one thread", "^gather$|^index_add$|^scatter_add$|^embedding, its gradient"),
    "d": ("XLA's convolutions are Eigen's, torch's are oneDNN's", "^conv"),
    "e": ("torch has one kernel for two products and the softmax between them; XLA writes the scores to memory", "^attention"),
    "f": ("XLA goes over the array once for each sum and once more for the result, torch stays in a row", "^layer norm$|^group norm$"),
    "g": ("XLA has no running sum: it is made of products with triangles, or of a tree", "^cumsum$"),
}
_CALL_MS = 0.15  # of small programs, forward; with gradients as much again


def _why(kernel: Kernel, cells: Sequence[float]) -> str:
    """The letters of the reasons for what is above 1.2."""
    behind = [(n, mine - theirs) for n, (mine, theirs, ratio) in enumerate(zip(cells[::3], cells[1::3], cells[2::3], strict=True)) if ratio > 1.2]
    letters = {CALL if more < _CALL_MS * (1 + n) else next((k for k, (_, names) in REASONS.items() if names and re.search(names, kernel.name)), "") for n, more in behind}
    return " ".join(sorted(letters - {""}))


def _limits() -> tuple[float, float]:
    """Floating-point operations and bytes a second, of torch's matrix product and of its copy."""
    import torch

    a, b, c = torch.ones(2048, 2048), torch.ones(1 << 24), torch.empty(1 << 24)
    return 2 * 2048**3 / seconds(lambda: a @ a, 3, 7), 2 * 4 * (1 << 24) / seconds(lambda: c.copy_(b), 3, 7)


def _worker(library: str) -> None:
    """Answers (kernel, size, 0, or 1 for with gradients) with seconds."""
    every, known, asked = kernels(), {}, set()

    def answer(k: int, size: int, grad: int) -> float:
        if (k, size) not in known:
            known.clear()
            known[k, size] = _calls(library, every[k], every[k].sizes[size])
        fresh = (k, size, grad) not in asked
        asked.add((k, size, grad))
        return seconds(known[k, size][grad], WARM if fresh else 3, ROUNDS, long=0.6)

    serve(answer, _limits() if library == "torch" else None)


def table(pattern: str = "") -> Table:
    """The table of all kernels whose name has ``pattern``."""
    with Library("compat.bench.kernels", "jtorch") as ours, Library("compat.bench.kernels", "torch") as theirs:
        return _table(ours, theirs, pattern)


def _table(ours: Library, theirs: Library, pattern: str) -> Table:
    flops, bandwidth = theirs.first
    made = Table(
        "Kernels, ms (median)", ["kernel", "inputs", "floor", "jtorch", "torch", "jtorch / torch", "with gradients: jtorch", "torch", "jtorch / torch", "why"],
        f"Forward, and forward with the gradients; each result waited for. The floor: {flops / 1e9:.0f} GFLOP/s (a product of 2048 x 2048), {bandwidth / 1e9:.1f} GB/s (a copy), as torch reaches them here.\n\n"
        + "Why, where it is above 1.2 and XLA has no better way that we found: " + "; ".join(f"({k}) {text}" for k, (text, _) in REASONS.items()) + ".",
    )  # fmt: skip
    for k, kernel in enumerate(kernels()):
        for size, shapes in enumerate(kernel.sizes if re.search(pattern, kernel.name) else ()):
            moved = 4 * sum(map(math.prod, shapes))
            floor = max(moved / bandwidth, (kernel.work(shapes) if kernel.work else 0.0) / flops)
            cells: list[float] = []
            for grad in range(1 + kernel.grad):
                cells += pair(ours, theirs, (k, size, grad), TURNS)
            made.row(kernel.name, " ".join("x".join(map(str, s)) for s in shapes), f"{1e3 * floor:.3f}", *[f"{c:.3f}" for c in cells], *([""] * (6 - len(cells))), _why(kernel, cells))
    return made


if __name__ == "__main__":
    sys.exit(command("kernels", _worker, table))
