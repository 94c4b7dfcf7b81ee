"""Products of sparse matrices: with dense ones through JAX's BCOO and BCSR, with each other by joining their indices.

The gradient of ``torch.mm``'s sparse factor is dense, that of ``torch.sparse.mm``'s has its places, as in torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._api._sparse import (
    built,
    coalesced,
    coordinates,
    entries,
    gather,
    host,
    is_known,
    layout_of,
    merged,
    on_device,
    values_of,
    with_values,
)
from jtorch._core.dispatch.composites import compose
from jtorch._core.graph.sparse_history import link, renamed
from jtorch._core.graph.sparse_values import could_not_run, handles, make, value_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.tensor.derived_functions import function_for
from jtorch._namespace import torch
from jtorch._ops._fitting import check_fits

__all__ = ["sparse_addmm", "sparse_mm", "sampled_addmm"]

_coo_matmul = function_for("internal.coo_matmul")
_csr_matmul = function_for("internal.csr_matmul")


def _is_sparse(t: Any) -> bool:
    return isinstance(t, Tensor) and value_of(t) is not None


def _conj_t(t: Tensor) -> Tensor:
    flipped: Any = t.t()  # type: ignore[attr-defined]
    return (
        flipped.conj() if flipped.is_complex() and not _is_sparse(t) else torch.conj_physical(flipped) if flipped.is_complex() else flipped
    )  # type: ignore[no-any-return]


def _check(a: Tensor, b: Tensor) -> None:
    sa, sb = aval_of(a).shape, aval_of(b).shape
    if len(sa) != 2 or len(sb) != 2:
        raise RuntimeError(f"mm: Expected matrices, got {len(sa)}D and {len(sb)}D tensors")
    if sa[1] != sb[0]:
        if layout_of(a) == "sparse_coo" and not _is_sparse(b):
            raise RuntimeError(f"addmm: Argument #3 (dense): Expected dim 0 size {sa[1]}, got {sb[0]}")
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({sa[0]}x{sa[1]} and {sb[0]}x{sb[1]})")
    if aval_of(a).dtype is not aval_of(b).dtype:
        raise RuntimeError(f"expected scalar type {aval_of(a).dtype.legacy} but found {aval_of(b).dtype.legacy}")


def _check_places(v: Any) -> None:
    """RuntimeError for an index out of range, once for a value, where the indices are on the host; on an accelerator nothing waits for them."""
    where = coordinates(v)
    if "checked" in v.memo or not is_known(where):
        return
    for name, row, n in zip(("row", "column"), host(where), v.aval.shape):
        bad = row[(row < 0) | (row >= n)]
        if bad.size:
            raise RuntimeError(f"addmm: index out of {name} bound: {bad[0]} not between 1 and {n}")
    v.memo["checked"] = True


def product(v: Any, values: Tensor, dense: Tensor) -> Tensor:
    """A sparse matrix times a dense one, differentiable in its values and in the dense matrix."""
    if v.aval.layout.name == "sparse_csr" and values.dim() == 1:  # type: ignore[attr-defined]
        return _csr_matmul(*v.parts[:2], values, dense, v.aval.shape)  # type: ignore[no-any-return]
    _check_places(v)
    return _coo_matmul(coordinates(v), entries(v, values), dense, v.aval.shape)  # type: ignore[no-any-return]


@handles("mm")
def mm(input: Tensor, mat2: Tensor, name: str = "MmBackward0") -> Tensor:
    _check(input, mat2)
    if _is_sparse(input) and _is_sparse(mat2):
        return _both(input, mat2)
    with torch.no_grad():
        if _is_sparse(input):
            v: Any = value_of(input)
            out = product(v, v.parts[-1], mat2.detach())  # type: ignore[attr-defined]
        else:
            v = value_of(torch.Tensor.t(mat2.detach()))  # type: ignore[attr-defined]
            out = product(v, v.parts[-1], input.detach().t()).t().contiguous()  # type: ignore[attr-defined]
    return link(name, out, (input, lambda g: torch.mm(g, _conj_t(mat2))), (mat2, lambda g: torch.mm(_conj_t(input), g)))


def _both(a: Tensor, b: Tensor) -> Tensor:
    """sparse @ sparse: each pair of elements that meets, added up by place."""
    layout = aval_of(a).layout
    x, y = coalesced(torch.Tensor.to_sparse(a)), coalesced(torch.Tensor.to_sparse(b))
    vx: Any = value_of(x)
    vy: Any = value_of(y)
    (rows, mid), (mid2, cols) = host(vx.parts[0]), host(vy.parts[0])
    starts, ends = np.searchsorted(mid2, mid, "left"), np.searchsorted(mid2, mid, "right")
    counts = ends - starts
    left = np.repeat(np.arange(len(mid)), counts)
    right = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
    parts = values_of(x).index_select(0, on_device(left, vx)) * values_of(y).index_select(0, on_device(right, vy))  # type: ignore[operator]
    size = (aval_of(a).shape[0], aval_of(b).shape[1])
    out = built("SparseSparseMatmulBackward0", "sparse_coo", merged(np.stack([rows[left], cols[right]]), parts, size, vx), size, True)
    return out if layout.name == "sparse_coo" else out.to_sparse(layout=layout)  # type: ignore[attr-defined,no-any-return]


@handles("mv")
def mv(input: Tensor, vec: Tensor) -> Tensor:
    sa, sb = aval_of(input).shape, aval_of(vec).shape
    if not _is_sparse(input) or _is_sparse(vec):
        raise could_not_run("mv", (input, vec))
    if len(sa) != 2 or len(sb) != 1 or sa[1] != sb[0]:
        raise RuntimeError(f"size mismatch, got input ({sa[0]}), mat ({'x'.join(map(str, sa))}), vec ({sb[0]})")
    return renamed("MvBackward0", mm(input, vec.unsqueeze(1)).squeeze(1))  # type: ignore[attr-defined]


@handles("matmul")
def matmul(input: Tensor, other: Tensor) -> Tensor:
    n, m = len(aval_of(input).shape), len(aval_of(other).shape)
    if (n, m) == (2, 2):
        return mm(input, other)
    if (n, m) == (2, 1):
        return mv(input, other)
    if (n, m) == (1, 2) and not _is_sparse(input):
        return mm(input.unsqueeze(0), other).squeeze(0)  # type: ignore[attr-defined,no-any-return]
    if (n, m) == (3, 3):
        return bmm(input, other)
    raise RuntimeError("expand is unsupported for Sparse tensors")


@handles("bmm")
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """A batch as one product of block-diagonal matrices."""
    if layout_of(input) != "sparse_coo" or _is_sparse(mat2):
        raise could_not_run("bmm", (input, mat2))
    v: Any = value_of(input)
    (b, n, k), (b2, k2, m) = v.aval.shape, aval_of(mat2).shape
    if b != b2 or k != k2:
        raise RuntimeError(f"bmm_sparse: Argument #2 'mat2' must have size [{b}, {k}, *], got {[b2, k2, m]}")
    at = host(v.parts[0])
    where = make("sparse_coo", (on_device(np.stack([at[0] * n + at[1], at[0] * k + at[2]]), v), v.parts[1]), (b * n, b * k))
    with torch.no_grad():
        out = product(value_of(where), v.parts[1], mat2.detach().reshape(b * k, m)).reshape(b, n, m)  # type: ignore[attr-defined]
    return link(
        "BmmBackward0",
        out,
        (input, lambda g: torch.bmm(g, mat2.transpose(1, 2))),
        (mat2, lambda g: torch.bmm(input.transpose(1, 2), g)),  # type: ignore[attr-defined]
    )


def _check_scales(input: Tensor, *scales: Any) -> None:
    """RuntimeError for complex factors of real tensors."""
    for scale in scales:
        if scale.__class__ is complex:
            check_fits(scale, input.dtype)


@handles("addmm")
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, beta: Any = 1, alpha: Any = 1) -> Tensor:
    _check_scales(input, beta, alpha)
    if _is_sparse(input) and not (_is_sparse(mat1) and _is_sparse(mat2)):
        raise could_not_run("addmm", (input, mat1, mat2))
    scaled = input if beta.__class__ is int and beta == 1 else input * beta  # type: ignore[operator]
    out = mm(mat1, mat2)
    out = out if alpha.__class__ is int and alpha == 1 else out * alpha  # type: ignore[operator]
    return renamed("AddmmBackward0", torch.add(scaled, out))


@handles("addmv")
def addmv(input: Tensor, mat: Tensor, vec: Tensor, beta: Any = 1, alpha: Any = 1) -> Tensor:
    _check_scales(input, beta, alpha)
    return renamed("AddmvBackward0", torch.add(input * beta, mv(mat, vec) * alpha))  # type: ignore[operator]


@handles("linear")
def linear(input: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    out = matmul(input, weight.t())  # type: ignore[attr-defined]
    return out if bias is None else torch.add(out, bias)  # type: ignore[no-any-return]


# --- torch.sparse -----------------------------------------------------------------------------------------------


def sparse_mm(mat1: Tensor, mat2: Tensor, reduce: str | None = None) -> Tensor:
    """``mat1 @ mat2``; the gradient of a sparse ``mat1`` has its places. ``reduce`` ("sum", "mean", "amax", "amin"): of a CSR matrix's
    products in a row.
    """
    if reduce is not None:
        return _mm_reduce(mat1, mat2, reduce)
    if not _is_sparse(mat1) or _is_sparse(mat2):
        return torch.mm(mat1, mat2)  # type: ignore[no-any-return]
    _check(mat1, mat2)
    return renamed("SparseAddmmBackward0", product(value_of(mat1), values_of(mat1), mat2))


def sparse_addmm(mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1.0, alpha: Any = 1.0) -> Tensor:
    """``beta * mat + alpha * (mat1 @ mat2)``; the gradient of a sparse ``mat1`` has its places."""
    _check_scales(mat, beta, alpha)
    if not _is_sparse(mat1) or _is_sparse(mat2):
        return torch.addmm(mat, mat1, mat2, beta=beta, alpha=alpha)  # type: ignore[no-any-return]
    _check(mat1, mat2)
    return renamed("SparseAddmmBackward0", mat * beta + product(value_of(mat1), values_of(mat1), mat2) * alpha)  # type: ignore[operator]


def _mm_reduce(mat1: Tensor, mat2: Tensor, reduce: str) -> Tensor:
    if layout_of(mat1) != "sparse_csr":
        raise RuntimeError("torch.sparse.mm: Expect self to be a SparseCsr tensor for a reduction")
    if reduce not in ("sum", "mean", "amax", "amin", "prod"):
        raise RuntimeError(f"reduce argument must be either sum, mean, amax, amin or prod, got {reduce}")
    _check(mat1, mat2)
    v: Any = value_of(mat1)
    rows, cols = coordinates(v)
    parts: Any = values_of(mat1).unsqueeze(1) * torch.index_select(mat2, 0, cols)  # type: ignore[operator]
    out = torch.zeros((v.aval.shape[0], parts.shape[1]), dtype=parts.dtype, device=parts.device)
    out = out.scatter_reduce(0, rows.unsqueeze(1).expand(parts.shape), parts, reduce, include_self=False)
    return renamed("SparseMmReduceImplBackward0", out)


def sampled_addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1.0, alpha: Any = 1.0, out: Any = None) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)`` at the places of the CSR matrix ``input`` only, where alone the product is computed."""
    _check_scales(input, beta, alpha)
    if layout_of(input) != "sparse_csr":
        raise RuntimeError(
            f"sampled_addmm: Expected self to be sparse CSR, but got layout {'Strided' if not _is_sparse(input) else layout_of(input)}"
        )
    s, a, b = (aval_of(t).shape for t in (input, mat1, mat2))
    if len(a) < 2 or len(b) < 2:
        raise RuntimeError(f"sampled_addmm: Expected mat1 and mat2 to be matrices, got {len(a)}D and {len(b)}D")
    if a[-1] != b[-2]:
        raise RuntimeError(f"sampled_addmm: mat1 and mat2 shapes cannot be multiplied ({a[-2]}x{a[-1]} and {b[-2]}x{b[-1]})")
    if s[-2] != a[-2]:
        raise RuntimeError("sampled_addmm: self.shape[-2] must match mat1.shape[-2]")
    if s[-1] != b[-1]:
        raise RuntimeError("sampled_addmm: self.shape[-1] must match mat2.shape[-1]")
    if not input.is_complex():  # type: ignore[attr-defined]
        beta, alpha = (x.real if isinstance(x, complex) else x for x in (beta, alpha))
    v: Any = value_of(input)
    where = coordinates(v)
    rows, cols = [*where[:-2], where[-2]], [*where[:-2], where[-1]]
    x, y = gather(mat1, torch.stack(rows)), gather(mat2.mT, torch.stack(cols))  # type: ignore[attr-defined]
    own: Any = v.parts[2].detach()
    part = with_values(v, own * beta + alpha * (x * y).sum(-1).reshape(own.shape), "SparseSampledAddmmBackward0")
    both = make("sparse_csr", value_of(part).parts, s)  # type: ignore[union-attr]
    result = link("SparseSampledAddmmBackward0", both, (part, lambda g: g), (input, lambda g: g * (beta.conjugate() if isinstance(beta, complex) else beta)))
    return result if out is None else out.copy_(result)  # type: ignore[no-any-return]


