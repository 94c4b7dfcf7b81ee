"""Sums and softmax of sparse tensors, over what is specified."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._api._sparse import (
    built,
    coalesced,
    host,
    layout_of,
    merged,
    on_device,
    segment_max,
    segment_sum,
    sparse_dims,
    values_of,
    with_values,
)
from jtorch._core.graph.sparse_history import link
from jtorch._core.graph.sparse_values import could_not_run, handles, value_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.tensor.derived_functions import function_for
from jtorch._namespace import torch

__all__ = ["sparse_log_softmax", "sparse_softmax", "sparse_sum"]

_sum = function_for("torch.sum")


def _dims(dim: Any, n: int) -> tuple[int, ...]:
    found = []
    for d in (dim,) if isinstance(dim, int) else tuple(dim):
        if not -n <= d < n:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
        if d % n in found:
            raise RuntimeError(f"dim {d % n} appears multiple times in the list of dims")
        found.append(d % n)
    return tuple(sorted(found))


@handles("sum")
def sum(input: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """Of everything: dense, and so is the gradient. Over dims: see :func:`sparse_sum`."""
    v: Any = value_of(input)
    if dim is None or dim == () or (isinstance(dim, (tuple, list)) and len(dim) == 0):
        with torch.no_grad():
            out = torch.sum(v.parts[-1], dtype=dtype)
        return link("SumBackward0", out, (input, lambda g: g.to(v.aval.dtype).expand(v.aval.shape)))
    if v.aval.layout.name == "sparse_coo":
        return _over(input, _dims(dim, len(v.aval.shape)), keepdim, dtype)
    if not keepdim:
        raise RuntimeError("reduction operations on CSR tensors with keepdim=False is unsupported")
    coo = _over(torch.Tensor.to_sparse(input), _dims(dim, len(v.aval.shape)), True, dtype)
    return (coo if value_of(coo) is not None else coo.to_sparse()).to_sparse(layout=v.aval.layout)  # type: ignore[attr-defined,no-any-return]


def sparse_sum(input: Tensor, dim: Any = None, dtype: Any = None) -> Tensor:
    """The sum over dims (all by default); sparse where a sparse dim is left. The gradient has the places of ``input``."""
    if layout_of(input) != "sparse_coo":
        if value_of(input) is None:
            return torch.sum(input, dtype=dtype) if dim is None else torch.sum(input, dim, dtype=dtype)  # type: ignore[no-any-return]
        raise could_not_run("_indices", (input,))
    if dim is None:
        return torch.sum(values_of(input), dtype=dtype)  # type: ignore[no-any-return]
    return _over(input, _dims(dim, len(aval_of(input).shape)), False, dtype)


def _over(input: Tensor, dims: tuple[int, ...], keepdim: bool, dtype: Any) -> Tensor:
    v: Any = value_of(input)
    n = sparse_dims(v)
    size = tuple(1 if d in dims else s for d, s in enumerate(v.aval.shape) if keepdim or d not in dims)
    values: Any = values_of(input)
    inner = [d - n + 1 for d in dims if d >= n]
    if inner:
        values = torch.sum(values, inner, keepdim, dtype=dtype)
    elif dtype is not None or v.aval.dtype.category < 2:
        values = values.to(dtype or torch.int64)
    gone = [d for d in dims if d < n]
    if len(gone) == n:
        out = torch.sum(values, 0)
        return out.reshape(size) if keepdim else out  # type: ignore[no-any-return]
    at = host(v.parts[0])
    if keepdim:
        at = at.copy()
        at[gone] = 0
    else:
        at = np.delete(at, gone, axis=0)
    left = size[: len(at)]
    i, vals = merged(at, values, left, v)
    return built("SparseSumBackward0", "sparse_coo", (i, vals), size, not keepdim)


def _softmax(input: Tensor, dim: int, dtype: Any, log: bool) -> Tensor:
    if layout_of(input) != "sparse_coo":
        raise could_not_run("_sparse_log_softmax" if log else "_sparse_softmax", (input,))
    if dtype is not None:
        input = input.to(dtype)  # type: ignore[attr-defined]
    name = "SparseLogSoftmaxBackward0" if log else "SparseSoftmaxBackward0"
    t = coalesced(input)
    v: Any = value_of(t)
    (d,) = _dims(dim, len(v.aval.shape))
    values: Any = values_of(t)
    n = sparse_dims(v)
    if d >= n:
        fn = torch.log_softmax if log else torch.softmax
        return with_values(v, fn(values, d - n + 1), name)
    keys = np.delete(host(v.parts[0]), d, axis=0)
    _, group = np.unique(keys, axis=1, return_inverse=True) if len(keys) else (None, np.zeros(keys.shape[1], np.int64))
    group = np.asarray(group).reshape(-1)
    if not len(group):
        return with_values(v, values, name)
    rows, m = on_device(group, v), int(group.max()) + 1
    shifted = values - segment_max(values.detach(), rows, m).index_select(0, rows)
    powers = torch.exp(shifted)
    total = segment_sum(powers, rows, m).index_select(0, rows)
    return with_values(v, shifted - torch.log(total) if log else powers / total, name)


def sparse_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The softmax along a dim; what is not specified counts as minus infinity."""
    return _softmax(input, dim, dtype, False)


def sparse_log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of :func:`sparse_softmax`."""
    return _softmax(input, dim, dtype, True)


@handles("any")
def any(input: Tensor, **rest: Any) -> Tensor:
    if rest.get("dim") is not None or layout_of(input) != "sparse_coo":
        raise could_not_run("any", (input,))
    return torch.any(coalesced(input)._values())  # type: ignore[attr-defined,no-any-return]
