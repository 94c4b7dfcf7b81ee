"""Views: operators whose result shares memory with their input.

Each has three faces: the function of arrays (``@op(view=True)``), the arithmetic of shape, strides and offset (``strides=``: (shape, strides, offset, *args) ->
(shape, strides, offset), which also raises torch's errors), and for writing through the view the function that puts new elements back (``PUT``; without
an entry there, elements are scattered by the positions that the view reads).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from ._lib import dim_of, known_below, place_type, positions, size_as

PUT: dict[str, Callable[..., Any]] = {}
Layout = tuple[tuple[int, ...], tuple[int, ...], int]


def put(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare how a view is written: (whole, part, *args) -> whole with the view's elements replaced by part."""

    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        PUT[name] = fn
        return fn

    return declare


def put_generic(view: Callable[..., Any], whole: Any, part: Any, *args: Any) -> Any:
    """Write any view: send the positions 0..n-1 through it and scatter."""
    n = whole.size
    where = view(jnp.arange(n, dtype=np.int32 if known_below(n, 2**31) else np.int64).reshape(whole.shape), *args)
    return whole.reshape(-1).at[where.reshape(-1)].set(part.reshape(-1), unique_indices=True).reshape(whole.shape)


# --- permutations -----------------------------------------------------------------------------------------------


def _permuted(shape: Any, strides: Any, offset: int, order: Any) -> Layout:
    return tuple(shape[d] for d in order), tuple(strides[d] for d in order), offset


def _transpose_order(ndim: int, dim0: int, dim1: int) -> tuple[int, ...]:
    a, b = dim_of(dim0, ndim), dim_of(dim1, ndim)
    order = list(range(ndim))
    if ndim:
        order[a], order[b] = order[b], order[a]
    return tuple(order)


def _transpose_strides(shape: Any, strides: Any, offset: int, dim0: int, dim1: int) -> Layout:
    return _permuted(shape, strides, offset, _transpose_order(len(shape), dim0, dim1))


@op("transpose(Tensor input, int dim0, int dim1)", view=True, strides=_transpose_strides, out=False)
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    return lax.transpose(input, _transpose_order(input.ndim, dim0, dim1))


put("transpose")(lambda whole, part, dim0, dim1: lax.transpose(part, _transpose_order(part.ndim, dim0, dim1)))


@op("swapaxes(Tensor input, int axis0, int axis1)", view=True, strides=_transpose_strides, out=False, grad_name="TransposeBackward0")
def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    return lax.transpose(input, _transpose_order(input.ndim, axis0, axis1))


put("swapaxes")(PUT["transpose"])


@op("swapdims(Tensor input, int dim0, int dim1)", view=True, strides=_transpose_strides, out=False, grad_name="TransposeBackward0")
def swapdims(input: Any, dim0: int, dim1: int) -> Any:
    return lax.transpose(input, _transpose_order(input.ndim, dim0, dim1))


put("swapdims")(PUT["transpose"])


def _t_strides(shape: Any, strides: Any, offset: int) -> Layout:
    if len(shape) > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {len(shape)}D")
    return tuple(reversed(shape)), tuple(reversed(strides)), offset


@op("t(Tensor input)", view=True, strides=_t_strides, out=False)
def t(input: Any) -> Any:
    return input.T


put("t")(lambda whole, part: part.T)


def _order_of(ndim: int, dims: Any) -> tuple[int, ...]:
    if len(dims) != ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = {len(dims)}"
        )
    order = tuple(dim_of(d, ndim) for d in dims)
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return order


@op("permute(Tensor input, int[] dims)", view=True, strides=lambda sh, st, o, dims: _permuted(sh, st, o, _order_of(len(sh), dims)), out=False)
def permute(input: Any, dims: tuple[int, ...]) -> Any:
    return lax.transpose(input, _order_of(input.ndim, dims))


@put("permute")
def _put_permute(whole: Any, part: Any, dims: Any) -> Any:
    order = _order_of(whole.ndim, dims)
    return lax.transpose(part, tuple(np.argsort(np.asarray(order, int))) if order else ())


# --- shapes -----------------------------------------------------------------------------------------------------


def infer_size(size: Any, n: int, shape: Any) -> tuple[int, ...]:
    """``size`` with -1 filled in for ``n`` elements. RuntimeError with torch's text."""
    out = list(size)
    unknown = [i for i, d in enumerate(out) if d == -1]
    for d in out:
        if d < -1:
            raise RuntimeError(f"invalid shape dimension {d} at index {out.index(d)} of shape {list(size)}")
    if len(unknown) > 1:
        raise RuntimeError("only one dimension can be inferred")
    rest = 1
    for d in out:
        rest *= d if d != -1 else 1
    if unknown:
        if rest == 0:
            if n == 0:
                raise RuntimeError(
                    f"cannot reshape tensor of 0 elements into shape {list(size)} because the unspecified dimension size -1 can be any value and is ambiguous"
                )
            raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {n}")
        if n % rest:
            raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {n}")
        out[unknown[0]] = n // rest
    elif rest != n:
        raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {n}")
    return tuple(out)