# --- older names ------------------------------------------------------------------------------------------------


def _hybrid(mat1: Tensor, mat2: Tensor) -> tuple[np.ndarray, Tensor, Any]:
    """(rows that have elements, their rows of the product, the sparse value)."""
    with torch.no_grad():
        x = coalesced(torch.Tensor.to_sparse(mat1.detach()))  # type: ignore[attr-defined]
        v: Any = value_of(x)
        rows = np.unique(host(v.parts[0])[0])
        full = product(v, v.parts[1], mat2.detach())  # type: ignore[attr-defined]
        return rows, full.index_select(0, on_device(rows, v)), v  # type: ignore[attr-defined]


def _check_factors(name: str, mat1: Tensor, mat2: Tensor) -> None:
    """What the older products ask for: a COO matrix and a dense one that fits."""
    if layout_of(mat1) != "sparse_coo" or not _is_sparse(mat1):
        raise could_not_run(name, (mat1,))
    if _is_sparse(mat2):
        layout = "Sparse" if layout_of(mat2) == "sparse_coo" else "SparseCsr"
        if name == "hspmm":
            raise RuntimeError(f"addmm_sparse_dense: expected strided result tensor, got tensor with layout {layout}")
        raise RuntimeError(f"{name}: expected 'mat2' to have strided layout, got 'mat2' with layout {layout}")
    n, dense = aval_of(mat1).shape[1], aval_of(mat2).shape
    if len(dense) != 2:
        raise RuntimeError(f"{name}: Argument #3: matrices expected, got {len(dense)}D tensor")
    if dense[0] != n:
        raise RuntimeError(f"{name}: Argument #3: Expected dim 0 size {n}, got {dense[0]}")
    _check(mat1, mat2)


