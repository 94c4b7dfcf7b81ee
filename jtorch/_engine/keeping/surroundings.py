"""What everything that is kept depends on: the versions of jtorch's operators, of JAX and of the machine, and the settings that functions read while they are traced."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
import time
from typing import Any

import jax
import jaxlib

from jtorch import _config, _dtypes

__all__ = ["machine", "settings", "sources"]

_BEGIN = time.time()
_FOLDERS = ("_ops", "_registry", "_engine", "_core", "_random")  # whose code decides what a program is: all whose functions have names (identity.py)
_FILES = ("_dtypes.py", "_device.py", "_errors.py")
_COMPILER = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "TF_XLA_FLAGS")


@functools.cache
def sources() -> str | None:
    """A name for the source of all operators as it stands; None if it has changed since it was read."""
    root = os.path.dirname(_config.__file__)
    h = hashlib.blake2b(digest_size=16)
    files = [os.path.join(root, f) for f in _FILES]
    for top in _FOLDERS:
        for at, folders, names in os.walk(os.path.join(root, top)):
            folders.sort()
            files += [os.path.join(at, n) for n in sorted(names) if n.endswith(".py")]
    try:
        for f in files:
            with open(f, "rb") as source:
                if os.fstat(source.fileno()).st_mtime > _BEGIN:
                    return None
                h.update(os.path.relpath(f, root).encode() + b"\0" + source.read())
    except OSError:  # not files: nothing is known of its version
        return None
    return h.hexdigest()


@functools.cache
def machine(device: Any) -> str:
    """A name for a device of JAX's as a compiler's target: kind, drivers, instructions, and the versions of what compiles for it."""
    client = device.client
    parts = [jax.__version__, jaxlib.__version__, sys.version.split()[0], device.platform, device.device_kind, str(device.id), client.platform_version]
    if device.platform == "cpu":
        parts += [platform.machine(), _instructions(), str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())]
    return "|".join([*parts, *(os.environ.get(name, "") for name in _COMPILER)])


def _instructions() -> str:
    """What the processor can do, as far as the system says so."""
    try:
        with open("/proc/cpuinfo") as f:
            return "".join(sorted({line for line in f if line.startswith(("flags", "Features", "model name", "CPU part"))}))
    except OSError:
        return platform.processor() + platform.version()


_NO_MATTER = ("compilation_cache", "persistent_cache", "_log", "log_", "logging", "traceback", "_dump", "explain", "profiler", "pprint")
_names: list[str] = []


def settings() -> str:
    """What may be set and is read while a function is traced or compiled."""
    if not _names:
        _names.extend(sorted(n for n in jax.config.values if not any(part in n for part in _NO_MATTER)))
    return f"{_dtypes.default.name}|{_config.float32_matmul_precision}|{_config.COMPILER_OPTIONS}|" + "|".join([str(getattr(jax.config, n, None)) for n in _names])