def view_strides(shape: Any, strides: Any, new: Any) -> tuple[int, ...] | None:
    """Strides under which memory laid out as (shape, strides) has shape ``new``; None if there are none."""
    n = 1
    for d in shape:
        n *= d
    if n == 0:
        if tuple(shape) == tuple(new):
            return tuple(strides)
        out, step = [0] * len(new), 1
        for i in range(len(new) - 1, -1, -1):
            out[i] = step
            step *= max(new[i], 1)
        return tuple(out)
    out = [0] * len(new)
    at = len(new) - 1
    base = strides[-1] if strides else 1
    size = covered = 1
    for d in range(len(shape) - 1, -1, -1):
        size *= shape[d]
        if d == 0 or (shape[d - 1] != 1 and strides[d - 1] != size * base):
            while at >= 0 and (covered < size or new[at] == 1):
                out[at] = covered * base
                covered *= new[at]
                at -= 1
            if covered != size:
                return None
            if d > 0:
                base, size, covered = strides[d - 1], 1, 1
    while at >= 0 and not shape:
        out[at] = base
        at -= 1
    return tuple(out) if at == -1 else None


def _numel(shape: Any) -> int:
    n = 1
    for d in shape:
        n *= d
    return n


def _view_strides(shape: Any, strides: Any, offset: int, size: Any) -> Layout:
    new = infer_size(size, _numel(shape), shape)
    found = view_strides(shape, strides, new)
    if found is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return new, found, offset


@op("view(Tensor input, int[] size)", view=True, strides=_view_strides, where="internal", out=False)
def view(input: Any, size: tuple[int, ...]) -> Any:
    return input.reshape(infer_size(size, input.size, input.shape))


put("view")(lambda whole, part, size: part.reshape(whole.shape))


def _unsqueeze_strides(shape: Any, strides: Any, offset: int, dim: int) -> Layout:
    d = dim_of(dim, len(shape) + 1)
    step = shape[d] * strides[d] if d < len(shape) else 1
    return (*shape[:d], 1, *shape[d:]), (*strides[:d], step, *strides[d:]), offset


@op("unsqueeze(Tensor input, int dim)", view=True, strides=_unsqueeze_strides, out=False)
def unsqueeze(input: Any, dim: int) -> Any:
    return jnp.expand_dims(input, dim_of(dim, input.ndim + 1))


put("unsqueeze")(lambda whole, part, dim: part.reshape(whole.shape))


def _squeezed(shape: Any, dim: Any) -> list[int]:
    n = len(shape)
    dims = range(n) if dim is None else [dim_of(d, n) for d in (dim if isinstance(dim, tuple) else (dim,))]
    if dim is not None and isinstance(dim, tuple) and len(set(dims)) != len(list(dims)):
        twice = next(d for d in dims if list(dims).count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return [i for i in range(n) if not (i in dims and shape[i] == 1)]


def _squeeze_strides(shape: Any, strides: Any, offset: int, dim: Any = None) -> Layout:
    keep = _squeezed(shape, dim)
    return tuple(shape[i] for i in keep), tuple(strides[i] for i in keep), offset


@op("squeeze(Tensor input)", view=True, strides=_squeeze_strides, out=False, grad_name="SqueezeBackward0")
def squeeze(input: Any) -> Any:
    return input.reshape([input.shape[i] for i in _squeezed(input.shape, None)])


@op("squeeze(Tensor input, int dim)", view=True, strides=_squeeze_strides, out=False, grad_name="SqueezeBackward1")
def squeeze_dim(input: Any, dim: int) -> Any:
    return input.reshape([input.shape[i] for i in _squeezed(input.shape, dim)])


@op("squeeze(Tensor input, int[] dim)", view=True, strides=_squeeze_strides, out=False, grad_name="SqueezeBackward2")
def squeeze_dims(input: Any, dim: tuple[int, ...]) -> Any:
    return input.reshape([input.shape[i] for i in _squeezed(input.shape, dim)])


put("squeeze")(lambda whole, part, dim=None: part.reshape(whole.shape))


def _expand_strides(shape: Any, strides: Any, offset: int, size: Any, implicit: bool = False) -> Layout:
    lead = len(size) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand(torch.FloatTensor{{{list(shape)}}}, size={list(size)}): the number of sizes provided ({len(size)}) must be greater or equal to the number of dimensions in the tensor ({len(shape)})"
        )
    new, out = [], []
    for i, want in reversed(list(enumerate(size))):
        have, step = (shape[i - lead], strides[i - lead]) if i >= lead else (1, 0)
        if want == -1:
            if i < lead:
                raise RuntimeError(f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}")
            want = have
        if have != want:
            if have != 1:
                raise RuntimeError(
                    f"The expanded size of the tensor ({want}) must match the existing size ({have}) at non-singleton dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: {list(shape)}"
                )
            step = 0
        elif i < lead:
            step = new[-1] * out[-1] if shape else 0
        new.append(want)
        out.append(step)
    return tuple(reversed(new)), tuple(reversed(out)), offset


