"""Arrays that lie on several devices, beside others that lie on one: a program takes all of them from the same devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jtorch._engine.values.values import Value, several, to_device

__all__ = ["in_use", "spread"]

in_use = several  # empty as long as every array lies on one device


def spread(arrays: list[Any], values: Sequence[Value]) -> None:
    """Put what numpy holds on its device; and where one of the arrays lies on several devices, copies of the others on each of these. (The values stay as they are: what other programs read must not follow.)"""
    wide: Any = None
    for i, a in enumerate(arrays):
        if a.__class__ is np.ndarray:
            arrays[i] = to_device(a, values[i].aval.device)
        elif wide is None and len(a.devices()) > 1:
            wide = a
    if wide is None:
        return
    devices, everywhere = wide.devices(), _replicated(wide.sharding)
    for i, a in enumerate(arrays):
        if a.devices() != devices:
            arrays[i] = jax.device_put(a, everywhere)


def _replicated(sharding: Any) -> NamedSharding:
    mesh = sharding.mesh if isinstance(sharding, NamedSharding) else Mesh(np.array(sorted(sharding.device_set, key=lambda d: d.id)), ("all",))
    return NamedSharding(mesh, PartitionSpec())
