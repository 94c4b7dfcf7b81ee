"""An operator's program on the parts that one process has: the same equations, on arrays that are shorter along the dims that are cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr

from jtorch._engine.values.placed import Place

from jtorch._engine.values.calls import called

from .factors import Dims, Factors, inlined

__all__ = ["part", "program_of_parts", "size_of_part", "reading_apart"]


def part(size: int, n: int, k: int) -> tuple[int, int]:
    """(start, size) of the k-th of n parts, as ``torch.chunk`` cuts: the last ones may have less or nothing."""
    each = -(-size // n)
    start = min(each * k, size)
    return start, min(each * (k + 1), size) - start


def size_of_part(shape: Sequence[int], places: Sequence[Place], grid: tuple[int, ...], at: Sequence[int]) -> tuple[int, ...]:
    """The shape of the part of the process at this place of the grid."""
    out = list(shape)
    for p, n, k in zip(places, grid, at, strict=True):
        if isinstance(p, int):
            out[p] = part(out[p], n, k)[1]
    return tuple(out)


def program_of_parts(closed: ClosedJaxpr, f: Factors, places: Sequence[Sequence[Place]], grid: tuple[int, ...], at: Sequence[int]) -> Callable[..., list[Any]]:
    """A function of the parts of the inputs, which lie as ``places`` says, that gives the parts of the outputs."""
    cuts: dict[int, list[tuple[int, int]]] = {}
    for m in range(len(grid)):
        for factor in {f.root(d.dims[p[m]]) for d, p in zip(f.inputs, places, strict=True) if isinstance(p[m], int)}:  # type: ignore[index]
            cuts.setdefault(factor, []).append((grid[m], at[m]))

    def shape_of(d: Dims) -> tuple[int, ...]:
        out = []
        for x, size in zip(d.dims, d.shape, strict=True):
            for n, k in cuts.get(f.root(x), ()) if size != 1 else ():
                size = part(size, n, k)[1]
            out.append(size)
        return tuple(out)

    def run(*arrays: Any) -> list[Any]:
        following = iter(f.between)

        def walk(eqn: Any, operands: list[Any]) -> list[Any]:
            outs = next(following)
            name, params = eqn.primitive.name, dict(eqn.params)
            if name in ("broadcast_in_dim", "iota"):
                params["shape"] = shape_of(outs[0])
            elif name == "reshape":
                params["new_sizes"] = shape_of(outs[0])
            elif name == "slice":
                mine, whole = shape_of(outs[0]), outs[0].shape
                params["limit_indices"] = tuple(m if m != w else end for m, w, end in zip(mine, whole, params["limit_indices"], strict=True))
            elif name == "dynamic_slice":
                params["slice_sizes"] = shape_of(outs[0])
            elif name == "gather":
                params["slice_sizes"] = _windows(params, shape_of(outs[0]))
            out = eqn.primitive.bind(*operands, **params)
            return list(out) if eqn.primitive.multiple_results else [out]

        return inlined(closed, walk, list(arrays), lambda c: c)

    return run


def _windows(params: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    n, sizes = params["dimension_numbers"], list(params["slice_sizes"])
    gone = {*n.collapsed_slice_dims, *getattr(n, "operand_batching_dims", ())}
    for d, o in zip([d for d in range(len(sizes)) if d not in gone], n.offset_dims, strict=True):
        sizes[d] = shape[o]
    return tuple(sizes)


def reading_apart(closed: ClosedJaxpr) -> Callable[..., list[Any]] | None:
    """The program with what it reads a part of kept apart from what else reads that, for XLA to cut. Where each device has one row and the first is read, XLA's partitioner has the row for the
    whole array from there on, and makes a program that is not valid of what reads it next. None if nothing is read so."""
    if not _reads(closed):
        return None

    def walk(eqn: Any, operands: list[Any]) -> list[Any]:
        if eqn.primitive.name == "dynamic_slice":
            operands = [lax.optimization_barrier(operands[0]), *operands[1:]]
        out = eqn.primitive.bind(*operands, **eqn.params)
        return list(out) if eqn.primitive.multiple_results else [out]

    def run(*arrays: Any) -> list[Any]:
        given = [jnp.asarray(x, v.aval.dtype) for x, v in zip(arrays, closed.jaxpr.invars, strict=True)]
        return inlined(closed, walk, given, lambda c: c)

    return run


def _reads(closed: ClosedJaxpr) -> bool:
    return any(_reads(inner) if (inner := called(eqn)) is not None else eqn.primitive.name == "dynamic_slice" for eqn in closed.jaxpr.eqns)
