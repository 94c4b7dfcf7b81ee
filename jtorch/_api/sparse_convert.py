"""From one layout to another, and what a sparse tensor says of itself: ``to_sparse``, ``to_dense``, ``coalesce``, ``indices``, ``values``,
...
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._api._sparse import (
    at_places,
    built,
    coalesced,
    coordinates,
    entries,
    expected,
    flat_keys,
    gather,
    host,
    layout_of,
    like,
    masked,
    merged,
    on_device,
    segment_sum,
    sparse_dims,
    unflatten,
    values_of,
)
from jtorch._api._sparse import (
    to_dense as _dense,
)
from jtorch._core.dispatch.composites import compose
from jtorch._core.graph.sparse_history import link
from jtorch._core.graph.sparse_values import could_not_run, handles, make, nnz, value_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, elements, read, write
from jtorch._core.tensor.creation import from_array
from jtorch._errors import not_implemented
from jtorch._namespace import torch

_COO = "sparse_coo"


# --- parts ------------------------------------------------------------------------------------------------------


def _part(name: str, position: int, layouts: tuple[str, ...], wanted: str) -> None:
    @compose("Tensor", name=name, doc=f"The {name.replace('_', ' ')} of a {wanted}. RuntimeError for other layouts.")
    def part(self: Tensor) -> Tensor:
        if layout_of(self) not in layouts:
            raise expected(self, name, wanted)
        v: Any = value_of(self)
        return v.parts[position].detach()  # type: ignore[no-any-return]


_part("crow_indices", 0, ("sparse_csr", "sparse_bsr"), "sparse row compressed tensor")
_part("col_indices", 1, ("sparse_csr", "sparse_bsr"), "sparse row compressed tensor")
_part("ccol_indices", 0, ("sparse_csc", "sparse_bsc"), "sparse column compressed tensor")
_part("row_indices", 1, ("sparse_csc", "sparse_bsc"), "sparse column compressed tensor")


@compose("Tensor")
def indices(self: Tensor) -> Tensor:
    """The (sparse dims, n) indices of a coalesced COO tensor."""
    if layout_of(self) != _COO:
        raise expected(self, "indices", "sparse coordinate tensor")
    if not value_of(self).coalesced:  # type: ignore[union-attr]
        raise RuntimeError("Cannot get indices on an uncoalesced tensor, please call .coalesce() first")
    return self._indices()  # type: ignore[no-any-return]


@compose("Tensor")
def values(self: Tensor) -> Tensor:
    """The values of a coalesced COO tensor or of a compressed one, in the graph."""
    v = value_of(self)
    if v is None:
        raise expected(self, "values", "sparse tensor")
    if layout_of(self) == _COO and not v.coalesced:
        raise RuntimeError("Cannot get values on an uncoalesced tensor, please call .coalesce() first")
    return values_of(self)


@compose("Tensor")
def _indices(self: Tensor) -> Tensor:
    """The indices, coalesced or not; they share memory with the tensor."""
    v = value_of(self)
    if v is None or layout_of(self) != _COO:
        raise could_not_run("_indices", (self,))
    return v.parts[0].detach()  # type: ignore[no-any-return]


@compose("Tensor")
def _values(self: Tensor) -> Tensor:
    """The values, coalesced or not, outside of the graph; they share memory with the tensor."""
    v = value_of(self)
    if v is None or layout_of(self) != _COO:
        raise could_not_run("_values", (self,))
    return v.parts[1].detach()  # type: ignore[no-any-return]


@compose("Tensor")
def _nnz(self: Tensor) -> int:
    """How many elements (or dense parts, or blocks) are specified."""
    v = value_of(self)
    if v is None:
        raise could_not_run("_nnz", (self,))
    return nnz(v)


@compose("Tensor", aliases="_dimI")
def sparse_dim(self: Tensor) -> int:
    """The number of dims that are sparse: 0 for dense tensors."""
    v = value_of(self)
    return 0 if v is None else sparse_dims(v) if layout_of(self) == _COO else 2


@compose("Tensor", aliases="_dimV")
def dense_dim(self: Tensor) -> int:
    """The number of dims of each specified value."""
    v = value_of(self)
    if v is None:
        return len(aval_of(self).shape)
    if layout_of(self) == _COO:
        return int(v.parts[1].dim() - 1)
    return int(v.parts[2].dim() - v.parts[1].dim() - (2 if layout_of(self) in ("sparse_bsr", "sparse_bsc") else 0))


@compose("Tensor")
def is_coalesced(self: Tensor) -> bool:
    """Whether each place is known to be there once, in order."""
    if layout_of(self) != _COO:
        raise expected(self, "is_coalesced", "sparse coordinate tensor")
    return value_of(self).coalesced  # type: ignore[union-attr]


@compose("Tensor")
def _coalesced_(self: Tensor, coalesced: bool) -> Tensor:
    """Say that a COO tensor is coalesced, or is not."""
    value_of(self).coalesced = bool(coalesced)  # type: ignore[union-attr]
    return self


@compose("Tensor")
def coalesce(self: Tensor) -> Tensor:
    """Each place once, in row-major order, the values of one place added up."""
    if layout_of(self) != _COO:
        raise expected(self, "coalesce", "sparse coordinate tensor")
    return coalesced(self)


# --- to other layouts -------------------------------------------------------------------------------------------


@compose("Tensor")
def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """The dense tensor. The gradient of a sparse one has its places (``masked_grad=False``: all places)."""
    v: Any = value_of(self)
    out: Tensor = self
    if v is not None:
        if dtype is not None:
            raise RuntimeError("dtype argument is not supported by sparse_to_dense")
        with torch.no_grad():
            out = _dense(coordinates(v), entries(v, v.parts[-1]), v.aval.shape)

        def back(g: Tensor) -> Tensor:
            if masked_grad is False:
                return torch.Tensor.to_sparse(g) if layout_of(self) == _COO else torch.Tensor.to_sparse(g, layout=v.aval.layout)  # type: ignore[no-any-return]
            return masked(v, g)

        link("ToDenseBackward0", out, (self, back))
    return out if dtype is None else out.to(dtype)  # type: ignore[attr-defined,no-any-return]


def _back_to(t: Tensor) -> Any:
    """The gradient of a change of layout, in the layout of ``t``."""
    v = value_of(t)
    return (lambda g: torch.Tensor.to_dense(g)) if v is None else (lambda g: masked(v, g))


@compose("Tensor", aliases="_to_sparse")
def to_sparse(
    self: Tensor, *args: Any, sparse_dim: int | None = None, layout: Any = None, blocksize: Any = None, dense_dim: int | None = None
) -> Tensor:
    """In a sparse layout (COO unless ``layout`` names another). Of a dense tensor the elements that are not zero, for which it is looked
    at.
    """
    if args:
        sparse_dim = args[0]
    name = _COO if layout is None else layout.name
    if name == "strided":
        raise RuntimeError("to_sparse(): layout must be a sparse layout")
    if name == layout_of(self) and blocksize is None:
        return self
    if name != _COO:
        return _to_compressed(self, name, blocksize)
    if value_of(self) is not None:
        return _expand(self)
    n = self.dim()  # type: ignore[attr-defined]
    if sparse_dim is not None and n:
        if sparse_dim == 0:
            raise RuntimeError("dense_to_sparse: sparse_dim argument must be in >0 when self.dim()>0")
        if not 0 <= sparse_dim <= n:
            raise RuntimeError(f"dense_to_sparse: sparse_dim argument must be in [0,{n}] range, but {sparse_dim} is given")
    dims = n if sparse_dim is None else sparse_dim
    array = elements(self)
    there = (array != 0).any(axis=tuple(range(dims, n))) if dims < n else array != 0
    at = np.stack(np.nonzero(there)) if dims else np.zeros((0, int(bool(there))), np.int64)
    i = from_array(at.astype(np.int64), device=self.device)  # type: ignore[attr-defined]
    with torch.no_grad():
        out = make(_COO, (i, gather(self, i)), aval_of(self).shape, True)
    return link("ToSparseBackward1" if sparse_dim is None else "ToSparseBackward0", out, (self, lambda g: torch.Tensor.to_dense(g)))


def _expand(t: Tensor) -> Tensor:
    """A compressed tensor as COO, in order."""
    v: Any = value_of(t)
    where = coordinates(v)
    with torch.no_grad():
        i, vals = merged(host(where), entries(v, v.parts[-1]), v.aval.shape, v)
    return link("ToSparseBackward1", make(_COO, (i, vals), v.aval.shape, True), (t, _back_to(t)))


@compose("Tensor")
def to_sparse_coo(self: Tensor) -> Tensor:
    """In the COO layout."""
    return self.to_sparse()  # type: ignore[no-any-return]


def _conversion(kind: str) -> None:
    name = f"to_sparse_{kind}"

    @compose("Tensor", name=name, aliases=f"_{name}")
    def convert(self: Tensor, *args: Any, blocksize: Any = None, dense_dim: int | None = None) -> Tensor:
        """In this compressed layout; the block layouts take ``blocksize=(rows, cols)``."""
        blocked = kind in ("bsr", "bsc")
        if args and blocked:
            blocksize, args = args[0], args[1:]
        if args:
            dense_dim = args[0]
        if dense_dim:
            not_implemented("dense dims of compressed sparse layouts", f"use {name} without dense_dim, or to_sparse_coo()")
        if layout_of(self) == f"sparse_{kind}" and not blocked:
            return self
        return _to_compressed(self, f"sparse_{kind}", blocksize)


for _kind in ("csr", "csc", "bsr", "bsc"):
    _conversion(_kind)


def _to_compressed(t: Tensor, layout: str, blocksize: Any) -> Tensor:
    n = t.dim()  # type: ignore[attr-defined]
    if n < 2:
        raise RuntimeError(f"{'to_sparse_' + layout[-3:]}: expected self to be at least 2 dimensional, but got {n}-dimensional tensor")
    blocked = layout in ("sparse_bsr", "sparse_bsc")
    if isinstance(blocksize, int):
        blocksize = (blocksize, blocksize)
    if blocked and (blocksize is None or len(blocksize) != 2):
        raise RuntimeError(
            f"{'dense_' if layout_of(t) == 'strided' else ''}to_sparse_{layout[-3:]}: blocksize needs to be a tuple of size 2, but got {0 if blocksize is None else len(blocksize)}"
        )
    size = aval_of(t).shape
    with torch.no_grad():
        coo = coalesced(t.detach().to_sparse())  # type: ignore[attr-defined]
        v: Any = value_of(coo)
        if sparse_dims(v) != n:
            not_implemented("dense dims of compressed sparse layouts", "keep the tensor as torch.sparse_coo")
        b0, b1 = tuple(blocksize) if blocked else (1, 1)
        if size[-2] % b0 or size[-1] % b1:
            raise RuntimeError(
                f"to_sparse_{layout[-3:]}: tensor sparse size ({size[-2]}, {size[-1]}) must be divisible by given blocksize ({b0}, {b1})"
            )
        parts = _compressed_parts(host(v.parts[0]), v, layout, size, b0, b1, blocked)
    name = "".join(p.capitalize() for p in f"to_sparse_{layout[-3:]}_backward".split("_")) + "0"
    return link(name, make(layout, parts, size), (t, _back_to(t)))


def _compressed_parts(at: np.ndarray, v: Any, layout: str, size: Any, b0: int, b1: int, blocked: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(compressed, plain, values) of elements at ``at`` in row-major order."""
    batch = at[:-2]
    grid = (*size[:-2], size[-2] // b0, size[-1] // b1)
    row, col = at[-2] // b0, at[-1] // b1
    by_row = layout in ("sparse_csr", "sparse_bsr")
    outer, inner = (row, col) if by_row else (col, row)
    n_outer, n_inner = (grid[-2], grid[-1]) if by_row else (grid[-1], grid[-2])
    whole = (*grid[:-2], n_outer, n_inner)
    keys = flat_keys(np.stack([*batch, outer, inner]), whole)
    places, position = np.unique(keys, return_inverse=True)
    position = position.reshape(-1)
    found = unflatten(places, whole)
    lots = int(np.prod(grid[:-2], dtype=np.int64))
    lot = flat_keys(found[:-2], grid[:-2]) if len(grid) > 2 else np.zeros(len(places), np.int64)
    count = np.bincount(lot, minlength=lots)
    if len(count) and (count != count[0]).any():
        raise RuntimeError("Expect the same number of specified elements per batch.")
    per = int(count[0]) if len(count) else 0
    starts = np.zeros((lots, n_outer + 1), np.int64)
    np.add.at(starts, (lot, found[-2] + 1), 1)
    compressed = np.cumsum(starts, axis=1).reshape(*grid[:-2], n_outer + 1)
    plain = found[-1].reshape(*grid[:-2], per)
    if blocked:
        inside = (at[-2] % b0) * b1 + at[-1] % b1
        vals = segment_sum(v.parts[1], on_device(position * (b0 * b1) + inside, v), len(places) * b0 * b1)
        vals = vals.reshape(*grid[:-2], per, b0, b1)  # type: ignore[attr-defined]
    else:
        order = np.argsort(keys, kind="stable")
        vals = v.parts[1] if (order == np.arange(len(order))).all() else v.parts[1].index_select(0, on_device(order, v))
        vals = vals.reshape(*grid[:-2], per)
    return on_device(compressed, v), on_device(plain, v), vals


# --- masks and sizes --------------------------------------------------------------------------------------------


@compose("Tensor")
def sparse_mask(self: Tensor, mask: Tensor) -> Tensor:
    """The elements of this tensor at the places of ``mask``."""
    v = value_of(mask)
    if v is None:
        raise RuntimeError("sparse_mask(): expected mask to be sparse")
    if aval_of(self).shape != aval_of(mask).shape:
        raise RuntimeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(aval_of(self).shape)} but mask has size {list(aval_of(mask).shape)}"
        )
    if layout_of(mask) == _COO and value_of(self) is None and sparse_dims(v):
        for d, (row, n) in enumerate(zip(host(v.parts[0]), v.aval.shape)):
            if row.size and not (-n <= row.min() and row.max() < n):
                raise IndexError(f"index {row.max()} is out of bounds for dimension {d} with size {n}")
    with torch.no_grad():
        out = like(v, at_places(v, self.detach()))  # type: ignore[attr-defined]
    own = value_of(self)
    return link("SparseMaskBackward0", out, (self, (lambda g: torch.Tensor.to_dense(g)) if own is None else (lambda g: g)))


