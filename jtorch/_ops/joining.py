"""Joining, repeating and mirroring: cat, stack and their kin, repeat, tile, roll, flip, triangles and diagonals."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from ._lib import dim_of, dims_of, place_type
from ._linalg_lib import scalar_name
from ._reduce import pairs_above


@op("cat(Tensor[] tensors, int dim=0)", format="all", where="torch", aliases="concat concatenate", promote="default", elementwise=False, apart="resized")
def cat(tensors: Any, dim: int) -> Any:
    """The tensors one after another along ``dim``; all other sizes agree. Empty 1-d tensors are skipped, as torch does."""
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        if x.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    real = [(i, x) for i, x in enumerate(tensors) if x.shape != (0,)]
    if not real:
        dim_of(dim, 1)
        return tensors[0]
    first = real[0][1]
    dim = dim_of(dim, first.ndim)
    for i, x in real:
        if x.ndim != first.ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} and {x.ndim}")
        for d in range(x.ndim):
            if d != dim and x.shape[d] != first.shape[d]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {first.shape[d]} but got size {x.shape[d]} "
                    f"for tensor number {i} in the list."
                )
    return real[0][1] if len(real) == 1 else lax.concatenate([x for _, x in real], dim)


def _parts(input: Any, sizes: Sequence[int], dim: int) -> tuple[Any, ...]:
    ends = np.cumsum(sizes)
    return tuple(lax.slice_in_dim(input, int(end) - n, int(end), axis=dim) for n, end in zip(sizes, ends, strict=True))


@op("unsafe_split(Tensor input, int[] sizes, int dim)", where="internal", out=False)
def unsafe_split(input: Any, sizes: Sequence[int], dim: int) -> tuple[Any, ...]:
    """The pieces of ``input`` along ``dim``, each in memory of its own."""
    return _parts(input, sizes, dim)


@op("unsafe_split_with_sizes(Tensor input, int[] sizes, int dim)", where="internal", out=False)
def unsafe_split_with_sizes(input: Any, sizes: Sequence[int], dim: int) -> tuple[Any, ...]:
    """As ``unsafe_split``."""
    return _parts(input, sizes, dim)


def _is_channels_last(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    if len(shape) != 4:
        return False
    _, c, h, w = shape
    return c > 1 and tuple(strides) == (h * w * c, 1, w * c, c)


def _stacked(shape: tuple[int, ...], strides: Any, shapes: Any, dim: int, **_: Any) -> tuple[int, ...] | None:
    """Images in channels_last stay so: the new dim is just outside of the one before which it stands."""
    dim %= len(shape)
    if len(shape) != 5 or dim == 4 or not all(_is_channels_last(n, s) for n, s in zip(shapes, strides, strict=True)):
        return None
    order = [d + (d >= dim) for d in (0, 2, 3, 1)]
    order.insert((0, 3, 1, 2)[dim], dim)
    out, step = [0] * 5, 1
    for d in reversed(order):
        out[d] = step
        step *= shape[d]
    return tuple(out)


@op("stack(Tensor[] tensors, int dim=0)", where="torch", promote="default", elementwise=False, format=_stacked)
def stack(tensors: Any, dim: int) -> Any:
    """The tensors, all of one shape, along a new dim."""
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    dim = dim_of(dim, tensors[0].ndim + 1)
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 and {list(x.shape)} at entry {i}"
            )
    return lax.concatenate([jnp.expand_dims(x, dim) for x in tensors], dim)


def _at_least(x: Any, ndim: int) -> Any:
    if ndim == 1:
        return x.reshape(1) if x.ndim == 0 else x
    if ndim == 2:
        return x.reshape(1, -1) if x.ndim < 2 else x
    return x.reshape(1, -1, 1) if x.ndim < 2 else x[..., None] if x.ndim == 2 else x


def _some(tensors: Any, name: str) -> None:
    if not tensors:
        raise RuntimeError(f"{name} expects a non-empty TensorList")


@op("hstack(Tensor[] tensors)", where="torch", promote="default", elementwise=False, grad_name="CatBackward0")
def hstack(tensors: Any) -> Any:
    """Side by side: along dim 1, vectors along dim 0."""
    _some(tensors, "hstack")
    parts = [_at_least(x, 1) for x in tensors]
    return cat.fn(parts, 0 if parts[0].ndim == 1 else 1)


@op("vstack(Tensor[] tensors)", where="torch", aliases="row_stack", promote="default", elementwise=False, grad_name="CatBackward0")
def vstack(tensors: Any) -> Any:
    """On top of each other: along dim 0, vectors as rows."""
    _some(tensors, "vstack")
    return cat.fn([_at_least(x, 2) for x in tensors], 0)


@op("dstack(Tensor[] tensors)", where="torch", promote="default", elementwise=False, grad_name="CatBackward0")
def dstack(tensors: Any) -> Any:
    """In depth: along dim 2, vectors and matrices get one."""
    _some(tensors, "dstack")
    return cat.fn([_at_least(x, 3) for x in tensors], 2)


@op("column_stack(Tensor[] tensors)", where="torch", promote="default", elementwise=False, grad_name="CatBackward0")
def column_stack(tensors: Any) -> Any:
    """Vectors as columns, matrices as they are, side by side."""
    _some(tensors, "column_stack")
    return hstack.fn([x.reshape(-1, 1) if x.ndim < 2 else x for x in tensors])


@op("block_diag(Tensor[] tensors)", where="internal", promote="default", elementwise=False)
def block_diag(tensors: Any) -> Any:
    """The matrices along the diagonal of one, zeros elsewhere; vectors and scalars count as rows."""
    for i, x in enumerate(tensors):
        if x.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x.ndim} dimensions"
            )
    parts = [x.reshape(1, -1) if x.ndim < 2 else x for x in tensors]
    width, left, rows = sum(x.shape[1] for x in parts), 0, []
    for x in parts:
        rows.append(jnp.pad(x, ((0, 0), (left, width - left - x.shape[1]))))
        left += x.shape[1]
    return jnp.concatenate(rows, 0)


def _check_repeats(input: Any, repeats: tuple[int, ...]) -> None:
    if len(repeats) < input.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = (1,) * (len(repeats) - input.ndim) + input.shape
    sizes = [n * r for n, r in zip(shape, repeats, strict=True)]
    if any(r < 0 for r in repeats):
        bad = next((s for s in sizes if s < 0), min(repeats))
        raise RuntimeError(f"Trying to create tensor with negative dimension {bad}: {sizes}")


@op("repeat(Tensor input, int[] repeats)", where="Tensor", out=False)
def repeat(input: Any, repeats: tuple[int, ...]) -> Any:
    """The tensor repeated so many times along each dim; more repeats than dims add dims in front."""
    _check_repeats(input, repeats)
    return jnp.tile(input, repeats)


@op("tile(Tensor input, int[] dims)", out=False, grad_name="RepeatBackward0")
def tile(input: Any, dims: tuple[int, ...]) -> Any:
    """As ``repeat``, with missing repeats as ones."""
    dims = (1,) * (input.ndim - len(dims)) + tuple(dims)
    _check_repeats(input, dims)
    return jnp.tile(input, dims)


@op("repeat_interleave(Tensor input, int repeats, int? dim=None)", where="internal", out=False, grad_name="ViewBackward0")
def repeat_interleave(input: Any, repeats: int, dim: int | None) -> Any:
    """Each element ``repeats`` times in a row, along ``dim`` or in the flattened tensor."""
    if repeats < 0:
        raise RuntimeError("Repeats must be non-negative")
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim = dim_of(dim, input.ndim)
    if input.ndim == 0:
        return jnp.broadcast_to(input, (repeats,))
    shape = input.shape
    wide = jnp.broadcast_to(jnp.expand_dims(input, dim + 1), (*shape[: dim + 1], repeats, *shape[dim + 1 :]))
    return wide.reshape(*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :])


@op("flip(Tensor input, int[] dims)", out=False, format="like")
def flip(input: Any, dims: tuple[int, ...]) -> Any:
    """The order of elements turned round along the given dims."""
    where = dims_of(dims, input.ndim) if dims else ()
    return lax.rev(input, where) if where and input.ndim else input


@op("fliplr(Tensor input)", out=False, format="like", grad_name="FlipBackward0")
def fliplr(input: Any) -> Any:
    """Turned round along dim 1."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return lax.rev(input, (1,))


