"""Settings: environment variables read once, and the switches that torch keeps as globals."""

from __future__ import annotations

import os
from collections.abc import Callable

EAGER: bool = os.environ.get("JTORCH_EAGER", "0") not in ("", "0")
LOG: frozenset[str] = frozenset(filter(None, os.environ.get("JTORCH_LOG", "").split(",")))
CACHE_DIR: str | None = os.environ.get("JTORCH_CACHE_DIR")  # "" or "0" turns the persistent compilation cache off
PROGRAM_BYTES: int = int(os.environ.get("JTORCH_PROGRAM_MB", "128")) << 20  # of memory for compiled programs that are not in use
CACHE_BYTES: int = int(os.environ.get("JTORCH_CACHE_MB", "512")) << 20  # of disk for compiled programs
# Blocks of freed memory up to this size are kept for what comes next; 0 leaves the C library's own ways (see _engine/values/memory.py).
FREE_BYTES: int = int(os.environ.get("JTORCH_FREE_MB", "64")) << 20
# Whether one program is made for all sizes of what changes: from the second size on ("1"), never ("0"), or (unset) from the third on.
DYNAMIC: bool | None = {"1": True, "0": False}.get(os.environ.get("JTORCH_DYNAMIC", ""))

# How XLA compiles jtorch's programs. A half type's result is rounded to it also where float32 is computed from it at once: XLA would drop the conversion there and back.
COMPILER_OPTIONS: dict[str, bool | str] = {"xla_allow_excess_precision": False}
if "ynn_fusion_type" not in os.environ.get("XLA_FLAGS", ""):
    # What the cpu's YNNPACK computes: products and sums, as by default, but no convolutions, most of which it computes on one thread (64 channels of 32 x 32 to 64, batches of 32: 28 ms,
    # and 17 by Eigen on two cores; 19 of 44 kinds take less than 0.8 of the time so, 5 of small channels more).
    COMPILER_OPTIONS["xla_cpu_experimental_ynn_fusion_type"] = "LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"



def cpu_count() -> int | None:
    """Number of CPU cores that this process may use, or None when unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


float32_matmul_precision: str = "highest"
_on_change: list[Callable[[], None]] = []


def on_change(hook: Callable[[], None]) -> None:
    """Call ``hook`` when a setting that compiled programs depend on changes (their caches are emptied then)."""
    _on_change.append(hook)


def changed() -> None:
    for hook in _on_change:
        hook()


def set_float32_matmul_precision(precision: str) -> None:
    """``"highest"`` (float32), ``"high"`` (TF32 or three bfloat16 passes) or ``"medium"`` (bfloat16) inside float32 products."""
    global float32_matmul_precision
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"Unknown precision {precision!r}: expected 'highest', 'high' or 'medium'")
    if precision != float32_matmul_precision:
        float32_matmul_precision = precision
        changed()