@op("expand(Tensor input, int[] size, *, bool implicit=False)", view=True, strides=_expand_strides, where="Tensor", out=False)
def expand(input: Any, size: tuple[int, ...], implicit: bool = False) -> Any:
    shape, _, _ = _expand_strides(input.shape, (0,) * input.ndim, 0, size)
    return jnp.broadcast_to(input, shape)


# --- parts ------------------------------------------------------------------------------------------------------


def _select_strides(shape: Any, strides: Any, offset: int, dim: int, index: int) -> Layout:
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = dim_of(dim, len(shape))
    if not -shape[d] <= index < shape[d]:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(shape)} at dimension {dim}")
    at = index % shape[d]
    return (*shape[:d], *shape[d + 1 :]), (*strides[:d], *strides[d + 1 :]), offset + at * strides[d]


def _wrapped(index: Any, size: int) -> Any:
    if isinstance(index, int):
        return index % size
    return jnp.where(index < 0, index + size, index).astype(place_type(size))


@op("select(Tensor input, int dim, index index)", view=True, strides=_select_strides, out=False)
def select(input: Any, dim: int, index: Any) -> Any:
    d = dim_of(dim, input.ndim)
    at: Any = _wrapped(index, input.shape[d])
    kind = place_type(input.shape[d])
    at = at if isinstance(at, jax.Array) else size_as(at, kind)
    starts = [at if i == d else kind(0) for i in range(input.ndim)]
    return lax.squeeze(lax.dynamic_slice(input, starts, [1 if i == d else n for i, n in enumerate(input.shape)]), (d,))


@put("select")
def _put_select(whole: Any, part: Any, dim: int, index: Any) -> Any:
    d = dim_of(dim, whole.ndim)
    return lax.dynamic_update_index_in_dim(whole, jnp.expand_dims(part, d), _wrapped(index, whole.shape[d]), d)


