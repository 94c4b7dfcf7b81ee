"""Arrays that lie on several devices, beside others that lie on one: a program takes all of them from the same devices."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any
from weakref import ref

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from jtorch._engine.values.values import Value, several, to_device

__all__ = ["in_use", "on_one_device", "sent", "spread"]

in_use = several  # empty as long as every array lies on one device

# XLA for the cpu takes 32 programs for a device; the next waits in one of the threads that run them. Where that is the thread that the last rank of a collective needs, all wait for ever.
_MOST = 12
_under_way: deque[list[Any]] = deque()


def sent(results: Sequence[Any]) -> None:
    """A program that gives these arrays was sent off. If it runs on several devices of a cpu, programs sent off long before are waited for, so that few are under way."""
    some = [a for a in results[:: 1 + len(results) // 8] if isinstance(a, jax.Array)]
    if not some or on_one_device(some[0]) or next(iter(some[0].devices())).platform != "cpu":
        return
    _under_way.append([ref(a) for a in some])  # all are there at once: one that is still held will do
    while len(_under_way) > _MOST:
        waited = False
        while not waited and _under_way:  # what nobody holds any more was read by one that came later
            for array in [r() for r in _under_way.popleft()]:
                if array is not None and not array.is_deleted():
                    try:
                        array.block_until_ready()
                    except RuntimeError:  # it failed, or was taken meanwhile: who reads it is told
                        continue
                    waited = True
                    break


def on_one_device(array: Any) -> bool:
    """Whether a jax.Array lies on one device. (JAX makes a set of them for who asks for its devices.)"""
    return array.sharding.__class__ is SingleDeviceSharding or len(array.devices()) == 1


def spread(arrays: list[Any], values: Sequence[Value]) -> None:
    """Put what numpy holds on its device; and where one of the arrays lies on several devices, copies of the others on each of these. (The values stay as they are: what other programs read must not follow.)"""
    wide: Any = None
    for a in arrays:
        if a.__class__ is not np.ndarray and not on_one_device(a):
            wide = a
            break
    else:
        for i, a in enumerate(arrays):
            if a.__class__ is np.ndarray:
                arrays[i] = to_device(a, values[i].aval.device)
        return
    where, devices = wide.sharding, wide.devices()
    mesh = where.mesh if isinstance(where, NamedSharding) else None
    missing: list[int] = []
    for i, a in enumerate(arrays):
        if a.__class__ is np.ndarray:
            known = _numbers.get((mesh, a.dtype, a.shape, a.tobytes())) if _numbers and a.nbytes <= _FEW and mesh is not None else None
            if known is None or known.is_deleted() or any([known is b for b in arrays[:i]]):  # a program that takes both for itself must have two
                missing.append(i)
            else:
                arrays[i] = known
            continue
        own = a.sharding
        if own is where or (own.__class__ is NamedSharding and own.mesh is mesh) or a.devices() == devices:
            continue
        copy = _copies.get((id(a), mesh))
        if copy is not None and not copy[1].is_deleted():
            arrays[i] = copy[1]
        else:
            missing.append(i)
    if missing:
        everywhere = _replicated(where)
        made = jax.device_put([arrays[i] for i in missing], everywhere, may_alias=False)
        for i, a in zip(missing, made, strict=True):
            if arrays[i].__class__ is np.ndarray:
                if a.nbytes <= _FEW and mesh is not None:
                    _keep_numbers((mesh, arrays[i].dtype, arrays[i].shape, arrays[i].tobytes()), a)
            elif a.nbytes <= _SMALL and mesh is not None:
                _keep(arrays[i], mesh, a)
            arrays[i] = a


_SMALL = 1 << 20  # bytes of what is kept on every device for as long as somebody holds it on one: data, masks, positions are given to each step again
_copies: dict[tuple[int, Any], tuple[Any, Any]] = {}


_FEW = 1 << 14  # bytes of what each step makes anew on the host: positions, masks, the gradient that a pass begins with
_numbers: dict[Any, Any] = {}  # by what it is: the last ones on every device


def _keep_numbers(key: Any, copy: Any) -> None:
    while len(_numbers) >= 64:
        _numbers.pop(next(iter(_numbers), None), None)
    _numbers[key] = copy


def _keep(array: Any, mesh: Any, copy: Any) -> None:
    key = (id(array), mesh)
    _copies[key] = ref(array, lambda _: _copies.pop(key, None)), copy


def _replicated(sharding: Any) -> NamedSharding:
    mesh = sharding.mesh if isinstance(sharding, NamedSharding) else Mesh(np.array(sorted(sharding.device_set, key=lambda d: d.id)), ("all",))
    return NamedSharding(mesh, PartitionSpec())