@op("flipud(Tensor input)", out=False, format="like", grad_name="FlipBackward0")
def flipud(input: Any) -> Any:
    """Turned round along dim 0."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return lax.rev(input, (0,))


def _kept(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides of a result like the input where that has no gaps, the dims in the same order; None if contiguous."""
    out, step = [0] * len(shape), 1
    for d in sorted(range(len(shape)), key=lambda d: (strides[d], -d)):
        out[d] = step
        step *= shape[d]
    plain = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    return None if tuple(out) == plain else tuple(out)


def _rolled(shape: tuple[int, ...], strides: Any, shapes: Any, dims: Any, **_: Any) -> str | None:
    return "first" if dims else None


def _turned(shape: tuple[int, ...], strides: Any, shapes: Any, k: int, dims: Any, **_: Any) -> tuple[int, ...] | None:
    """A flip, then a view of it."""
    if 0 in shape or k % 4 == 0:
        return None
    order, (a, b) = list(range(len(shape))), (d % len(shape) for d in dims)
    if k % 2:
        order[a], order[b] = b, a
    flipped = _kept(shapes[0], strides[0]) or tuple(int(np.prod(shapes[0][i + 1 :])) for i in range(len(shape)))
    out = tuple(flipped[d] for d in order)
    return out if k % 2 or _kept(shape, strides[0]) else None


