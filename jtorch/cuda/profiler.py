"""``torch.cuda.profiler``: start and stop of NVIDIA's profilers, by ``jax.profiler`` where there is a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["init", "profile", "start", "stop"]


def init(output_file: str, flags: Any = None, output_mode: str = "key_value") -> None:
    """CUDA 11's profiler files. RuntimeError: torch's own message."""
    raise RuntimeError("CUDA profiler initialization is not supported: use nsys or torch.profiler")


def start() -> None:
    """Tell a profiler that listens to begin. RuntimeError without a GPU."""
    from . import cudart

    cudart()


def stop() -> None:
    """Tell it to end. RuntimeError without a GPU."""
    from . import cudart

    cudart()


@contextlib.contextmanager
def profile() -> Iterator[None]:
    """From start to stop."""
    start()
    try:
        yield
    finally:
        stop()
