"""Reductions and running ones: the padding becomes the operation's identity."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .dims import Frame
from .table import rule
from .value import Padded, masked, unified, valid, whole

__all__ = ["highest", "lowest"]


def lowest(kind: Any) -> Any:
    """The identity of max."""
    if kind == np.bool_:
        return False
    return -np.inf if jnp.issubdtype(kind, jnp.inexact) else jnp.iinfo(kind).min


def highest(kind: Any) -> Any:
    """The identity of min."""
    if kind == np.bool_:
        return True
    return np.inf if jnp.issubdtype(kind, jnp.inexact) else jnp.iinfo(kind).max


def _ones(kind: Any) -> Any:
    return True if kind == np.bool_ else -1 if jnp.issubdtype(kind, jnp.signedinteger) else jnp.iinfo(kind).max


_IDENTITY: dict[str, Any] = {
    "reduce_sum": lambda kind: 0, "reduce_prod": lambda kind: 1, "reduce_max": lowest, "reduce_min": highest,
    "reduce_or": lambda kind: 0, "reduce_xor": lambda kind: 0, "reduce_and": _ones,
    "cumsum": lambda kind: 0, "cumprod": lambda kind: 1, "cummax": lowest, "cummin": highest, "cumlogsumexp": lowest,
    "argmax": lowest, "argmin": highest,
}  # fmt: skip


@rule("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_or", "reduce_xor", "reduce_and")
def _reduce(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p, gone = ps[0], eqn.params["axes"]
    axes = p.axes_of(gone)
    array = masked(f, p, _IDENTITY[eqn.primitive.name](p.array.dtype), axes)
    return Padded(eqn.primitive.bind(array, **{**eqn.params, "axes": tuple(axes)}), tuple([d for i, d in enumerate(p.dims) if i not in gone]))


@rule("argmax", "argmin")
def _arg(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    (i,) = eqn.params["axes"]
    p = whole(f, ps[0], [i])
    axes = p.axes(i)
    array = masked(f, p, _IDENTITY[eqn.primitive.name](p.array.dtype), axes)
    return Padded(eqn.primitive.bind(array, **{**eqn.params, "axes": tuple(axes)}), (*p.dims[:i], *p.dims[i + 1 :]))


@rule("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
def _running(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    i = eqn.params["axis"]
    p = whole(f, ps[0], [i])
    (axis,) = p.axes(i)
    array = masked(f, p, _IDENTITY[eqn.primitive.name](p.array.dtype), [axis]) if eqn.params["reverse"] else p.array
    return Padded(eqn.primitive.bind(array, **{**eqn.params, "axis": axis}), p.dims)


@rule("reduce")
def _general(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    n, gone = len(ps) // 2, eqn.params["dimensions"]
    ps, start = ps[:n], [p.array for p in ps[n:]]
    ps, dims = unified(f, ps, f.dims(eqn.invars[0].aval.shape))
    axes = ps[0].axes_of(gone)
    # The initial value takes part in any case; in the padding it stands where nothing else does.
    arrays = [masked(f, p, s, axes) for p, s in zip(ps, start, strict=True)]
    out = eqn.primitive.bind(*arrays, *start, **{**eqn.params, "dimensions": tuple(axes)})
    return [Padded(a, tuple([d for i, d in enumerate(dims) if i not in gone])) for a in out]


@rule("sort")
def _sort(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    i = eqn.params["dimension"]
    ps, dims = unified(f, [whole(f, p, [i]) for p in ps], f.out(eqn))
    (axis,) = ps[0].axes(i)
    if valid(f, ps[0], [axis]) is None:
        return [Padded(a, dims) for a in eqn.primitive.bind(*[p.array for p in ps], **{**eqn.params, "dimension": axis})]
    if len(ps) == 1 and jnp.issubdtype(ps[0].array.dtype, jnp.integer):  # behind the greatest number nothing has to stand
        array = masked(f, ps[0], highest(ps[0].array.dtype), [axis])
        return [Padded(lax.sort(array, dimension=axis, is_stable=eqn.params["is_stable"]), dims)]
    behind = lax.broadcasted_iota(np.int64, ps[0].array.shape, axis) >= f.true(dims[i][0])
    out = lax.sort(
        (behind.astype(np.int32), *[p.array for p in ps]), dimension=axis, is_stable=eqn.params["is_stable"], num_keys=eqn.params["num_keys"] + 1
    )
    return [Padded(a, dims) for a in out[1:]]


@rule("top_k")
def _top_k(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    shape = f.out(eqn)
    i = eqn.params.get("axis", -1) % len(shape)
    p = whole(f, ps[0], [i])
    (axis,) = p.axes(i)
    array = masked(f, p, lowest(p.array.dtype), [axis])
    k = min(f.pad(shape[i]), array.shape[axis])
    dims = tuple([(shape[i],) if j == i else d for j, d in enumerate(p.dims)])
    moved = jnp.moveaxis(array, axis, -1)
    return [Padded(jnp.moveaxis(a, -1, axis), dims) for a in lax.top_k(moved, k)]
