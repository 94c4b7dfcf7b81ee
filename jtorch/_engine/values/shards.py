"""Arrays that lie on several devices, beside others that lie on one: a program takes all of them from the same devices."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any
from weakref import ref

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from jtorch._engine.values.rows import Row
from jtorch._engine.values.values import Value, several, to_device

__all__ = ["FEW_BYTES", "any_wide", "in_use", "on_one_device", "sent", "spread"]

in_use = several  # empty as long as every array lies on one device

# XLA for the cpu takes 32 programs for a device; the next waits in one of the threads that run them. Where that is the thread that the last rank of a collective needs, all wait for ever.
_MOST = 12
FEW_BYTES = 1 << 26  # that a step reads: with so few it may be one program, in which XLA gathers what it likes as soon as it likes
_under_way: deque[list[Any]] = deque()


def sent(results: Sequence[Any]) -> None:
    """A program that gives these arrays was sent off. If it runs on several devices of a cpu, programs sent off long before are waited for, so that few are under way."""
    few = [a[0].flat if a.__class__ is Row else a for a in results[:: 1 + len(results) // 8]]
    some = list({id(a): a for a in few if isinstance(a, jax.Array)}.values())
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


def any_wide(values: Sequence[Value]) -> bool:
    """Whether the array of one of these lies on several devices."""
    return any([v.array.__class__ is Row or isinstance(v.array, jax.Array) and not isinstance(v.array, jax.core.Tracer) and not on_one_device(v.array) for v in values])


def spread(arrays: list[Any], values: Sequence[Value]) -> None:
    """Put what numpy holds on its device; and where one of the arrays lies on several devices, copies of the others on each of these (a part on each, where the value says so). (The values stay
    as they are: what other programs read must not follow.)"""
    wide: Any = None
    for a in arrays:
        if a.__class__ is Row:
            wide = a
            break
        if a.__class__ is not np.ndarray and not on_one_device(a):
            wide = a
            break
    else:
        for i, a in enumerate(arrays):
            if a.__class__ is np.ndarray:
                arrays[i] = to_device(a, values[i].aval.device)
        return
    where = wide.sharding
    mesh = where.mesh if where.__class__ is NamedSharding else None
    devices: Any = None
    missing: list[tuple[int, Any, Any]] = []  # number, where to, and under which key it is kept
    taken: set[int] = set()  # a program that takes two equal ones for itself must have two
    everywhere = _replicated(where)
    for i, a in enumerate(arrays):
        if a.__class__ is Row:
            continue
        if a.__class__ is np.ndarray:
            to = _place(values[i], mesh, everywhere)
            key = (to, a.dtype, a.shape, a.tobytes()) if mesh is not None and a.nbytes <= _FEW else None
            for known in _numbers.get(key, ()) if key is not None else ():
                if id(known) not in taken and not known.is_deleted():
                    taken.add(id(known))
                    arrays[i] = known
                    break
            else:
                missing.append((i, to, key))
            continue
        own = a.sharding
        if own is where or (own.__class__ is NamedSharding and own.mesh is mesh):
            continue
        if devices is None:
            devices = wide.devices()
        if a.devices() == devices:
            continue
        to = _place(values[i], mesh, everywhere)
        copy = _copies.get((id(a), to))
        if copy is not None and not copy[1].is_deleted():
            arrays[i] = copy[1]
        else:
            missing.append((i, to, None))
    if missing:
        made = jax.device_put([arrays[i] for i, _, _ in missing], [to for _, to, _ in missing], may_alias=False)
        for (i, to, key), a in zip(missing, made, strict=True):
            if key is not None:
                _keep_numbers(key, a)
            elif arrays[i].__class__ is not np.ndarray and a.nbytes <= _SMALL and mesh is not None:
                _keep(arrays[i], to, a)
            arrays[i] = a


_SMALL = 1 << 20  # bytes of what is kept on every device for as long as somebody holds it on one: data, masks, positions are given to each step again
_copies: dict[tuple[int, Any], tuple[Any, Any]] = {}


_FEW = 1 << 14  # bytes of what each step makes anew on the host: positions, masks, the gradient that a pass begins with
_numbers: dict[Any, list[Any]] = {}  # by what it is: the last ones on every device
_EQUAL = 4  # arrays that are equal in one program


def _keep_numbers(key: Any, copy: Any) -> None:
    known = _numbers.get(key)
    if known is None:
        while len(_numbers) >= 64:
            _numbers.pop(next(iter(_numbers), None), None)
        known = _numbers[key] = []
    known[:] = [copy, *[k for k in known if not k.is_deleted()][: _EQUAL - 1]]


def _place(v: Value, mesh: Any, everywhere: NamedSharding) -> NamedSharding:
    to: NamedSharding = getattr(v, "lies", everywhere)
    return to if to.mesh is mesh else everywhere


def _keep(array: Any, to: NamedSharding, copy: Any) -> None:
    key = (id(array), to)
    _copies[key] = ref(array, lambda _: _copies.pop(key, None)), copy


_everywhere: dict[Any, NamedSharding] = {}


def _replicated(sharding: Any) -> NamedSharding:
    mesh = sharding.mesh if isinstance(sharding, NamedSharding) else Mesh(np.array(sorted(sharding.device_set, key=lambda d: d.id)), ("all",))
    found = _everywhere.get(mesh)
    if found is None:
        found = _everywhere[mesh] = NamedSharding(mesh, PartitionSpec())
    return found
