"""What XLA's allocator says of a GPU's memory, under the names of torch's."""

from __future__ import annotations

import collections
from typing import Any

from jtorch._errors import not_implemented
from jtorch._public import torch

__all__ = [
    "caching_allocator_alloc", "caching_allocator_delete", "empty_cache", "get_allocator_backend", "get_per_process_memory_fraction", "host_memory_stats",
    "host_memory_stats_as_nested_dict", "max_memory_allocated", "max_memory_cached", "max_memory_reserved", "mem_get_info", "memory_allocated",
    "memory_cached", "memory_reserved", "memory_snapshot", "memory_stats", "memory_stats_as_nested_dict", "memory_summary",
    "reset_accumulated_host_memory_stats", "reset_accumulated_memory_stats", "reset_max_memory_allocated", "reset_max_memory_cached",
    "reset_peak_host_memory_stats", "reset_peak_memory_stats", "set_per_process_memory_fraction", "MemPool", "use_mem_pool", "CUDAPluggableAllocator",
]  # fmt: skip

_peaks: dict[int, int] = {}  # XLA's peak when it was last reset, by GPU: XLA itself never forgets


def _raw(device: Any = None) -> dict[str, int]:
    """XLA's numbers; none where there is no GPU."""
    cuda = torch.cuda  # type: ignore[attr-defined]
    return (cuda._gpu(device).memory_stats() or {}) if cuda.is_available() else {}


def capacity(device: Any = None) -> int:
    """Bytes that XLA may use of a GPU."""
    return _raw(device).get("bytes_limit", 0)


def empty_cache() -> None:
    """XLA keeps its own pool; there is nothing to give back."""


def memory_allocated(device: Any = None) -> int:
    """Bytes that XLA has in use."""
    return _raw(device).get("bytes_in_use", 0)


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that were in use. After :func:`reset_peak_memory_stats` a lower peak than the one before cannot be told from what is in use now."""
    raw = _raw(device)
    peak, index = raw.get("peak_bytes_in_use", 0), torch.cuda._index(device)  # type: ignore[attr-defined]
    return peak if peak > _peaks.get(index, -1) else raw.get("bytes_in_use", 0)


def memory_reserved(device: Any = None) -> int:
    """Bytes of XLA's pool."""
    raw = _raw(device)
    return raw.get("pool_bytes") or raw.get("bytes_reserved") or raw.get("bytes_limit", 0)


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that the pool had."""
    return max(_raw(device).get("peak_pool_bytes", 0), memory_reserved(device))


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, total) bytes, of what XLA may use. AssertionError if there is no GPU."""
    torch.cuda._gpu(device)  # type: ignore[attr-defined]
    return capacity(device) - memory_allocated(device), capacity(device)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Peaks count from here."""
    if not torch.cuda.is_available():  # type: ignore[attr-defined]
        raise AttributeError("module 'torch._C' has no attribute '_cuda_resetPeakMemoryStats'")  # as torch's build for the cpu says it
    _peaks[torch.cuda._index(device)] = _raw(device).get("peak_bytes_in_use", 0)  # type: ignore[attr-defined]


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """XLA counts on."""
    if not torch.cuda.is_available():  # type: ignore[attr-defined]
        raise AttributeError("module 'torch._C' has no attribute '_cuda_resetAccumulatedMemoryStats'")  # as torch's build for the cpu says it


def memory_stats(device: Any = None) -> collections.OrderedDict[str, Any]:
    """torch's names for what XLA counts; empty without a GPU."""
    raw = _raw(device)
    if not raw:
        return collections.OrderedDict()
    kinds = {"allocated": (memory_allocated(device), max_memory_allocated(device)), "reserved": (memory_reserved(device), max_memory_reserved(device))}
    kinds["active"] = kinds["allocated"]
    found: dict[str, Any] = {f"{kind}_bytes.{pool}.{what}": n for kind, pair in kinds.items() for pool in ("all", "large_pool") for what, n in zip(("current", "peak"), pair, strict=True)}
    found |= {"allocation.all.current": raw.get("num_allocs", 0), "num_alloc_retries": 0, "num_ooms": 0, "num_sync_all_streams": 0, "num_device_alloc": 1}
    return collections.OrderedDict(sorted(found.items()))


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """:func:`memory_stats` with a dictionary for each part of the names."""
    found: dict[str, Any] = {}
    for name, n in memory_stats(device).items():
        *path, last = name.split(".")
        at = found
        for part in path:
            at = at.setdefault(part, {})
        at[last] = n
    return found


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """The numbers as a table. KeyError without a GPU, as torch has it."""
    stats = memory_stats(device)
    rows = [(kind, stats[f"{kind}_bytes.all.current"], stats[f"{kind}_bytes.all.peak"]) for kind in ("allocated", "active", "reserved")]
    lines = [f"| {kind.capitalize() + ' memory':20s} | {current / 2**20:12.1f} MiB | {peak / 2**20:12.1f} MiB |" for kind, current, peak in rows]
    rule = "|" + "-" * (len(lines[0]) - 2) + "|"
    return "\n".join([rule, f"| {'':20s} | {'now':>16s} | {'peak':>16s} |", rule, *lines, rule])


