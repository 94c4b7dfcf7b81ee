"""Reading and writing by integer index: gather, scatter, index_*, take, put, embedding's row lookup.

The functions take indices to be in range, as XLA has no errors on values: reads clamp and writes drop what is out of range. That they are is what
each operator's guard says, and the engine checks (``_engine/recording/guards.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from . import _guards, _value_guards
from ._fitting import written_at
from ._lib import broadcast_shape, dim_of, known_below, num, place_type, size_as
from ._linalg_lib import scalar_name, times

_MODE = "promise_in_bounds"


def narrow(index: Any, *sizes: int) -> Any:
    """An index in int32 where every position fits: half the arithmetic."""
    if index.dtype == np.int32 or not all(known_below(n, 2**31) for n in sizes):
        return index
    return index.astype(np.int32)


def wrap(index: Any, size: int) -> Any:
    """Negative positions counted from the end."""
    index = narrow(index, size)
    return jnp.where(index < 0, index + size_as(size, index.dtype), index)


def _as_1d(x: Any) -> Any:
    return x.reshape(1) if x.ndim == 0 else x


# Writes -----------------------------------------------------------------------------------------------------------------------


@cache
def _overwriter(present: tuple[bool, ...]) -> Callable[..., Any]:
    """``f(x, values, *indices)``: x with values written at the indices; dims without one are taken whole."""

    def place(indices: tuple[Any, ...]) -> tuple[Any, ...]:
        rest = iter(indices)
        return tuple(next(rest) if there else slice(None) for there in present)

    @jax.custom_jvp
    def overwrite(x: Any, values: Any, *indices: Any) -> Any:
        return x.at[place(indices)].set(values, mode=_MODE, wrap_negative_indices=False)

    # torch's rule: what is written gets the gradient at its place, even where a later write to the same place won.
    @overwrite.defjvp
    def _rule(primals: Any, tangents: Any) -> Any:
        x, values, *indices = primals
        at = place(tuple(indices))
        hit = jnp.zeros(x.shape, bool).at[at].set(True, mode=_MODE, wrap_negative_indices=False)
        tangent = jnp.where(hit, jnp.zeros((), x.dtype), tangents[0]).at[at].add(tangents[1], mode=_MODE, wrap_negative_indices=False)
        return overwrite(x, values, *indices), tangent

    return overwrite


def overwrite(x: Any, values: Any, at: tuple[Any, ...]) -> Any:
    """``x`` with ``values`` at ``at``: index arrays (not negative), or None for a whole dim."""
    present = tuple(i is not None for i in at)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        full = tuple(slice(None) if i is None else i for i in at)
        return x.at[full].set(values, mode=_MODE, wrap_negative_indices=False)
    return _overwriter(present)(x, values, *[i for i in at if i is not None])


def add_at(x: Any, values: Any, at: tuple[Any, ...]) -> Any:
    """``x`` with ``values`` added at ``at``; bools are or-ed. Halves are summed in float32."""
    full = tuple(slice(None) if i is None else i for i in at)
    if x.dtype == np.bool_:
        return x.at[full].max(values, mode=_MODE, wrap_negative_indices=False)
    if jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize <= 2:
        wide = x.astype(np.float32).at[full].add(values.astype(np.float32), mode=_MODE, wrap_negative_indices=False)
        return wide.astype(x.dtype)
    return x.at[full].add(values, mode=_MODE, wrap_negative_indices=False)


# Rows: index_select, index_add, index_copy, index_fill ------------------------------------------------------------------------


def _row_index(index: Any, name: str, kinds: tuple[str, ...]) -> None:
    if scalar_name(index) not in kinds:
        raise RuntimeError(f"{name}: Expected dtype int32 or int64 for index")
    if index.ndim > 1:
        raise IndexError(f"{name}: Index is supposed to be a vector")


@op("index_select(Tensor input, int dim, Tensor index)", apart=True, guard=_guards.selected)
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of ``input`` along ``dim`` that the index vector names. Indices in range, not negative."""
    dim = dim_of(dim, input.ndim)
    _row_index(index, "index_select()", ("Int", "Long"))
    if input.ndim == 0:
        if index.size != 1:
            raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {index.size} value(s)")
        return input
    if index.size and not input.shape[dim]:
        raise RuntimeError("index_select(): self indexing axis dim should be positive")
    return jnp.take(input, narrow(_as_1d(index), input.shape[dim]), dim, mode="clip" if input.shape[dim] else "fill")