def _without_derivative(name: str, out: Tensor, *inputs: Tensor) -> Tensor:
    def back(g: Tensor) -> Tensor:
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    return link("NotImplemented", out, *[(t, back) for t in inputs])


@compose("torch", aliases="torch.hsmm")
def hspmm(mat1: Tensor, mat2: Tensor) -> Tensor:
    """A sparse matrix times a dense one as a tensor with sparse rows and dense columns."""
    _check_factors("hspmm", mat1, mat2)
    rows, values, v = _hybrid(mat1, mat2)
    out = make("sparse_coo", (on_device(rows[None], v), values), (aval_of(mat1).shape[0], aval_of(mat2).shape[1]))
    return _without_derivative("hspmm", out, mat1, mat2)


@compose("torch Tensor", aliases="torch.saddmm")
def sspaddmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)`` with sparse ``input`` and ``mat1``, as a sparse tensor."""
    _check_scales(input, beta, alpha)
    if isinstance(input, torch.Tensor) and aval_of(input).layout.name == "strided":
        raise RuntimeError("tensor.sspaddmm(...) can only be called on sparse tensors")
    if not _is_sparse(input):
        raise could_not_run("sspaddmm", (input, mat1, mat2))
    if not _is_sparse(mat1):
        raise RuntimeError("sspaddmm: expected 'mat1' to have sparse layout, got 'mat1' with layout Strided")
    _check_factors("sspaddmm", mat1, mat2)
    if aval_of(input).dtype is not aval_of(mat1).dtype:
        kinds = aval_of(mat1).dtype.legacy, aval_of(input).dtype.legacy
        raise RuntimeError(f"dtype of values ({kinds[0]}) must match dtype of sparse tensor ({kinds[1]})")
    rows, values, v = _hybrid(mat1, mat2)
    cols = aval_of(mat2).shape[1]
    at = np.stack([np.repeat(rows, cols), np.tile(np.arange(cols), len(rows))])
    with torch.no_grad():
        own: Any = value_of(input.detach())  # type: ignore[attr-defined]
        i = on_device(np.concatenate([host(own.parts[0]), at], 1), v)
        out = make("sparse_coo", (i, torch.cat([own.parts[1] * beta, values.reshape(-1) * alpha])), aval_of(input).shape)  # type: ignore[operator]
    return _without_derivative("sspaddmm", out, input, mat1, mat2)


@compose("torch Tensor")
def smm(input: Tensor, mat2: Tensor) -> Tensor:
    """A sparse matrix times a dense one as a sparse tensor."""
    if not _is_sparse(input):
        raise RuntimeError("tensor.sspaddmm(...) can only be called on sparse tensors")
    if layout_of(input) != "sparse_coo":
        raise RuntimeError("torch.empty: Only batched sparse compressed (non-block) tensors are supported, but got size [0]")
    _check_factors("sspaddmm", input, mat2)
    size = (aval_of(input).shape[0], aval_of(mat2).shape[1])
    return torch.sspaddmm(torch.sparse_coo_tensor(size, dtype=input.dtype, device=input.device), input, mat2)  # type: ignore[attr-defined,no-any-return]
