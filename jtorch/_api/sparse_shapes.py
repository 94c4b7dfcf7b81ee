"""Sparse tensors turned, picked from and joined: their indices are, the values follow."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._api._sparse import built, host, is_known, layout_of, on_device, sparse_dims, values_of
from jtorch._core.graph.sparse_history import link
from jtorch._core.graph.sparse_values import could_not_run, handles, make, value_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._errors import not_implemented
from jtorch._namespace import torch

_COO = "sparse_coo"
_TURNED = {"sparse_csr": "sparse_csc", "sparse_csc": "sparse_csr", "sparse_bsr": "sparse_bsc", "sparse_bsc": "sparse_bsr"}


def _dim(d: int, n: int) -> int:
    if not -n <= d < max(n, 1):
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
    return d % n if n else 0


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argsort(order))


def _rows(v: Any, order: tuple[int, ...]) -> Tensor:
    """The rows of the indices in another order; kept, because a backward pass turns the same matrix in every step."""
    if order == tuple(range(len(order))):
        return v.parts[0]  # type: ignore[no-any-return]
    found = v.memo.get(order)
    if found is None:
        known = is_known(v.parts[0])
        found = v.memo[order] = on_device(host(v.parts[0])[list(order)], v) if known else v.parts[0][list(order)]
    return found  # type: ignore[no-any-return]


def _permuted(t: Tensor, order: tuple[int, ...], name: str) -> Tensor:
    v: Any = value_of(t)
    size = tuple(v.aval.shape[d] for d in order)
    with torch.no_grad():
        if v.aval.layout.name == _COO:
            dims = sparse_dims(v)
            if any(d >= dims for d in order[:dims]):
                raise RuntimeError("transpose: transposing a sparse with a dense dim is not supported; sparse tensors keep them apart")
            i = _rows(v, order[:dims])
            vals = v.parts[1].permute(0, *[d - dims + 1 for d in order[dims:]])
            out = make(_COO, (i, vals), size, v.coalesced and order[:dims] == tuple(range(dims)))
        else:
            n = len(order)
            if order[: n - 2] != tuple(range(n - 2)) or n != v.parts[1].dim() + 1:
                raise could_not_run(name, (t,))
            if order[n - 2 :] == (n - 2, n - 1):
                return t
            layout = v.aval.layout.name
            vals = v.parts[2].transpose(-1, -2) if layout in ("sparse_bsr", "sparse_bsc") else v.parts[2]
            out = make(_TURNED[layout], (*v.parts[:2], vals), size)
    return link("".join(p.capitalize() for p in name.split("_")) + "Backward0", out, (t, lambda g: g.permute(_inverse(order))))


@handles("permute")
def permute(input: Tensor, dims: Any) -> Tensor:
    n = len(aval_of(input).shape)
    if len(dims) != n:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {n} is not equal to len(dims) = {len(dims)}"
        )
    order = tuple(_dim(d, n) for d in dims)
    if len(set(order)) != n:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return _permuted(input, order, "permute")


@handles("transpose")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    n = len(aval_of(input).shape)
    order = list(range(n))
    a, b = _dim(dim0, n), _dim(dim1, n)
    if layout_of(input) == _COO and a != b and max(a, b) >= (dims := sparse_dims(value_of(input))):  # type: ignore[arg-type]
        raise RuntimeError(f"sparse transpose: transposed dimensions must be sparse Got sparse_dim: {dims}, d0: {a}, d1: {b}")
    order[a], order[b] = order[b], order[a]
    out = _permuted(input, tuple(order), "transpose")
    return _forget_order(out, input, a != b)


@handles("t")
def t(input: Tensor) -> Tensor:
    n = len(aval_of(input).shape)
    if n > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got {n} sparse and 0 dense dimensions")
    return _forget_order(_permuted(input, tuple(reversed(range(n))), "t"), input, n == 2)


@handles("numpy_t", "T", "mt", "mT", "adjoint", "numpy_T")
def turned(input: Tensor) -> Tensor:
    return _permuted(input, tuple(reversed(range(len(aval_of(input).shape)))), "permute")


def _forget_order(out: Tensor, input: Tensor, moved: bool) -> Tensor:
    if moved and layout_of(out) == _COO:
        value_of(out).coalesced = False  # type: ignore[union-attr]
    return out


@handles("expand")
def expand(input: Tensor, **rest: Any) -> Tensor:
    raise RuntimeError("expand is unsupported for Sparse tensors")


@handles("alias")
def alias(input: Tensor) -> Tensor:
    v: Any = value_of(input)
    return link("AliasBackward0", make(v.aval.layout.name, v.parts, v.aval.shape, v.coalesced), (input, lambda g: g))


@handles("unsqueeze")
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    v: Any = value_of(input)
    if v.aval.layout.name != _COO:
        raise could_not_run("unsqueeze", (input,))
    n, dims = len(v.aval.shape), sparse_dims(v)
    d = _dim(dim, n + 1)
    size = (*v.aval.shape[:d], 1, *v.aval.shape[d:])
    if d <= dims:
        i, vals = on_device(np.insert(host(v.parts[0]), d, 0, axis=0), v), values_of(input)
    else:
        i, vals = v.parts[0], values_of(input).unsqueeze(d - dims + 1)
    return built("UnsqueezeBackward0", _COO, (i, vals), size)


@handles("select", "unbind_piece")
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One index of a dim: sparse still, unless that was the only sparse dim."""
    if layout_of(input) != _COO:
        input = torch.Tensor.to_sparse(input)
    v: Any = value_of(input)
    n, dims = len(v.aval.shape), sparse_dims(v)
    if not n:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = _dim(dim, n)
    length = v.aval.shape[d]
    if not -length <= index < length:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(v.aval.shape)} at dimension {d}")
    at = index % length
    size = (*v.aval.shape[:d], *v.aval.shape[d + 1 :])
    if d >= dims:
        return built("SelectBackward0", _COO, (v.parts[0], values_of(input).select(d - dims + 1, at)), size, v.coalesced)
    here = np.nonzero(host(v.parts[0])[d] == at)[0]
    picked = values_of(input).index_select(0, on_device(here, v))
    if dims == 1:
        return picked.sum(0)  # type: ignore[attr-defined,no-any-return]
    i = np.delete(host(v.parts[0])[:, here], d, axis=0)
    return built("SelectBackward0", _COO, (on_device(i, v), picked), size, v.coalesced)


