"""``torch.__config__``: what computes. Source: https://docs.pytorch.org/docs/stable/config_mod.html"""

from __future__ import annotations

import os
import platform

import jax
import jaxlib

from jtorch import version

__all__ = ["show", "parallel_info"]


def show() -> str:
    """A text about what this is built on."""
    parts = [f"jtorch {version.jtorch_version}", f"Python {platform.python_version()}", f"jax {jax.__version__}", f"jaxlib {jaxlib.__version__} (XLA)", f"Platform: {jax.default_backend()}"]
    return "PyTorch built with:\n" + "".join(f"  - {p}\n" for p in [*parts, f"TORCH_VERSION={version.__version__}, USE_CUDA={'ON' if jax.default_backend() == 'gpu' else 'OFF'}, USE_MPI=OFF"])


def parallel_info() -> str:
    """A text about threads."""
    from jtorch._public import torch

    return (
        f"ATen/Parallel:\n\tat::get_num_threads() : {torch.get_num_threads()}\n\tat::get_num_interop_threads() : {torch.get_num_interop_threads()}\n"
        f"XLA's thread pool: {os.cpu_count()} threads\nATen parallel backend: XLA\n"
    )


def _cxx_flags() -> str:
    """The flags that torch's library was compiled with: there is none."""
    return ""