def _at_dim(dim: int, ndim: int, index: Any) -> tuple[Any, ...]:
    return tuple(index if d == dim else None for d in range(ndim))


@op("index_add(Tensor input, int dim, Tensor index, Tensor source, *, Scalar alpha=1)", inplace=True, guard=_guards.added, kept="source:source")
def index_add(input: Any, dim: int, index: Any, source: Any, alpha: Any) -> Any:
    """``input`` with ``alpha * source``'s slices added at the indices along ``dim``; the same index may come more than once."""
    dim = dim_of(dim, input.ndim)
    if scalar_name(index) not in ("Int", "Long"):
        raise RuntimeError(f"index_add_(): Expected dtype int32/int64 for index but got: {scalar_name(index)}")
    if input.dtype != source.dtype:
        raise RuntimeError(
            f"index_add_(): self ({scalar_name(input)}) and source ({scalar_name(source)}) must have the same scalar type"
        )
    if index.ndim > 1:
        raise IndexError(
            f"index_add_(): Index is supposed to be a vector, but got dim: {index.ndim} with type: {scalar_name(index)} and size: {list(index.shape)}"
        )
    if input.ndim and (source.ndim != input.ndim or any(source.shape[d] != input.shape[d] for d in range(input.ndim) if d != dim)):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {list(input.shape)} source.shape = {list(source.shape)}"
        )
    n, given = index.size, source.shape[dim] if source.ndim else 1
    if n != given:
        raise RuntimeError(f"index_add_(): Number of indices ({n}) should be equal to source.size(dim): ({given}), for dim: {dim}")
    x, s = _as_1d(input), times(_as_1d(source), alpha)
    return add_at(x, s, _at_dim(dim, x.ndim, narrow(_as_1d(index), x.shape[dim]))).reshape(input.shape)


@op("index_copy(Tensor input, int dim, Tensor index, Tensor source)", inplace=True, guard=_guards.copied, kept="source:source")
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """``input`` with ``source``'s slices written at the indices along ``dim``."""
    dim = dim_of(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})")
    n = index.size
    if source.ndim == 0 and n != 1:
        raise IndexError(f"index_copy_(): When source is scalar, index should have one element (got {n})")
    if source.ndim and input.ndim and source.ndim != input.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must match. "
            f"Source dimensionality ({source.ndim}), destination dimensionality ({input.ndim})"
        )
    if scalar_name(index) != "Long":
        raise RuntimeError("index_copy_(): Expected a long tensor for index, but got " + scalar_name(index))
    if input.dtype != source.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got "
            f"(self) {scalar_name(input)} and (source) {scalar_name(source)}"
        )
    x, s = _as_1d(input), _as_1d(source)
    rest = [tuple(t.shape[d] for d in range(t.ndim) if d != dim) for t in (x, s)]
    if rest[0] != rest[1]:
        raise RuntimeError(
            f"index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: {list(rest[0])} at dimension {dim} "
            f"and source slice shape: {list(rest[1])} at dimension 0."
        )
    if s.shape[dim] != n:
        raise IndexError(f"index_copy_(): Number of indices ({n}) should be equal to source.size(dim) ({s.shape[dim]})")
    return overwrite(x, s, _at_dim(dim, x.ndim, narrow(_as_1d(index), x.shape[dim]))).reshape(input.shape)


@op(
    "index_fill(Tensor input, int dim, Tensor index, Tensor|Scalar value)",
    inplace=True, expanded=True, out=False, format="like", guard=written_at(_guards.filled),
)  # fmt: skip
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """``input`` with one value in all slices that the index vector names along ``dim``; negative indices wrap."""
    dim = dim_of(dim, input.ndim)
    if scalar_name(index) != "Long":
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise IndexError("Index has to be a vector/scalar")
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
    if jnp.iscomplexobj(value) and not jnp.iscomplexobj(input):
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    x = _as_1d(input)
    at = wrap(_as_1d(index), x.shape[dim])
    hit = jnp.zeros(x.shape[dim], bool).at[at].set(True, mode=_MODE, wrap_negative_indices=False)
    hit = hit.reshape(tuple(-1 if d == dim else 1 for d in range(x.ndim)))
    return jnp.where(hit, num(value, x), x).reshape(input.shape)


