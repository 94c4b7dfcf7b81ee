"""``torch.xpu``: Intel's GPUs, which JAX does not drive under this name. What asks is answered, the rest raises torch's exceptions."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

__all__: list[str] = []


def _answering(name: str, make: Callable[[], Any]) -> None:
    def call(*args: Any, **kwargs: Any) -> Any:
        return make()

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "What torch answers where there is no such GPU."
    globals()[name] = call
    __all__.append(name)


def _refusing(name: str, error: Exception) -> None:
    def call() -> Any:
        raise error

    _answering(name, call)


_ANSWERS: dict[str, Callable[[], Any]] = {
    "is_available": bool, "is_initialized": bool, "is_bf16_supported": bool, "is_tf32_supported": bool, "device_count": int, "memory_allocated": int, "max_memory_allocated": int,
    "memory_reserved": int, "max_memory_reserved": int, "memory_stats": collections.OrderedDict, "memory_stats_as_nested_dict": dict, "get_arch_list": list,
    "get_gencode_flags": str, "empty_cache": lambda: None, "manual_seed": lambda: None, "manual_seed_all": lambda: None, "seed": lambda: None, "seed_all": lambda: None,
    "reset_peak_memory_stats": lambda: None, "reset_accumulated_memory_stats": lambda: None, "get_rng_state_all": list, "set_rng_state_all": lambda: None,
}  # fmt: skip
for _name, _make in _ANSWERS.items():
    _answering(_name, _make)
for _name in (
    "init", "synchronize", "current_device", "set_device", "get_device_name", "get_device_capability", "get_device_properties", "current_stream", "get_rng_state",
    "set_rng_state", "initial_seed", "mem_get_info", "get_stream_from_external",
):  # fmt: skip
    _refusing(_name, AssertionError("Torch not compiled with XPU enabled"))
for _name in ("Stream", "Event"):
    _refusing(_name, RuntimeError(f"Tried to instantiate dummy base class {_name}"))


class device:  # noqa: N801 - torch's name
    """A context in which a device is current: there is none to choose."""

    def __init__(self, device: Any) -> None:
        self.idx = device

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...