def _resized(self: Tensor, size: Any, sparse_dim: int, dense_dim: int, keep: bool) -> Tensor:
    v = value_of(self)
    if v is None:
        raise could_not_run("sparse_resize_", (self,))
    size = tuple(int(n) for n in size)
    if len(size) != sparse_dim + dense_dim:
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, sparse_dim = {sparse_dim}, dense_dim = {dense_dim}"
        )
    i, vals = v.parts
    if not keep or not nnz(v):
        i = on_device(np.zeros((sparse_dim, 0), np.int64), v)
        vals = torch.zeros((0, *size[sparse_dim:]), dtype=v.aval.dtype, device=v.aval.device)
    elif sparse_dims(v) != sparse_dim or vals.dim() - 1 != dense_dim:
        what = "sparse" if sparse_dims(v) != sparse_dim else "dense"
        old = sparse_dims(v) if what == "sparse" else vals.dim() - 1
        raise RuntimeError(
            f"changing the number of {what} dimensions (from {old} to {sparse_dim if what == 'sparse' else dense_dim}) on a non-empty sparse tensor is not supported.{_OPTIONS}"
        )
    else:
        old, new = v.aval.shape[:sparse_dim], size[:sparse_dim]
        if any(b < a for a, b in zip(old, new)):
            raise RuntimeError(
                f"shrinking the size of sparse dimensions (from {list(old)} to {list(new)}) on a non-empty sparse tensor is not supported.{_OPTIONS}"
            )
        if size[sparse_dim:] != v.aval.shape[sparse_dim:]:
            not_implemented("sparse_resize_ of the dense dims of a tensor that is not empty", "make a new tensor")
    write(self, read(make(_COO, (i, vals), size, v.coalesced and keep)))
    return self