# Element by element: gather and scatter ---------------------------------------------------------------------------------------


def _same_dims(input: Any, index: Any, what: str) -> bool:
    """False when the index is empty: nothing to do."""
    if index.size == 0:
        return False
    if max(index.ndim, 1) != max(input.ndim, 1):
        raise RuntimeError(f"Index tensor must have the same number of dimensions as {what} tensor")
    return True


def _element_index(index: Any, dim: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The full position of every element of ``index``: itself along ``dim``, its own place elsewhere."""
    return tuple(
        narrow(index, n) if d == dim else jax.lax.broadcasted_iota(place_type(n), index.shape, d) for d, n in enumerate(shape)
    )


def take_along(input: Any, index: Any, dim: int) -> Any:
    """``gather`` without checks: index no larger than input apart from ``dim``."""
    if any(index.shape[d] != input.shape[d] for d in range(input.ndim) if d != dim):
        sizes = [input.shape[d] if d == dim else index.shape[d] for d in range(input.ndim)]
        input = jax.lax.slice(input, (0,) * input.ndim, sizes)
    return jnp.take_along_axis(input, narrow(index, input.shape[dim]), dim, mode=_MODE)


@op("gather(Tensor input, int dim, Tensor index, *, bool sparse_grad=False)", out="exact", apart="resized", guard=_guards.elements, kept="input")
def gather(input: Any, dim: int, index: Any, sparse_grad: bool) -> Any:
    """``out[i][j] = input[index[i][j]][j]`` for dim 0, and so on. ``index`` has input's number of dims and no negative entries."""
    dim = dim_of(dim, input.ndim)
    if index.size and scalar_name(index) not in ("Int", "Long"):
        raise RuntimeError("gather(): Expected dtype int32/int64 for index")
    if not _same_dims(input, index, "input"):
        return jnp.zeros(index.shape, input.dtype)
    x, i = _as_1d(input), _as_1d(index)
    for d in range(x.ndim):
        if d != dim and i.shape[d] > x.shape[d]:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(i.shape)} to be no larger than self {list(x.shape)} "
                f"apart from dimension {dim}"
            )
    return take_along(x, i, dim).reshape(index.shape)


@op("take_along(Tensor input, Tensor index, int dim)", where="internal", grad_name="GatherBackward0", unsaved="index", kept="input")
def take_along_wrapped(input: Any, index: Any, dim: int) -> Any:
    """``gather`` whose indices are taken modulo the size: torch's ``take_along_dim`` knows none that is out of range."""
    return take_along(input, jnp.remainder(narrow(index, input.shape[dim]), max(input.shape[dim], 1)), dim)


