"""Joining JAX's processes to one: afterwards JAX sees the devices of all, and this process computes on its own as before."""

from __future__ import annotations

import contextlib
import gc

import jax
import numpy as np
from jax.extend import backend

from jtorch._engine.recording import executables, trace
from jtorch._engine.running import collectives, retention
from jtorch._engine.values import values
from jtorch._engine.values.values import Value

__all__ = ["join", "joined", "leave"]

_joined: tuple[int, int, str] | None = None
# Seconds without a sign of life after which JAX's service takes a process for dead, and ends the others. So long does no busy machine, and nobody who stops a process to look at it, keep one
# waiting. (Who died is known by its connection, at once; a machine that is gone by the kernel's own questions.)
_HEARTBEAT = 3600


def joined() -> tuple[int, int, str] | None:
    """(process, processes, name) of what this process has joined."""
    return _joined


def join(address: str, count: int, index: int, name: str, own: tuple[int, int] | None, timeout: float) -> None:
    """Become process ``index`` of ``count``; the coordinator is process 0's, at ``address``. What this process has computed already is kept.

    ``own``: the GPU of this machine that this process alone shall use, and how many have one so; None for all.
    """
    global _joined
    _carry_over()
    for option, value in (("jax_enable_recoverability", True), ("jax_enable_preemption_service", False)):
        with contextlib.suppress(AttributeError):  # a process that dies is told about by ourselves, and by name
            jax.config.update(option, value)
    jax.distributed.initialize(
        address, count, index, local_device_ids=None if own is None else [own[0]], cluster_detection_method="deactivate",
        initialization_timeout=max(1, int(timeout)), heartbeat_timeout_seconds=_HEARTBEAT, shutdown_timeout_seconds=10,
    )  # fmt: skip
    _joined = (index, count, name)
    values.shared_by = 1 if own is None else own[1]


def leave() -> None:
    """Be alone again. (Devices stay as they are until somebody joins anew.)"""
    global _joined
    if _joined is None:
        return
    _joined = None
    with contextlib.suppress(Exception):
        jax.distributed.shutdown()


def _carry_over() -> None:
    """JAX can be joined only before it has devices. What is on them goes to the host and comes back with the next program that reads it."""
    if not values._jax_device and not jax.live_arrays():
        backend.clear_backends()  # somebody may have asked how many devices there are
        return
    trace.flush("joining processes")
    for v in [x for x in gc.get_objects() if x.__class__ is Value]:
        if v.array.__class__ in trace.HELD:
            v.array = v.array.take(v)  # type: ignore[attr-defined]
        if isinstance(v.array, jax.Array) and not isinstance(v.array, jax.core.Tracer):
            v.array = np.asarray(v.array)
            v.pos = -1
    retention.forget_everything()
    executables.forget_loaded()
    values._jax_device.clear()
    collectives.forget()
    jax.clear_caches()
    backend.clear_backends()
