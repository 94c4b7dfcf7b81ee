"""Products, convolutions, factorizations."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops._linalg_lib import LARGE_PRODUCT

from .dims import Frame, is_symbolic
from .reduction import highest, lowest
from .table import NoRule, rule
from .value import Padded, fit, masked, single, valid, whole

__all__: list[str] = []


def _same(f: Frame, a: Padded, b: Padded, i: int, j: int) -> tuple[Padded, Padded]:
    """Both operands with the same axes, as long as each other, for dim ``i`` of the one and ``j`` of the other."""
    if tuple(map(str, a.dims[i])) != tuple(map(str, b.dims[j])):
        a, b = whole(f, a, [i]), whole(f, b, [j])
    x, y = a.array, b.array
    for p, q in zip(a.axes(i), b.axes(j), strict=True):
        n = min(x.shape[p], y.shape[q])
        x, y = fit(x, p, n), fit(y, q, n)
    return Padded(x, a.dims), Padded(y, (*b.dims[:j], a.dims[i], *b.dims[j + 1 :]))


def _summed_as_one(x: Any, y: Any, summed: tuple[list[int], list[int]], batch: tuple[list[int], list[int]]) -> tuple[Any, Any, Any]:
    """Operands and dimension numbers of the same product; a large one with one axis in the place of several that are summed over, where that is no more than another shape: XLA's cpu compiler transposes for each
    further one (see rows_as_one in _ops/_linalg_lib.py)."""
    i, j, count = min(summed[0], default=0), min(summed[1], default=0), len(summed[0])
    if count > 1 and x.size * y.size // max(math.prod([x.shape[k] for k in summed[0]]), 1) >= LARGE_PRODUCT and summed == ([*range(i, i + count)], [*range(j, j + count)]):
        x, y = (z.reshape(*z.shape[:k], -1, *z.shape[k + count :]) for z, k in ((x, i), (y, j)))
        batch = ([k if k < i else k - count + 1 for k in batch[0]], [k if k < j else k - count + 1 for k in batch[1]])
        summed = ([i], [j])
    return x, y, (tuple(map(tuple, summed)), tuple(map(tuple, batch)))


@rule("dot_general")
def _dot(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    a, b = ps
    ((ca, cb), (ba, bb)) = eqn.params["dimension_numbers"]
    for i, j in (*zip(ca, cb, strict=True), *zip(ba, bb, strict=True)):
        a, b = _same(f, a, b, i, j)
    # On both sides, since 0 * NaN is NaN. Along all axes where any is contracted: a value that goes into several products is masked once.
    x = masked(f, a, 0) if valid(f, a, a.axes_of(ca)) is not None else a.array
    y = masked(f, b, 0) if valid(f, b, b.axes_of(cb)) is not None else b.array
    x, y, numbers = _summed_as_one(x, y, (a.axes_of(ca), b.axes_of(cb)), (a.axes_of(ba), b.axes_of(bb)))
    out = eqn.primitive.bind(x, y, **{**eqn.params, "dimension_numbers": numbers})
    free = [d for i, d in enumerate(a.dims) if i not in ca and i not in ba] + [d for j, d in enumerate(b.dims) if j not in cb and j not in bb]
    return Padded(out, tuple([a.dims[i] for i in ba] + free))


# ---- windows: convolutions and pooling -----------------------------------------------------------------------------------------


def _behind(length: int, out: int, window: int, stride: int, low: int, dilation: int) -> int:
    """The padding at the end that gives ``out`` results."""
    return (out - 1) * stride + window - low - (max(length - 1, 0) * dilation + 1)


@rule("conv_general_dilated")
def _conv(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    q = eqn.params
    x, w, shape = whole(f, ps[0]), whole(f, ps[1]), f.out(eqn)
    xs, ws, os = q["dimension_numbers"]
    if (q["feature_group_count"] != 1 and is_symbolic(x.dims[xs[1]][0])) or (q["batch_group_count"] != 1 and is_symbolic(x.dims[xs[0]][0])):
        raise NoRule("conv_general_dilated over a changing number of groups")
    x = Padded(fit(x.array, xs[1], w.array.shape[ws[1]]) if q["feature_group_count"] == 1 else x.array, x.dims)
    if q["feature_group_count"] == 1:
        w = Padded(fit(w.array, ws[1], x.array.shape[xs[1]]), w.dims)
    a, b = masked(f, x, 0, xs[1:]), masked(f, w, 0, ws[1:])
    padding = []
    for k, (low, _) in enumerate(q["padding"]):
        low = f.dim(low)
        if is_symbolic(low):
            raise NoRule("conv_general_dilated with a changing border")
        window = (b.shape[ws[2 + k]] - 1) * q["rhs_dilation"][k] + 1
        padding.append((low, _behind(a.shape[xs[2 + k]], f.pad(shape[os[2 + k]]), window, q["window_strides"][k], low, q["lhs_dilation"][k])))
    out = eqn.primitive.bind(a, b, **{**q, "padding": tuple(padding)})
    for axis, d in enumerate(shape):
        out = fit(out, axis, f.pad(d))
    return Padded(out, single(shape))


_WINDOWS: dict[str, Any] = {"reduce_window_sum": lambda kind: 0, "reduce_window_max": lowest, "reduce_window_min": highest}


@rule(*_WINDOWS)
def _window(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    q, shape = eqn.params, f.out(eqn)
    p = whole(f, ps[0])
    array = masked(f, p, _WINDOWS[eqn.primitive.name](p.array.dtype))
    return Padded(eqn.primitive.bind(array, **{**q, "padding": _padding(f, q, array.shape, [f.pad(d) for d in shape])}), single(shape))


def _padding(f: Frame, q: Any, lengths: Any, out: list[int]) -> tuple[Any, ...]:
    padding = []
    for k, (low, _) in enumerate(q["padding"]):
        low, size = f.dim(low), f.dim(q["window_dimensions"][k])
        if is_symbolic(low) or is_symbolic(size):
            raise NoRule("a window of changing size")
        window = (size - 1) * (q["window_dilation"][k] if "window_dilation" in q else 1) + 1
        padding.append((low, _behind(lengths[k], out[k], window, q["window_strides"][k], low, q["base_dilation"][k] if "base_dilation" in q else 1)))
    return tuple(padding)


@rule("select_and_scatter_add")
def _select_and_scatter(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    q = eqn.params
    source, operand = whole(f, ps[0]), whole(f, ps[1])
    fill = {"ge": lowest, "le": highest}.get(q["select_prim"].name)
    if fill is None:
        raise NoRule(f"select_and_scatter_add by {q['select_prim'].name}")
    a, b = masked(f, source, 0), masked(f, operand, fill(operand.array.dtype))
    out = eqn.primitive.bind(a, b, **{**q, "padding": _padding(f, q, b.shape, list(a.shape))})
    return Padded(out, operand.dims)


# ---- matrices ------------------------------------------------------------------------------------------------------------------


def _with_identity(f: Frame, p: Padded) -> Any:
    """Matrices with the identity beyond their true size."""
    n = p.array.ndim
    mask = valid(f, p, [n - 2, n - 1])
    if mask is None:
        return p.array
    rows, columns = (lax.broadcasted_iota(np.int64, p.array.shape, a) for a in (n - 2, n - 1))
    return jnp.where(mask, p.array, (rows == columns).astype(p.array.dtype))


@rule("cholesky")
def _cholesky(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p = whole(f, ps[0])
    return Padded(eqn.primitive.bind(_with_identity(f, p), **eqn.params), p.dims)


@rule("triangular_solve")
def _triangular_solve(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    a, b = whole(f, ps[0]), whole(f, ps[1])
    n, at = a.array.ndim, b.array.ndim - (2 if eqn.params["left_side"] else 1)
    for i in range(n - 2):
        a, b = _same(f, a, b, i, i)
    length = min(a.array.shape[-1], a.array.shape[-2], b.array.shape[at])
    a = Padded(fit(fit(a.array, n - 1, length), n - 2, length), a.dims)
    b = Padded(fit(b.array, at, length), b.dims)
    return Padded(eqn.primitive.bind(_with_identity(f, a), masked(f, b, 0, [at]), **eqn.params), b.dims)


_BY_MATRIX = {"eig": 2, "eigh": 2, "fft": 0, "householder_product": 2, "qr": 2, "schur": 2, "svd": 2, "tridiagonal": 2, "tridiagonal_solve": 2, "ormqr": 2}


@rule("lu")
def _lu(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p = whole(f, ps[0])
    (rows,), (columns,) = p.dims[-2:]
    if not rows == columns:
        return _by_matrix(f, eqn, ps)
    # Below a matrix stand zeros, which are pivots only where all that is valid is zero too; then the first is taken.
    out = eqn.primitive.bind(_with_identity(f, p), **eqn.params)
    return [Padded(a, single(f.out(eqn, k))) for k, a in enumerate(out)]


@rule("lu_pivots_to_permutation")
def _permutation(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    p, size = whole(f, ps[0]), f.dim(eqn.params["permutation_size"])
    mask = valid(f, p, [p.array.ndim - 1])
    array = p.array if mask is None else jnp.where(mask, p.array, lax.broadcasted_iota(p.array.dtype, p.array.shape, p.array.ndim - 1))
    array = jnp.clip(array, 0, array.shape[-1] - 1)
    return Padded(eqn.primitive.bind(array, permutation_size=max(f.pad(size), array.shape[-1])), single(f.out(eqn)))


@rule(*_BY_MATRIX)
def _by_matrix(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    """What is done to each matrix (or line) of a batch by itself: the batch may change, the matrices may not."""
    core = _BY_MATRIX[eqn.primitive.name] or len(eqn.params["fft_lengths"])
    ps = [whole(f, p) for p in ps]
    if any(is_symbolic(d) for p in ps for (d,) in p.dims[len(p.dims) - core :]):
        raise NoRule(f"{eqn.primitive.name} of a changing size")
    arrays = [masked(f, p, 0) for p in ps]
    batch = [min(a.shape[i] for a in arrays) for i in range(arrays[0].ndim - core)]
    for i, n in enumerate(batch):
        arrays = [fit(a, i, n) for a in arrays]
    out = eqn.primitive.bind(*arrays, **eqn.params)
    made = [Padded(a, single(f.out(eqn, k))) for k, a in enumerate(out if eqn.primitive.multiple_results else [out])]
    return made if eqn.primitive.multiple_results else made[0]