def _scatter_shapes(input: Any, dim: int, index: Any, src: Any) -> None:
    """Raises unless index fits into input apart from dim, and into src."""
    if src is not None and max(src.ndim, 1) != max(index.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    x, i = _as_1d(input), _as_1d(index)
    bad = any(d != dim and i.shape[d] > x.shape[d] for d in range(x.ndim))
    if src is None:
        if bad:
            raise RuntimeError(f"Expected index {list(i.shape)} to be no larger than self {list(x.shape)} apart from dimension {dim}")
        return
    s = _as_1d(src)
    if bad or any(i.shape[d] > s.shape[d] for d in range(x.ndim)):
        raise RuntimeError(
            f"Expected index {list(i.shape)} to be no larger than self {list(x.shape)} apart from dimension {dim} "
            f"and to be no larger size than src {list(s.shape)}"
        )


def scatter_parts(input: Any, dim: int, index: Any, src: Any, name: str) -> tuple[Any, tuple[Any, ...], Any] | None:
    """Checked (input, full position, values) with at least one dim, or None when there is nothing to write."""
    dim = dim_of(dim, input.ndim)
    if index.size and scalar_name(index) not in ("Int", "Long"):
        raise RuntimeError("scatter(): Expected dtype int32/int64 for index")
    if src is not None and input.dtype != src.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not _same_dims(input, index, "self"):
        return None
    _scatter_shapes(input, dim, index, src)
    x, i = _as_1d(input), _as_1d(index)
    s = None
    if src is not None:
        s = _as_1d(src)
        if s.shape != i.shape:
            s = jax.lax.slice(s, (0,) * s.ndim, i.shape)
    return x, _element_index(i, dim, x.shape), s


@op("scatter(Tensor input, int dim, Tensor index, Tensor src)", inplace=True, guard=_guards.elements)
def scatter(input: Any, dim: int, index: Any, src: Any) -> Any:
    """``input`` with ``input[index[i][j]][j] = src[i][j]`` for dim 0, and so on."""
    parts = scatter_parts(input, dim, index, src, "scatter")
    if parts is None:
        return input
    x, at, s = parts
    return overwrite(x, s, at).reshape(input.shape)


@op("scatter(Tensor input, int dim, Tensor index, Scalar value)", inplace=True, grad_name="ScatterBackward1", guard=written_at(_guards.elements))
def scatter_value(input: Any, dim: int, index: Any, value: Any) -> Any:
    """As above with one value everywhere."""
    parts = scatter_parts(input, dim, index, None, "scatter")
    if parts is None:
        return input
    x, at, _ = parts
    hit = jnp.zeros(x.shape, bool).at[at].set(True, mode=_MODE, wrap_negative_indices=False)
    return jnp.where(hit, num(value, x), x).reshape(input.shape)


@op("scatter(Tensor input, int dim, Tensor index, Tensor src, *, str reduce)", inplace=True, grad_name="NotImplemented", guard=_guards.elements)
def scatter_with(input: Any, dim: int, index: Any, src: Any, reduce: str) -> Any:
    """``reduce``: ``"add"`` or ``"multiply"`` into what is there."""
    _check_reduce(reduce)
    parts = scatter_parts(input, dim, index, src, "scatter")
    if parts is None:
        return input
    x, at, s = parts
    return _reduce_at(x, at, s, reduce).reshape(input.shape)


@op("scatter(Tensor input, int dim, Tensor index, Scalar value, *, str reduce)", inplace=True, grad_name="NotImplemented", guard=_guards.elements)
def scatter_value_with(input: Any, dim: int, index: Any, value: Any, reduce: str) -> Any:
    """As above with one value everywhere."""
    _check_reduce(reduce)
    parts = scatter_parts(input, dim, index, None, "scatter")
    if parts is None:
        return input
    x, at, _ = parts
    return _reduce_at(x, at, jnp.broadcast_to(num(value, x), at[0].shape), reduce).reshape(input.shape)


def _check_reduce(reduce: str) -> None:
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")


def _reduce_at(x: Any, at: tuple[Any, ...], s: Any, reduce: str) -> Any:
    return add_at(x, s, at) if reduce == "add" else x.at[at].multiply(s, mode=_MODE, wrap_negative_indices=False)


@op("scatter_add(Tensor input, int dim, Tensor index, Tensor src)", inplace=True, guard=_guards.elements)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """``input`` with ``src`` added at the indices along ``dim``; an index may come more than once."""
    parts = scatter_parts(input, dim, index, src, "scatter_add")
    if parts is None:
        return input
    x, at, s = parts
    return add_at(x, s, at).reshape(input.shape)


# Flat positions and lists of indices ------------------------------------------------------------------------------------------


@op("take(Tensor input, Tensor index)", apart=True, guard=_guards.positions, kept="input")
def take(input: Any, index: Any) -> Any:
    """Elements of the flattened input; the result has index' shape. Negative positions wrap."""
    if scalar_name(index) != "Long":
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {scalar_name(index)}")
    if input.size == 0 and index.size:
        raise IndexError("take(): tried to take from an empty tensor")
    if index.size == 0:
        return jnp.zeros(index.shape, input.dtype)
    return input.reshape(-1).at[wrap(index, input.size)].get(mode=_MODE, wrap_negative_indices=False)


@op("put(Tensor input, Tensor index, Tensor source, bool accumulate=False)", inplace=True, out=False, format="like", guard=_guards.positions, kept="source:source")
def put(input: Any, index: Any, source: Any, accumulate: bool) -> Any:
    """``input`` with ``source`` written (or added) at positions of the flattened tensor."""
    if scalar_name(index) != "Long":
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {scalar_name(index)}")
    if input.dtype != source.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got "
            f"self.dtype = {scalar_name(input)} and source.dtype = {scalar_name(source)}"
        )
    if index.size != source.size:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.size}, index.numel() = {index.size}"
        )
    if input.size == 0 and index.size:
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    if index.size == 0:
        return input
    at, values = (wrap(index.reshape(-1), input.size),), source.reshape(-1)
    flat = input.reshape(-1)
    return (add_at(flat, values, at) if accumulate else overwrite(flat, values, at)).reshape(input.shape)


