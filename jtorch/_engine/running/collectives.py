"""Collectives between processes: each is one program over a mesh of one device a process, which all processes of the group compile alike.

They are no part of a trace. XLA wants one program on all devices of a collective, and traces of different processes need not be alike: one prints its loss and so cuts its
trace elsewhere, another has a shorter last batch. A collective's program follows from what is collected alone, and ``jtorch.distributed`` sends it off only once every
process of the group has asked for the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, shard_map
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jtorch._engine.recording.trace import force
from jtorch._dtypes import complex32
from jtorch._errors import not_implemented
from jtorch._engine.values.values import Value, jax_devices, to_device, value_of

__all__ = ["BODIES", "arrays_of", "forget", "lengthened", "move", "pack", "run", "unpack", "values_of", "wait_for"]

_AXIS = "ranks"


def arrays_of(values: Sequence[Value]) -> list[Any]:
    """The values as arrays on their device; what is pending runs."""
    found = []
    for v in values:
        if v.aval.dtype is complex32:
            not_implemented("collectives on complex32", "send torch.view_as_real(t)")
        array = force(v) if v.trace is not None or v.array is None or not isinstance(v.array, (jax.Array, np.ndarray)) else v.array
        found.append(to_device(array, v.aval.device) if isinstance(array, np.ndarray) else array)
    return found


def values_of(arrays: Sequence[Any], device: Any) -> list[Value]:
    """Arrays as values of a torch device."""
    return [value_of(a, device) for a in arrays]


def _bits(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    """``x`` as integers, and the way back: what is moved by adding zeros keeps its bits, NaNs and signs of zeros included."""
    kind = x.dtype
    if kind == np.bool_:
        return x.astype(np.uint8), lambda y: y.astype(np.bool_)
    if jnp.issubdtype(kind, jnp.complexfloating):
        (real, back), (imag, _) = _bits(x.real), _bits(x.imag)
        return jnp.stack([real, imag]), lambda y: lax.complex(back(y[0]), back(y[1]))
    if jnp.issubdtype(kind, jnp.integer):
        return x, lambda y: y
    return lax.bitcast_convert_type(x, np.dtype(f"uint{8 * kind.itemsize}")), lambda y: lax.bitcast_convert_type(y, kind)


def _fold(op: str, x: Any, n: int) -> Any:
    """What ``op`` makes of ``x[0], x[1], ...``."""
    if op in ("SUM", "AVG"):
        return reduce(jnp.logical_or if x.dtype == np.bool_ else jnp.add, [x[i] for i in range(n)])
    if op == "PRODUCT":
        return reduce(jnp.logical_and if x.dtype == np.bool_ else jnp.multiply, [x[i] for i in range(n)])
    return reduce({"MIN": jnp.minimum, "MAX": jnp.maximum, "BAND": jnp.bitwise_and, "BOR": jnp.bitwise_or, "BXOR": jnp.bitwise_xor}[op], [x[i] for i in range(n)])


def _mean(op: str, x: Any, n: int) -> Any:
    return x / np.asarray(n, x.dtype) if op == "AVG" else x


def _all_reduce(x: Any, n: int, op: str, factor: float | None = None) -> Any:
    if op == "PREMUL_SUM":
        x, op = x * np.asarray(factor, x.dtype), "SUM"
    if x.dtype == np.bool_ or op not in ("SUM", "AVG", "MIN", "MAX"):
        return _fold(op, lax.all_gather(x, _AXIS), n)
    if op in ("MIN", "MAX"):
        return (lax.pmin if op == "MIN" else lax.pmax)(x, _AXIS)
    return _mean(op, lax.psum(x, _AXIS), n)


def _reduce_scatter(x: Any, n: int, op: str, factor: float | None = None) -> Any:
    """(n, ...) -> (...): of what is reduced, the part of this process."""
    if op == "PREMUL_SUM":
        x, op = x * np.asarray(factor, x.dtype), "SUM"
    if x.dtype != np.bool_ and op in ("SUM", "AVG"):
        return _mean(op, lax.psum_scatter(x, _AXIS), n)
    return _fold(op, lax.all_to_all(x, _AXIS, 0, 0), n)


def _broadcast(x: Any, n: int, source: int) -> Any:
    bits, back = _bits(x)
    return back(lax.psum(jnp.where(lax.axis_index(_AXIS) == source, bits, jnp.zeros_like(bits)), _AXIS))


# What happens on each process: (its array, how many processes, what else there is) -> its result.
BODIES: dict[str, Callable[..., Any]] = {
    "all_reduce": _all_reduce,
    "all_gather": lambda x, n: lax.all_gather(x, _AXIS),
    "reduce_scatter": _reduce_scatter,
    "all_to_all": lambda x, n: lax.all_to_all(x, _AXIS, 0, 0),
    "broadcast": _broadcast,
    "pass_on": lambda x, n: lax.ppermute(x, _AXIS, [(0, 1)]),
}


@lru_cache(maxsize=256)
def _mesh(ranks: tuple[int, ...], kind: str) -> NamedSharding:
    """One device of each process, the first that it has of the kind."""
    platform = jax_devices(kind)[0].platform
    first: dict[int, Any] = {}
    for d in jax.devices(platform):
        first.setdefault(d.process_index, d)
    return NamedSharding(Mesh(np.array([first[r] for r in ranks]), (_AXIS,)), PartitionSpec(_AXIS))


@lru_cache(maxsize=1024)
def _program(name: str, ranks: tuple[int, ...], kind: str, shape: tuple[int, ...], dtype: Any, what: tuple[Any, ...]) -> tuple[Any, NamedSharding]:
    where, n, body = _mesh(ranks, kind), len(ranks), BODIES[name]

    def each(x: Any) -> Any:
        out = body(x.reshape(shape), n, *what)
        return out.reshape(-1)

    each.__name__ = name
    return jax.jit(shard_map(each, mesh=where.mesh, in_specs=PartitionSpec(_AXIS), out_specs=PartitionSpec(_AXIS), check_vma=False)), where


def run(name: str, array: Any, ranks: tuple[int, ...], kind: str, *what: Any) -> Any:
    """This process's result, flat, of a collective over the processes ``ranks``. All of them must call it alike. It is sent off, and not waited for."""
    if len(ranks) == 1 or array.size == 0:
        return _alone(name, array, len(ranks), *what)
    program, where = _program(name, ranks, kind, array.shape, array.dtype, what)
    flat = array if array.ndim == 1 else array.reshape(-1)
    whole = jax.make_array_from_single_device_arrays((flat.size * len(ranks),), where, [flat])
    return program(whole).addressable_data(0)