def slice_bounds(size: int, start: int | None, end: int | None, step: int) -> tuple[int, int]:
    """(first, count) of a slice of a dim, as Python and torch clip it."""
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    first, last, _ = slice(start, end, step).indices(size)
    return first, max(0, -(-(last - first) // step))


def _slice_strides(shape: Any, strides: Any, offset: int, dim: int, start: int, length: int, step: int) -> Layout:
    d = dim_of(dim, len(shape))
    return (
        (*shape[:d], length, *shape[d + 1 :]), (*strides[:d], strides[d] * step, *strides[d + 1 :]),
        offset + start * strides[d] if shape[d] else offset,
    )  # fmt: skip


# The start of a slice may change from call to call without a new program; its length and step may not.
@op("slice(Tensor input, int dim, index start, int length, int step)", view=True, strides=_slice_strides, where="internal", out=False)
def slice_(input: Any, dim: int, start: Any, length: int, step: int) -> Any:
    d = dim_of(dim, input.ndim)
    if step == 1:
        return lax.dynamic_slice_in_dim(input, start, length, d)
    span = (length - 1) * step + 1 if length else 0
    return lax.slice_in_dim(lax.dynamic_slice_in_dim(input, start, span, d), 0, span, step, d)


@put("slice")
def _put_slice(whole: Any, part: Any, dim: int, start: Any, length: int, step: int) -> Any:
    d = dim_of(dim, whole.ndim)
    if step == 1:
        return lax.dynamic_update_slice_in_dim(whole, part, start, d)
    kind = place_type(whole.shape[d])
    where = (slice(None),) * d + (jnp.asarray(start, kind) + step * jnp.arange(length, dtype=kind),)
    return whole.at[where].set(part, unique_indices=True, indices_are_sorted=True)


def _piece(name: str, grad_name: str) -> None:
    """The pieces of split and unbind are slices under other names."""
    op(f"{name}(Tensor input, int dim, index start, int length, int step)", view=True, strides=_slice_strides, where="internal", out=False, grad_name=grad_name)(
        lambda input, dim, start, length, step: slice_.fn(input, dim, start, length, step)
    )
    PUT[name] = _put_slice


_piece("split_piece", "SplitBackward0")
_piece("split_with_sizes_piece", "SplitWithSizesBackward0")


@op("unbind_piece(Tensor input, int dim, index index)", view=True, strides=_select_strides, where="internal", out=False, grad_name="UnbindBackward0")
def unbind_piece(input: Any, dim: int, index: Any) -> Any:
    return select.fn(input, dim, index)


PUT["unbind_piece"] = _put_select


def _diagonal_strides(shape: Any, strides: Any, offset: int, shift: int = 0, dim1: int = 0, dim2: int = 1) -> Layout:
    a, b = dim_of(dim1, len(shape)), dim_of(dim2, len(shape))
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    n = max(min(shape[a], shape[b] - shift), 0) if shift >= 0 else max(min(shape[a] + shift, shape[b]), 0)
    if n:
        offset += shift * strides[b] if shift >= 0 else -shift * strides[a]
    keep = [i for i in range(len(shape)) if i not in (a, b)]
    return (*(shape[i] for i in keep), n), (*(strides[i] for i in keep), strides[a] + strides[b]), offset


@op("diagonal(Tensor input, int offset=0, int dim1=0, int dim2=1)", view=True, strides=_diagonal_strides, out=False)
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    # A strided slice of the flattened square: jnp.diagonal is a gather, whose gradient would need the input.
    x = jnp.moveaxis(input, (dim_of(dim1, input.ndim), dim_of(dim2, input.ndim)), (-2, -1))
    x = x[..., max(-offset, 0) :, max(offset, 0) :]
    n = min(x.shape[-2:])
    return x[..., :n, :n].reshape(*x.shape[:-2], n * n)[..., :: n + 1]


def _unfold_strides(shape: Any, strides: Any, offset: int, dimension: int, size: int, step: int) -> Layout:
    d = dim_of(dimension, len(shape))
    have = shape[d] if shape else 1
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if size > have:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {have} but size is {size}")
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if not shape:
        return (size,), (1,), offset
    count = (have - size) // step + 1
    return (*shape[:d], count, *shape[d + 1 :], size), (*strides[:d], step * strides[d], *strides[d + 1 :], strides[d]), offset


@op("unfold(Tensor input, int dimension, int size, int step)", view=True, strides=_unfold_strides, where="Tensor", out=False)
def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    d = dim_of(dimension, input.ndim)
    if input.ndim == 0:
        return jnp.broadcast_to(input, (size,))
    count = (input.shape[d] - size) // step + 1
    where = (positions(count)[:, None] * step + positions(size)[None, :]).astype(place_type(input.shape[d]))
    # The bare gather: jnp.take is a jitted function, whose gradient would hold on to the input.
    kept = tuple(i for i in range(input.ndim + 1) if i not in (d, input.ndim))
    numbers = lax.GatherDimensionNumbers(offset_dims=kept, collapsed_slice_dims=(d,), start_index_map=(d,))
    sizes = tuple(1 if i == d else n for i, n in enumerate(input.shape))
    return lax.gather(input, where[..., None], numbers, sizes, mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS)


def put_unfold(whole: Any, part: Any, dimension: int, size: int, step: int) -> Any:
    return put_generic(unfold.fn, whole, part, dimension, size, step)


# as_strided reads memory, so it is told how its input lies there.
@op("as_strided(Tensor input, int[] size, int[] stride, int offset, int[] layout, int[] order)", view=True, where="internal", out=False, view_from_start=True,
    strides=lambda sh, st, o, size, stride, offset, layout, order: (size, stride, offset))  # fmt: skip
def as_strided(input: Any, size: Any, stride: Any, offset: int, layout: Any, order: Any) -> Any:
    flat = lax.transpose(input, order).reshape(-1) if order else input.reshape(-1)
    return flat[places_within(flat, size, stride, offset).astype(place_type(flat.size))]


def places(size: Any, stride: Any, offset: int) -> np.ndarray:
    """The position in memory of each element of a view by strides."""
    where = np.full(size, offset, np.int64)
    for d, (n, s) in enumerate(zip(size, stride, strict=True)):
        where += (np.arange(n) * s).reshape([-1 if i == d else 1 for i in range(len(size))])
    return where


def places_within(flat: Any, size: Any, stride: Any, offset: int) -> np.ndarray:
    """As :func:`places`; RuntimeError where the memory ends before."""
    check_within(flat.size, flat.dtype.itemsize, size, stride, offset)
    return places(size, stride, offset)


def check_within(have: int, itemsize: int, size: Any, stride: Any, offset: int) -> None:
    """RuntimeError if a view by strides leaves memory of ``have`` elements."""
    need = offset + 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if need > have and 0 not in size:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize {itemsize} requiring a storage size of "
            f"{need * itemsize} are out of bounds for storage of size {have * itemsize}"
        )


@op("alias(Tensor input)", view=True, strides=lambda sh, st, o: (sh, st, o), where="internal", out=False)
def alias(input: Any) -> Any:
    return input


put("alias")(lambda whole, part: part)