def _list_of(input: Any, indices: Any) -> list[Any]:
    """One wrapped index (or None) per indexed dim; torch's errors for too many and for shapes that do not broadcast."""
    if len(indices) > input.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input.ndim} (got {len(indices)})")
    shapes = [i.shape for i in indices if i is not None]
    common: tuple[int, ...] = ()
    try:
        for s in shapes:
            common = broadcast_shape(common, s)
    except RuntimeError:
        shown = ", ".join(str(list(s)) for s in shapes)
        raise IndexError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {shown}") from None
    for d, i in enumerate(indices):
        if i is not None and i.size and input.shape[d] == 0:
            raise IndexError("index is out of bounds for dimension with size 0")
    return [None if i is None else wrap(i, n) for i, n in zip(indices, input.shape)]  # noqa: B905 - input may have more dims


@op("index(Tensor input, Tensor?[] indices)", where="internal", out=False, guard=_guards.listed)
def index(input: Any, indices: Any) -> Any:
    """Advanced indexing: one integer tensor (or None, for the whole dim) per leading dim, broadcast together; negative indices wrap."""
    wrapped = _list_of(input, indices)
    at = tuple(slice(None) if i is None else i for i in wrapped)
    return input.at[at].get(mode=_MODE, wrap_negative_indices=False)


@op("index_put(Tensor input, Tensor?[] indices, Tensor values, bool accumulate=False)", where="internal", inplace=True, expanded=True, out=False, format="like", guard=_guards.listed)
def index_put(input: Any, indices: Any, values: Any, accumulate: bool) -> Any:
    """``input`` with ``values`` (broadcast) written, or added, where advanced indexing reads."""
    if any(i is not None and i.dtype not in (np.int64, np.int32) for i in indices):  # masks are positions by now
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    if input.dtype != values.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{scalar_name(input)} for the destination and {scalar_name(values)} for the source."
        )
    wrapped = _list_of(input, indices)
    at = tuple(slice(None) if i is None else i for i in wrapped)
    target = jax.eval_shape(lambda x, *_: x[at], input).shape
    ones = max(values.ndim - len(target), 0)
    fits = values.shape[:ones] == (1,) * ones and all(
        v in (1, t) for v, t in zip(reversed(values.shape), reversed(target), strict=False)
    )
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to indexing result of shape {list(target)}"
        )
    values = jnp.broadcast_to(values.reshape(values.shape[ones:]), target)
    if 0 in target:
        return input
    return add_at(input, values, tuple(wrapped)) if accumulate else overwrite(input, values, tuple(wrapped))


@op("masked_select(Tensor input, Tensor[] indices)", where="internal", out=False, grad_name="MaskedSelectBackward0", kept="input")
def masked_select(input: Any, indices: Any) -> Any:
    """``index`` under masked_select's name: the mask has become one index vector per dim."""
    return index.fn(input, indices)


@op("masked_scatter(Tensor input, Tensor mask, Tensor source)", inplace=True, out=False, guard=_value_guards.scattered)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """``source``'s elements in their order, written where the mask (broadcast with input) is True."""
    if mask.dtype != np.bool_:
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {scalar_name(mask)}")
    if input.dtype != source.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got{scalar_name(input)} and {scalar_name(source)}"
        )
    shape = broadcast_shape(mask.shape, input.shape)
    x, m = jnp.broadcast_to(input, shape), jnp.broadcast_to(mask, shape)
    if source.size == 0:
        return x
    rank = jnp.cumsum(m.reshape(-1), dtype=place_type(m.size)) - 1
    picked = source.reshape(-1).at[jnp.clip(rank, 0, source.size - 1)].get(mode=_MODE, wrap_negative_indices=False)
    return jnp.where(m, picked.reshape(shape), x)