def _alone(name: str, array: Any, n: int, *what: Any) -> Any:
    if name == "all_reduce" and what[0] == "PREMUL_SUM" or name == "reduce_scatter" and what[0] == "PREMUL_SUM":
        array = array * np.asarray(what[1], array.dtype)
    return jnp.tile(array.reshape(-1), n) if name == "all_gather" else array.reshape(-1)


@lru_cache(maxsize=256)
def _packer(shapes: tuple[Any, ...]) -> Any:
    return jax.jit(lambda *arrays: jnp.concatenate([a.reshape(-1) for a in arrays]))


@lru_cache(maxsize=256)
def _unpacker(shapes: tuple[tuple[int, ...], ...]) -> Any:
    ends = np.cumsum([math.prod(s) for s in shapes]).tolist()

    def unpack(flat: Any) -> list[Any]:
        return [flat[end - math.prod(s) : end].reshape(s) for s, end in zip(shapes, ends, strict=True)]

    return jax.jit(unpack)


def pack(arrays: Sequence[Any]) -> Any:
    """Arrays of one type end to end."""
    if len(arrays) == 1:
        return arrays[0].reshape(-1)
    return _packer(tuple(a.shape for a in arrays))(*arrays)


def unpack(flat: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """The arrays of these shapes that lie end to end in ``flat``."""
    if len(shapes) == 1:
        return [flat if flat.shape == tuple(shapes[0]) else flat.reshape(shapes[0])]
    return _unpacker(tuple(tuple(s) for s in shapes))(flat)  # type: ignore[no-any-return]


def lengthened(array: Any, dim: int, more: int) -> Any:
    """The array with so many zeros more at the end of a dim."""
    return jnp.pad(array, [(0, more if d == dim else 0) for d in range(array.ndim)])


def move(rows: Sequence[Any], ranks: tuple[int, ...], kind: str, sizes: Sequence[Sequence[int]], me: int) -> list[Any]:
    """``rows[i]`` (flat) to process i, whose own come back. ``sizes[i][j]``: elements that process i sends to j; the longest gives the length of all."""
    longest = max(max(s) for s in sizes)
    padded = jnp.stack([lengthened(r, 0, longest - r.size) for r in rows])
    got = run("all_to_all", padded, ranks, kind).reshape(len(ranks), longest)
    return [got[i, : sizes[i][me]] for i in range(len(ranks))]


def forget() -> None:
    """Forget programs and meshes: the devices are others now."""
    _mesh.cache_clear()
    _program.cache_clear()


def wait_for(arrays: Any) -> None:
    """Until a collective's results are there. What went wrong with it is raised here."""
    jax.block_until_ready(arrays)
