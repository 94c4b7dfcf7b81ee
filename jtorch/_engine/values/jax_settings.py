"""JAX's settings: 64-bit types, and the persistent compilation cache in the user's cache folder. Why both are for the whole process: docs/from-jax.md."""

from __future__ import annotations

import os
import sys

import jax

from jtorch import _config


def _cache_dir() -> str | None:
    if _config.CACHE_DIR is not None:
        return None if _config.CACHE_DIR in ("", "0") else _config.CACHE_DIR
    base = os.environ.get("XDG_CACHE_HOME") or (
        os.path.expanduser("~/Library/Caches") if sys.platform == "darwin" else os.path.expanduser("~/.cache")
    )
    return os.path.join(base, "jtorch", "xla")


jax.config.update("jax_enable_x64", True)
if jax.config.jax_compilation_cache_dir is None and (_where := _cache_dir()):
    jax.config.update("jax_compilation_cache_dir", _where)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
