"""``torch.mps``: Apple's GPUs, which JAX does not drive under this name. What asks is answered, the rest raises torch's RuntimeError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "compile_shader", "current_allocated_memory", "device_count", "driver_allocated_memory", "empty_cache", "get_rng_state", "is_available", "manual_seed",
    "recommended_max_memory", "seed", "set_per_process_memory_fraction", "set_rng_state", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """There is no generator to seed."""


def _refusing(name: str, inner: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"Cannot execute {inner}() without MPS backend.")

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "RuntimeError: there is no such GPU."
    return call


synchronize = _refusing("synchronize", "deviceSynchronize")
empty_cache = _refusing("empty_cache", "emptyCache")
current_allocated_memory = _refusing("current_allocated_memory", "getCurrentAllocatedMemory")
driver_allocated_memory = _refusing("driver_allocated_memory", "getDriverAllocatedMemory")
recommended_max_memory = _refusing("recommended_max_memory", "getRecommendedMaxMemory")
set_per_process_memory_fraction = _refusing("set_per_process_memory_fraction", "setMemoryFraction")
seed, get_rng_state, set_rng_state = (_refusing(name, "getDefaultGenerator") for name in ("seed", "get_rng_state", "set_rng_state"))
compile_shader = _refusing("compile_shader", "compileShader")


def __getattr__(name: str) -> Any:
    if name == "event":
        from types import ModuleType

        globals()[name] = module = ModuleType("torch.mps.event", "Events of Apple's GPUs.")
        module.Event = type("Event", (), {"__init__": _refusing("Event", "acquireEvent"), "__module__": "torch.mps.event"})  # type: ignore[attr-defined]
        return module
    raise AttributeError(f"module 'torch.mps' has no attribute '{name}'")
