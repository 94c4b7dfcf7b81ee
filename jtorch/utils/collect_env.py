"""A report of what a program runs on, for bug reports: ``python -m jtorch.utils.collect_env``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys

import jax

from jtorch import version

__all__ = ["get_env_info", "get_pretty_env_info", "main"]

_PACKAGES = ("jtorch-xla", "jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda13-plugin", "flax", "optax", "numpy", "ml_dtypes", "safetensors", "torch")


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def get_env_info() -> dict[str, str]:
    """What is known, by headings."""
    switches = {k: v for k, v in sorted(os.environ.items()) if k.startswith(("JTORCH_", "JAX_", "XLA_FLAGS", "CUDA_VISIBLE"))}
    return {
        "PyTorch release that jtorch follows": version.__version__,
        "JAX backend": jax.default_backend(),
        "Devices": ", ".join(f"{d.device_kind} ({d.platform}:{d.id})" for d in jax.devices()),
        "OS": platform.platform(),
        "Python version": f"{sys.version.split()[0]} ({64 if sys.maxsize > 2**32 else 32}-bit runtime)",
        "CPU": f"{platform.processor() or platform.machine()}, {os.cpu_count()} logical",
        "Versions of relevant libraries": "".join(f"\n[pip3] {name}=={v}" for name, v in _versions().items()),
        "Environment variables": "".join(f"\n{k}={v}" for k, v in switches.items()) or "none",
    }


def get_pretty_env_info() -> str:
    """The report."""
    return "\n".join(f"{name}: {value}" for name, value in get_env_info().items())


def main() -> None:
    """Print the report."""
    print("Collecting environment information...")
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
