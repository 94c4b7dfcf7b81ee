"""Generators of the GPUs."""

from __future__ import annotations

from typing import Any

from jtorch import _device
from jtorch._core.state.generator import default_for, seed_accelerators
from jtorch._engine.values.values import canonical, jax_devices

__all__ = [
    "get_rng_state", "get_rng_state_all", "set_rng_state", "set_rng_state_all", "manual_seed", "manual_seed_all", "seed", "seed_all", "initial_seed",
]  # fmt: skip


def _there() -> bool:
    return bool(jax_devices("cuda"))


def _generator(device: Any = None) -> Any:
    where = _device.device("cuda" if device is None else device)
    return default_for(canonical(where))


def manual_seed(seed: int) -> None:
    """Seed the generator of the current GPU; without one it waits for the day there is one, as in torch."""
    if _there():
        _generator().manual_seed(int(seed))
    else:
        seed_accelerators(int(seed))


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all GPUs."""
    seed_accelerators(int(seed))


def seed() -> None:
    """Seed the current GPU's generator from the operating system's randomness."""
    if _there():
        _generator().seed()


def seed_all() -> None:
    """Seed all GPUs' generators with one random seed."""
    if _there():
        seed_accelerators(_generator().seed())


def initial_seed() -> int:
    """The seed of the current GPU's generator."""
    return int(_generator().initial_seed())


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of a GPU's generator: seed and count of draws, 16 bytes."""
    return _generator(device).get_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Put a GPU's generator into a state of :func:`get_rng_state`. Without a GPU nothing happens."""
    if not _there():
        return
    _generator(device).set_state(new_state)


def get_rng_state_all() -> list[Any]:
    """The states of all GPUs' generators."""
    return [get_rng_state(_device.device("cuda", i)) for i in range(len(jax_devices("cuda")))]


def set_rng_state_all(new_states: Any) -> None:
    """Put all GPUs' generators into these states."""
    for i, state in enumerate(new_states):
        set_rng_state(state, _device.device("cuda", i))
