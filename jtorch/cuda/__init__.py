"""``torch.cuda``: JAX's GPUs under torch's names. Source: https://docs.pytorch.org/docs/stable/cuda.html"""

from __future__ import annotations

from typing import Any

import jax

from jtorch import _device
from jtorch._core.construct import cuda_classes
from jtorch._core.generator import default_for, seed_accelerators
from jtorch._engine import guards
from jtorch._engine.trace import flush
from jtorch._engine.values import canonical, jax_device, jax_devices

globals().update(cuda_classes())


def is_available() -> bool:
    """Whether JAX found a GPU."""
    return bool(jax_devices("cuda"))


def device_count() -> int:
    return len(jax_devices("cuda"))


def is_initialized() -> bool:
    return is_available()


def init() -> None:
    """Nothing to do: JAX starts a backend when it is first asked."""


def current_device() -> int:
    """The index of the GPU that ``cuda`` means. RuntimeError if there is none."""
    jax_device(_device.device("cuda", 0))
    return _current[-1]


_current = [0]


def set_device(device: Any) -> None:
    _current[-1] = device if isinstance(device, int) else _device.device(device).index or 0


class device:  # noqa: N801 - torch's name
    """Inside, ``cuda`` means this GPU."""

    def __init__(self, device: Any) -> None:
        self.index = device if isinstance(device, int) else _device.device(device).index or 0

    def __enter__(self) -> None:
        _current.append(self.index)

    def __exit__(self, *_: object) -> None:
        _current.pop()


def get_device_name(device: Any = None) -> str:
    return str(jax_device(_device.device("cuda", 0)).device_kind)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    major, _, minor = str(jax_device(_device.device("cuda", 0)).compute_capability).partition(".")
    return int(major), int(minor or 0)


def synchronize(device: Any = None) -> None:
    """Run what is recorded and wait for it."""
    flush("synchronize")
    for d in jax_devices("cuda"):
        jax.device_put(0, d).block_until_ready()
    guards.look()


def empty_cache() -> None:
    """XLA keeps its own pool; there is nothing to give back."""


def _stats(device: Any) -> dict[str, int]:
    found = jax_device(_device.device("cuda", 0)).memory_stats() if is_available() else None
    return found or {}


def memory_allocated(device: Any = None) -> int:
    """Bytes that XLA has in use."""
    return _stats(device).get("bytes_in_use", 0)


def max_memory_allocated(device: Any = None) -> int:
    return _stats(device).get("peak_bytes_in_use", 0)


def memory_reserved(device: Any = None) -> int:
    return _stats(device).get("bytes_reserved", _stats(device).get("bytes_limit", 0))


def max_memory_reserved(device: Any = None) -> int:
    return memory_reserved(device)


def reset_peak_memory_stats(device: Any = None) -> None:
    """XLA does not reset its peak."""


def is_bf16_supported(including_emulation: bool = True) -> bool:
    return is_available()


def _generator(device: Any = None) -> Any:
    where = _device.device("cuda" if device is None else device)
    return default_for(canonical(where))


def manual_seed(seed: int) -> None:
    """Seed the generator of the current GPU; without one it waits for the day there is one, as in torch."""
    if is_available():
        _generator().manual_seed(int(seed))
    else:
        seed_accelerators(int(seed))


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all GPUs."""
    seed_accelerators(int(seed))


def seed() -> None:
    """Seed the current GPU's generator from the operating system's randomness."""
    if is_available():
        _generator().seed()


def seed_all() -> None:
    """Seed all GPUs' generators with one random seed."""
    if is_available():
        seed_accelerators(_generator().seed())


def initial_seed() -> int:
    """The seed of the current GPU's generator."""
    return int(_generator().initial_seed())


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of a GPU's generator: seed and count of draws, 16 bytes."""
    return _generator(device).get_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Put a GPU's generator into a state of :func:`get_rng_state`."""
    _generator(device).set_state(new_state)


def get_rng_state_all() -> list[Any]:
    """The states of all GPUs' generators."""
    return [get_rng_state(_device.device("cuda", i)) for i in range(device_count())]


def set_rng_state_all(new_states: Any) -> None:
    """Put all GPUs' generators into these states."""
    for i, state in enumerate(new_states):
        set_rng_state(state, _device.device("cuda", i))


def is_current_stream_capturing() -> bool:
    return False


class Stream:
    """XLA orders its own work; a stream is a name without effect."""

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        pass

    def synchronize(self) -> None:
        synchronize()

    def wait_stream(self, stream: Any) -> None:
        pass

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Event:
    """A moment on the host, after the work recorded before it was waited for."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self.at = 0.0

    def record(self, stream: Any = None) -> None:
        import time

        synchronize()
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between two events."""
        return (end_event.at - self.at) * 1e3


def current_stream(device: Any = None) -> Stream:
    return Stream()


def stream(stream: Any) -> Any:
    return stream if stream is not None else Stream()


default_stream = current_stream