_OPTIONS = """
You could try the following options:
1. If you need an empty sparse tensor of this size, call `x = torch.sparse_coo_tensor(size)`.
2. If you need to resize this tensor, you have the following options:
    1. For both sparse and dense dimensions, keep the number of them constant and the size of them non-shrinking, and then try the same call again.
    2. Or, create a new sparse tensor with the correct indices and values from this sparse tensor."""


@compose("Tensor")
def sparse_resize_(self: Tensor, size: Any, sparse_dim: int, dense_dim: int) -> Tensor:
    """Change the size in place; what is specified stays."""
    return _resized(self, size, sparse_dim, dense_dim, True)


@compose("Tensor")
def sparse_resize_and_clear_(self: Tensor, size: Any, sparse_dim: int, dense_dim: int) -> Tensor:
    """Change the size in place; nothing is specified afterwards."""
    return _resized(self, size, sparse_dim, dense_dim, False)


@compose("torch Tensor")
def resize_as_sparse_(input: Tensor, the_template: Tensor) -> Tensor:
    """The size of another sparse tensor."""
    v: Any = value_of(the_template)
    return _resized(input, v.aval.shape, sparse_dims(v), v.parts[1].dim() - 1, True)


# --- copies -----------------------------------------------------------------------------------------------------


@handles("clone")
def clone(input: Tensor, memory_format: Any = None) -> Tensor:
    v: Any = value_of(input)
    with torch.no_grad():
        out = make(v.aval.layout.name, [p.clone() for p in v.parts], v.aval.shape, v.coalesced)
    return link("CloneBackward0", out, (input, lambda g: g))