def _moved(x: Any, shift: Any, dim: int) -> Any:
    n = x.shape[dim]
    if isinstance(shift, int) or place_type(n) is np.int32:
        return jnp.roll(x, shift, dim)
    # JAX counts in int32 where the shift is no number yet.
    return lax.dynamic_slice_in_dim(jnp.concatenate((x, x), dim), n - jnp.remainder(shift, n), n, dim)


@op("roll(Tensor input, index[1] shifts, int[1] dims=())", out=False, format=_rolled)
def roll(input: Any, shifts: Sequence[Any], dims: tuple[int, ...]) -> Any:
    """Elements moved along the dims, those that fall off come in at the other end; without dims the flattened tensor is rolled."""
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims and len(shifts) == 1:
        return _moved(input.reshape(-1), shifts[0], 0).reshape(input.shape)
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    for shift, dim in zip(shifts, dims, strict=True):
        if input.ndim == 0:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        input = _moved(input, shift, dim_of(dim, input.ndim))
    return input


@op("rot90(Tensor input, int k=1, int[] dims=(0, 1))", out=False, format=_turned)
def rot90(input: Any, k: int, dims: tuple[int, ...]) -> Any:
    """Turned by ``k`` times 90 degrees in the plane of two dims, from the first towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    for i, d in enumerate(dims):
        if not -input.ndim <= d < input.ndim:
            raise RuntimeError(f"Rotation dim{i} out of range, dim{i} = {d}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input.ndim:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    return jnp.rot90(input, k, dims)


def _triangle(input: Any, diagonal: int, lower: bool) -> Any:
    if input.ndim < 2:
        raise RuntimeError(f"{'tril' if lower else 'triu'}: input tensor must have at least 2 dimensions")
    rows, columns = (lax.broadcasted_iota(place_type(*input.shape[-2:]), input.shape[-2:], d) for d in (0, 1))
    keep = columns - rows <= diagonal if lower else columns - rows >= diagonal
    return jnp.where(keep, input, jnp.zeros((), input.dtype))


@op("tril(Tensor input, index diagonal=0)", inplace=True, expanded=True)
def tril(input: Any, diagonal: int) -> Any:
    """The part of each matrix on and below the ``diagonal``, zeros above."""
    return _triangle(input, diagonal, True)


@op("triu(Tensor input, index diagonal=0)", inplace=True, expanded=True)
def triu(input: Any, diagonal: int) -> Any:
    """The part of each matrix on and above the ``diagonal``, zeros below."""
    return _triangle(input, diagonal, False)


@op("diag_embed(Tensor input, int offset=0, int dim1=-2, int dim2=-1)", "diag_embed(Tensor input, *, int offset=0, int dim1=-2, int dim2=-1)")
def diag_embed(input: Any, offset: int, dim1: int, dim2: int) -> Any:
    """The last dim as the diagonal ``offset`` of matrices that lie in two new dims."""
    n = input.ndim + 1
    if input.ndim == 0:
        dim_of(-1, 0)
    first, second = dim_of(dim1, n), dim_of(dim2, n)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _embed(input, offset, first, second)


def _embed(x: Any, offset: int, first: int, second: int) -> Any:
    size = x.shape[-1] + abs(offset)
    before, after = max(offset, 0), max(-offset, 0)
    # One row or column of padding per element places the diagonal: no scatter, and the gradient is a slice.
    rows, columns = (lax.broadcasted_iota("int32", (size, size), d) for d in (0, 1))
    wide = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)])
    wide = jnp.where(columns - rows == offset, jnp.expand_dims(wide, -2), jnp.zeros((), x.dtype))
    return jnp.moveaxis(wide, (-2, -1), (first, second))


@op("diagflat(Tensor input, int offset=0)", out=False, grad_name="DiagEmbedBackward0")
def diagflat(input: Any, offset: int) -> Any:
    """A matrix with the flattened input as its diagonal ``offset``."""
    return _embed(input.reshape(-1), offset, 0, 1)


@op("cartesian_prod(Tensor[] tensors)", where="internal", out=False, grad_name="StackBackward0")
def cartesian_prod(tensors: Any) -> Any:
    """Every combination of one element from each vector, as rows; a single vector comes back as it is."""
    for x in tensors:
        if x.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len({x.dtype for x in tensors}) > 1:
        raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    if len(tensors) == 1:
        return tensors[0]
    grids = jnp.meshgrid(*tensors, indexing="ij")
    return jnp.stack([g.reshape(-1) for g in grids], 1)


@op("combinations(Tensor input, int r, bool with_replacement)", where="internal", out=False, grad_name="StackBackward0", kept="input")
def combinations(input: Any, r: int, with_replacement: bool) -> Any:
    """All sets of r elements of a vector, as rows; the same element may come twice with replacement."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input[:0]
    if r == 2 and not isinstance(input.shape[0], int):
        return input[jnp.stack(pairs_above(input.shape[0], 0 if with_replacement else 1), 1)]
    sets = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(sets(range(input.shape[0]), r)), np.int32).reshape(-1, r)
    return input[rows]