def memory_snapshot(mempool_id: Any = None) -> list[dict[str, Any]]:
    """The segments of the pool, which XLA does not tell: none. AttributeError without a GPU, as torch has it."""
    if not torch.cuda.is_available():  # type: ignore[attr-defined]
        raise AttributeError("module 'torch._C' has no attribute '_cuda_memorySnapshot'")
    return []


def host_memory_stats() -> collections.OrderedDict[str, Any]:
    """XLA counts nothing of pinned memory."""
    return collections.OrderedDict()


def host_memory_stats_as_nested_dict() -> dict[str, Any]:
    """As :func:`host_memory_stats`."""
    return {}


reset_peak_host_memory_stats = reset_accumulated_host_memory_stats = empty_cache


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """XLA takes its share when it starts: ``XLA_PYTHON_CLIENT_MEM_FRACTION`` sets it."""
    torch.cuda._gpu(device)  # type: ignore[attr-defined]
    not_implemented("torch.cuda.set_per_process_memory_fraction", "set XLA_PYTHON_CLIENT_MEM_FRACTION before the program starts")


def get_per_process_memory_fraction(device: Any = None) -> float:
    """XLA's share of the GPU, 0.75 unless ``XLA_PYTHON_CLIENT_MEM_FRACTION`` says otherwise."""
    import os

    torch.cuda._gpu(device)  # type: ignore[attr-defined]
    return float(os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", 0.75))


def get_allocator_backend() -> str:
    """``"native"``: programs ask whether it is."""
    return "native"


def caching_allocator_alloc(size: int, device: Any = None, stream: Any = None) -> int:
    """Raw memory. XLA gives none away."""
    torch.cuda._gpu(device)  # type: ignore[attr-defined]
    not_implemented("torch.cuda.caching_allocator_alloc", "make a tensor")


def caching_allocator_delete(mem_ptr: int) -> None:
    """Nothing was given away."""


class MemPool:
    """A pool of its own for some tensors. RuntimeError without a GPU."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not torch.cuda.is_available():  # type: ignore[attr-defined]
            raise RuntimeError("Tried to instantiate dummy base class MemPool")
        not_implemented("torch.cuda.MemPool", "XLA keeps one pool for each GPU")


class use_mem_pool:  # noqa: N801 - torch's name
    """Inside, a pool is used; there are none."""

    def __init__(self, pool: Any, device: Any = None) -> None:
        MemPool()


class CUDAPluggableAllocator:
    """An allocator of a program's own, from a shared library."""

    def __init__(self, path_to_so_file: str, alloc_fn_name: str, free_fn_name: str) -> None:
        not_implemented("torch.cuda.CUDAPluggableAllocator", "XLA allocates; XLA_PYTHON_CLIENT_ALLOCATOR chooses between its ways")