@handles("to_copy")
def to_copy(input: Tensor, dtype: Any) -> Tensor:
    v: Any = value_of(input)
    with torch.no_grad():
        out = like(v, v.parts[-1].to(dtype))
    return link("ToCopyBackward0", out, (input, lambda g: g.to(v.aval.dtype)))


@handles("copy")
def copy(input: Tensor, src: Tensor) -> Tensor:
    if value_of(input) is None or value_of(src) is None:
        raise RuntimeError(
            f"copy_() between dense and sparse Tensors is not implemented! Found self type = {input.type()} and src type = {src.type()}"  # type: ignore[attr-defined]
        )
    return clone(src.to(input.dtype))  # type: ignore[attr-defined,no-any-return]


@handles("zero")
def zero(input: Tensor) -> Tensor:
    return empty(aval_of(input).shape, layout_of(input), aval_of(input).dtype, aval_of(input).device, like=value_of(input))


def empty(size: Any, layout: str, dtype: Any, device: Any, like: Any = None) -> Tensor:
    """A sparse tensor with nothing specified; the sparse dims of ``like``."""
    if layout == _COO:
        dims = len(size) if like is None else sparse_dims(like)
        i = from_array(np.zeros((dims, 0), np.int64), device=device)
        return make(_COO, (i, torch.zeros((0, *size[dims:]), dtype=dtype, device=device)), size, True)
    if layout not in ("sparse_csr", "sparse_csc"):
        not_implemented("empty tensors of blocked sparse layouts", "use torch.sparse_bsr_tensor with indices of your own")
    outer = size[-2] if layout == "sparse_csr" else size[-1]
    c, p = (from_array(np.zeros((*size[:-2], n), np.int64), device=device) for n in (outer + 1, 0))
    return built("", layout, (c, p, torch.zeros((*size[:-2], 0), dtype=dtype, device=device)), size)
