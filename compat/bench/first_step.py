"""Prints the seconds to the first training step of the GPT: ``python -m compat.bench.first_step jtorch|handwritten|torch LAYERS``."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

import numpy as np

from compat.bench import models


def main() -> None:
    kind, layers = sys.argv[1], int(sys.argv[2])
    setup = next(iter(models.setups(layers).values()))
    if kind == "handwritten":
        import jax

        from compat.bench.handwritten import Step

        jax.config.update("jax_enable_x64", True)
        r = np.random.RandomState(0)
        step = Step(setup, {k: (0.02 * r.randn(*s)).astype("f4") for k, s in _shapes(layers).items()})
        begin = time.perf_counter()
        step().item()
        step.wait()
    else:
        job = models.make(importlib.import_module(kind), setup)
        begin = time.perf_counter()
        job.step().item()
        next(iter(job.model.parameters())).detach().numpy()
    print(f"{time.perf_counter() - begin:.3f}")


def _shapes(layers: int, width: int = 256, vocabulary: int = 512, length: int = 128) -> dict[str, Any]:
    norm = {"weight": (width,), "bias": (width,)}
    sizes = {"qkv": (3 * width, width), "out": (width, width), "mlp.0": (4 * width, width), "mlp.2": (width, 4 * width)}
    block = {f"{n}.{k}": s for n in ("norm1", "norm2") for k, s in norm.items()}
    block |= {f"{n}.weight": s for n, s in sizes.items()} | {f"{n}.bias": s[:1] for n, s in sizes.items()}
    shapes: dict[str, Any] = {"tokens.weight": (vocabulary, width), "positions.weight": (length, width), "head.weight": (vocabulary, width)}
    shapes |= {f"norm.{k}": s for k, s in norm.items()}
    return shapes | {f"blocks.{i}.{k}": s for i in range(layers) for k, s in block.items()}


if __name__ == "__main__":
    main()