@op("vander(Tensor x, int? N=None, bool increasing=False)", where="torch", out=False, grad_name="FlipBackward0", kept="x")
def vander(x: Any, N: int | None, increasing: bool) -> Any:  # noqa: N803 - torch's name
    """The powers of each element of a vector as a row of N, falling unless ``increasing``."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    powers = _powers(x, n)
    return powers if increasing else jnp.flip(powers, 1)


def _powers(x: Any, n: int) -> Any:
    """(..., n): 1, x, x**2, ... by products, integers in int64."""
    x = x.astype("int64") if jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool else x
    if n == 0:
        return jnp.zeros((*x.shape, 0), x.dtype)
    ones = jnp.ones((*x.shape, 1), x.dtype)
    if n == 1:
        return ones
    return jnp.concatenate([ones, jnp.cumprod(jnp.broadcast_to(x[..., None], (*x.shape, n - 1)), -1, dtype=x.dtype)], -1)


@op("vander(Tensor x, *, int? N=None)", where="linalg", out=False, grad_name="CumprodBackward0", kept="x")
def linalg_vander(x: Any, N: int | None) -> Any:  # noqa: N803 - torch's name
    """(..., n) gives (..., n, N): the rising powers of each element."""
    x = _at_least(x, 1)
    if (x.shape[-1] if N is None else N) <= 1:
        raise RuntimeError("N must be greater than 1.")
    if scalar_name(x) == "Bool":
        raise RuntimeError("linalg.vander: expected a floating point, complex or integral tensor, but got Bool")
    return _powers(x, x.shape[-1] if N is None else N)