@handles("index_select")
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The places of these indices along a dim, in their order, repeated where they are."""
    if layout_of(input) != _COO:
        raise could_not_run("index_select", (input,))
    v: Any = value_of(input)
    d, dims = _dim(dim, len(v.aval.shape)), sparse_dims(v)
    wanted = host(index).reshape(-1)
    length = v.aval.shape[d]
    if ((wanted < -length) | (wanted >= length)).any():
        bad = wanted[(wanted < -length) | (wanted >= length)][0]
        raise IndexError(
            f"index_select(): index contains {bad} that is out of range for tensor of size {list(v.aval.shape)} at dimension {d}"
        )
    wanted = wanted % max(length, 1)
    size = (*v.aval.shape[:d], len(wanted), *v.aval.shape[d + 1 :])
    if d >= dims:
        return built("IndexSelectBackward0", _COO, (v.parts[0], values_of(input).index_select(d - dims + 1, index)), size, v.coalesced)
    at = host(v.parts[0])
    new, old = np.nonzero(wanted[:, None] == at[d][None])
    i = at[:, old].copy()
    i[d] = new
    return built("IndexSelectBackward0", _COO, (on_device(i, v), values_of(input).index_select(0, on_device(old, v))), size)


@handles("cat")
def cat(tensors: Any, dim: int = 0) -> Tensor:
    values = [value_of(x) for x in tensors]
    if any(v is None or v.aval.layout.name != _COO for v in values):
        at = next(k for k, v in enumerate(values) if v is None or v.aval.layout.name != _COO)
        raise RuntimeError(f"Concatenating sparse tensors, but a dense tensor was found at position {at}.")
    first: Any = values[0]
    d, dims = _dim(dim, len(first.aval.shape)), sparse_dims(first)
    for k, v in enumerate(values):
        if len(v.aval.shape) != len(first.aval.shape) or any(
            a != b for e, (a, b) in enumerate(zip(v.aval.shape, first.aval.shape)) if e != d
        ):
            raise RuntimeError(
                f"All tensors must have the same shape: {list(first.aval.shape)} (except in the concatenating dimension), but found shape: {list(v.aval.shape)} at position {k}"
            )
    if d >= dims:
        not_implemented("cat of sparse tensors along a dense dim", "use to_dense()")
    shifts = np.cumsum([0, *[v.aval.shape[d] for v in values]])
    parts = []
    for v, shift in zip(values, shifts):
        i = host(v.parts[0]).copy()
        i[d] += shift
        parts.append(i)
    size = (*first.aval.shape[:d], int(shifts[-1]), *first.aval.shape[d + 1 :])
    return built("CatBackward0", _COO, (on_device(np.concatenate(parts, 1), first), torch.cat([values_of(x) for x in tensors])), size)


@handles("stack")
def stack(tensors: Any, dim: int = 0) -> Tensor:
    return cat([unsqueeze(x, dim) for x in tensors], _dim(dim, len(aval_of(tensors[0]).shape) + 1))
