"""``torch.random``: seeds and states of the default generators."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from jtorch._core.state.generator import default_for, default_generator
from jtorch._engine.values.values import canonical, jax_devices
from jtorch._public import torch

__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state", "thread_safe_generator"]

Generator = torch.Generator
manual_seed, seed, initial_seed = torch.manual_seed, torch.seed, torch.initial_seed
get_rng_state, set_rng_state = torch.get_rng_state, torch.set_rng_state
default_generator = default_generator


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None, enabled: bool = True, _caller: str = "fork_rng", _devices_kw: str = "devices",
    device_type: str | None = None,
) -> Iterator[None]:  # fmt: skip
    """Leave the default generators as they were found: of the cpu always, of ``devices`` (default: all of ``device_type``)."""
    if not enabled:
        yield
        return
    kind = device_type or "cuda"
    if devices is None:
        devices = range(len(jax_devices(kind))) if kind != "cpu" else ()
    places = [canonical(torch.device(kind, d) if isinstance(d, int) else torch.device(d)) for d in devices]
    before = default_generator.get_state()
    others = [(where, default_for(where).get_state()) for where in places]
    try:
        yield
    finally:
        default_generator.set_state(before)
        for where, state in others:
            default_for(where).set_state(state)


def thread_safe_generator() -> Any:
    """The generator of the DataLoader worker thread that this runs in, None elsewhere (meaning the default one)."""
    from jtorch.utils import data

    info = data.get_worker_info() if hasattr(data, "get_worker_info") else None
    return getattr(info, "generator", None) if info is not None else None
