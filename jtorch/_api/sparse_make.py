"""Making sparse tensors: ``torch.sparse_coo_tensor`` and its like, and what checks them."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._api._sparse import built, host
from jtorch._core.dispatch.composites import compose
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.creation import from_array, place
from jtorch._errors import warn_once
from jtorch._namespace import torch

__all__ = ["check_sparse_tensor_invariants", "spdiags"]

_checking = [False]
_stated = [False]  # whether anybody has said if they are to be checked
_UNCHECKED = (
    "Sparse invariant checks are implicitly disabled. Memory errors (e.g. SEGFAULT) will occur when operating on a sparse tensor which violates the invariants, but checks "
    "incur performance overhead. To silence this warning, explicitly opt in or out. See `torch.sparse.check_sparse_tensor_invariants.__doc__` for guidance.  "
    "(Triggered internally at Context.cpp.)"
)


def _state(checking: bool) -> None:
    _checking[0], _stated[0] = checking, True


def _to_be_checked(asked: bool | None) -> bool:
    if asked is not None:
        return asked
    if not _stated[0]:
        warn_once(_UNCHECKED)
    return _checking[0]


class check_sparse_tensor_invariants:
    """Whether new sparse tensors are checked: a switch (``enable``, ``disable``, ``is_enabled``), and a context or decorator that sets it
    for a while.
    """

    def __init__(self, enable: bool = True) -> None:
        self.state = enable
        self.saved: bool | None = None

    @staticmethod
    def is_enabled() -> bool:
        """Whether they are checked now."""
        return _checking[0]

    @staticmethod
    def enable() -> None:
        """Check from now on."""
        _state(True)

    @staticmethod
    def disable() -> None:
        """No longer check."""
        _state(False)

    def __enter__(self) -> None:
        if self.saved is not None:
            raise RuntimeError(
                "This context manager instance is already activated. Use a different context manager instance for context nesting."
            )
        self.saved = _checking[0]
        _state(self.state)

    def __exit__(self, *_: object) -> None:
        _state(bool(self.saved))
        self.saved = None

    def __call__(self, fn: Any) -> Any:
        import functools

        @functools.wraps(fn)
        def checked(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.state):
                return fn(*args, **kwargs)

        return checked


def _index_tensor(indices: Any, where: Any) -> Tensor:
    if not isinstance(indices, Tensor):
        indices = from_array(np.asarray(indices).astype(np.int64), device=where)
    return indices.detach()  # type: ignore[no-any-return]


def _value_tensor(values: Any, dtype: Any, where: Any) -> Tensor:
    if not isinstance(values, Tensor):
        return torch.tensor(values, dtype=dtype, device=where)  # type: ignore[no-any-return]
    if dtype is not None or where is not None:
        values = values.to(device=where, dtype=dtype)
    return values


def _is_size(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and all(isinstance(n, int) for n in x)


def _finished(t: Tensor, requires_grad: bool) -> Tensor:
    return t.requires_grad_() if requires_grad else t  # type: ignore[attr-defined,no-any-return]


@compose("torch")
def sparse_coo_tensor(
    *args: Any, indices: Any = None, values: Any = None, size: Any = None, dtype: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False, check_invariants: bool | None = None, is_coalesced: bool | None = None,
) -> Tensor:  # fmt: skip
    """A COO tensor from ``indices`` (sparse dims, n) and ``values`` (n, dense dims); an empty one from a size alone. Values of one place
    count together.

    Without ``size`` the smallest that holds the indices is taken, for which they are looked at.
    """
    if len(args) == 1 and values is None and _is_size(args[0]):
        size, args = args[0], ()
    given = dict(zip(("indices", "values", "size"), args))
    indices, values, size = given.get("indices", indices), given.get("values", values), given.get("size", size)
    if indices is None or values is None:
        if size is None or indices is not None or values is not None:
            raise TypeError("sparse_coo_tensor() received an invalid combination of arguments: it takes indices and values, or a size")
        where = place(device)
        size = tuple(size)
        _to_be_checked(check_invariants)
        i = from_array(np.zeros((len(size), 0), np.int64), device=where)
        return _finished(built("", "sparse_coo", (i, torch.zeros(0, dtype=dtype, device=where)), size), requires_grad)
    v = _value_tensor(values, dtype, device)
    i = _index_tensor(indices, v.device)  # type: ignore[attr-defined]
    if i.is_complex():  # type: ignore[attr-defined]
        raise RuntimeError("indices must be an int64 tensor")
    i = i.to(device=v.device, dtype=torch.int64)  # type: ignore[attr-defined]
    i = i.unsqueeze(1) if i.dim() == 1 else i.reshape(0, 1) if i.dim() == 0 else i  # type: ignore[attr-defined]
    v = v.unsqueeze(0) if v.dim() == 0 else v  # type: ignore[attr-defined]
    dims, n = i.shape  # type: ignore[attr-defined]
    dense = v.shape[1:]  # type: ignore[attr-defined]
    if size is None:
        if n == 0 and dims:
            inferred: Any = (0,) * dims
        else:
            low = host(i).min(1) if dims else np.zeros(0, np.int64)
            if (low < 0).any():
                d = int(np.argmax(low < 0))
                raise RuntimeError(f"found negative index {low[d]} for dim {d}")
            inferred = (host(i).max(1) + 1).tolist() if dims else ()
        size = (*inferred, *dense)
    size = tuple(int(s) for s in size)
    if len(size) != dims + len(dense):
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, sparse_dim = {dims}, dense_dim = {len(dense)}"
        )
    if n != v.shape[0]:  # type: ignore[attr-defined]
        raise RuntimeError(f"indices and values must have same nnz, but got nnz from indices: {n}, nnz from values: {v.shape[0]}")  # type: ignore[attr-defined]
    if tuple(dense) != size[dims:]:
        raise RuntimeError(f"values has incorrect size, expected {[n, *size[dims:]]}, got {list(v.shape)}")  # type: ignore[attr-defined]
    if _to_be_checked(check_invariants):
        _check_coo(host(i), size)
    out = built("SparseCooTensorWithDimsAndTensorsBackward0", "sparse_coo", (i, v), size, bool(is_coalesced))
    return _finished(out, requires_grad)


def _check_coo(indices: np.ndarray, size: tuple[int, ...]) -> None:
    """RuntimeError for an index out of range."""
    for d, row in enumerate(indices):
        if row.size and row.min() < 0:
            raise RuntimeError(f"found negative index {row.min()} for dim {d}")
        if row.size and row.max() >= size[d]:
            raise RuntimeError(f"size is inconsistent with indices: for dim {d}, size is {size[d]} but found index {row.max()}")


# --- compressed layouts -----------------------------------------------------------------------------------------


def _compressed(name: str, layout: str) -> None:
    @compose("torch", name=name)
    def make_one(
        compressed: Any = None, plain: Any = None, values: Any = None, size: Any = None, *, dtype: Any = None, device: Any = None,
        pin_memory: bool = False, requires_grad: bool = False, check_invariants: bool | None = None, **named: Any,
    ) -> Tensor:  # fmt: skip
        """A sparse tensor of this layout from where each row (column) begins, the other index, and the values. ``size`` is inferred if not
        given.
        """
        first, second = ("crow_indices", "col_indices") if layout in ("sparse_csr", "sparse_bsr") else ("ccol_indices", "row_indices")
        compressed, plain = named.pop(first, compressed), named.pop(second, plain)
        if named:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(named))}'")
        return compressed_tensor(layout, compressed, plain, values, size, dtype, device, requires_grad, check_invariants)


for _kind in ("csr", "csc", "bsr", "bsc"):
    _compressed(f"sparse_{_kind}_tensor", f"sparse_{_kind}")


@compose("torch")
def sparse_compressed_tensor(
    compressed_indices: Any, plain_indices: Any, values: Any, size: Any = None, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, check_invariants: bool | None = None,
) -> Tensor:  # fmt: skip
    """A sparse tensor of one of the compressed layouts (``layout=torch.sparse_csr``, ...)."""
    if layout is None or layout.name not in _ROWS:
        raise RuntimeError(f"expected sparse compressed tensor layout but got {'Strided' if layout is None else layout}")
    return compressed_tensor(layout.name, compressed_indices, plain_indices, values, size, dtype, device, requires_grad, check_invariants)


_ROWS = {"sparse_csr": True, "sparse_bsr": True, "sparse_csc": False, "sparse_bsc": False}


def compressed_tensor(
    layout: str, compressed: Any, plain: Any, values: Any, size: Any, dtype: Any, device: Any, requires_grad: bool, check: bool | None
) -> Tensor:
    v: Any = _value_tensor(values, dtype, device)
    c: Any = _index_tensor(compressed, v.device)
    p: Any = _index_tensor(plain, v.device)
    batch = p.dim() - 1
    blocked = layout in ("sparse_bsr", "sparse_bsc")
    block = tuple(v.shape[batch + 1 : batch + 3]) if blocked else (1, 1)
    if size is None:
        outer, inner = c.shape[-1] - 1, int(host(p).max()) + 1 if p.numel() else 0
        rows, cols = (outer, inner) if _ROWS[layout] else (inner, outer)
        size = (*p.shape[:-1], rows * block[0], cols * block[1], *v.shape[batch + (3 if blocked else 1) :])
    size = tuple(int(n) for n in size)
    if _to_be_checked(check):
        _check_compressed(layout, c, p, v, size, block, batch)
    name = f"Sparse{'Compressed'}TensorBackward0"
    return _finished(built(name, layout, (c, p, v), size), requires_grad)


def _check_compressed(layout: str, c: Any, p: Any, v: Any, size: tuple[int, ...], block: Any, batch: int) -> None:
    """RuntimeError, as torch words it, for indices that do not describe a matrix."""
    row = _ROWS[layout]
    first, second, outer, inner = ("crow", "col", "nrows", "ncols") if row else ("ccol", "row", "ncols", "nrows")
    n_outer, n_inner = (size[batch] // block[0], size[batch + 1] // block[1])[:: 1 if row else -1]
    nnz = v.shape[batch]
    if p.shape[-1] != nnz:
        raise RuntimeError(
            f"{second}_indices.shape[-1] must be equal to nnz (={nnz}) as defined by values.shape[{batch}], but got {p.shape[-1]}"
        )
    if c.shape[-1] != n_outer + 1:
        raise RuntimeError(
            f"{first}_indices.shape[-1] must be equal to the number of {'rows' if row else 'columns'} + 1 (={n_outer + 1}), but got {c.shape[-1]}"
        )
    starts, at = host(c).reshape(-1, n_outer + 1), host(p).reshape(-1, nnz)

    def require(true: Any, text: str) -> None:
        if not true:
            raise RuntimeError(f"`{text}` is not satisfied.")

    require((starts[:, 0] == 0).all(), f"{first}_indices[..., 0] == 0")
    require((starts[:, -1] == nnz).all(), f"{first}_indices[..., -1] == nnz")
    steps = np.diff(starts, axis=1)
    require(((steps >= 0) & (steps <= n_inner)).all(), f"0 <= {first}_indices[..., 1:] - {first}_indices[..., :-1] <= {inner}")
    require(((at >= 0) & (at < n_inner)).all(), f"0 <= {second}_indices < {inner}")
    rising = all(np.diff(a[s:e]).min(initial=1) > 0 for b, a in zip(starts, at) for s, e in zip(b[:-1], b[1:]))
    require(
        rising,
        f"{second}_indices[..., {first}_indices[..., i - 1]:{first}_indices[..., i]] for all i = 1, ..., {outer} are sorted and distinct along the last dimension values",
    )


def spdiags(diagonals: Tensor, offsets: Tensor, shape: Any, layout: Any = None) -> Tensor:
    """A matrix of this shape whose diagonals number ``offsets`` are the rows of ``diagonals``. Source: torch.sparse.spdiags."""
    d: Any = diagonals.unsqueeze(0) if diagonals.dim() == 1 else diagonals  # type: ignore[attr-defined]
    o: Any = offsets.unsqueeze(0) if offsets.dim() == 0 else offsets  # type: ignore[attr-defined]
    shape = tuple(shape)
    if d.dim() != 2:
        raise RuntimeError("Diagonals must be vector or matrix")
    if len(shape) != 2:
        raise RuntimeError("Output shape must be 2d")
    if o.dim() != 1:
        raise RuntimeError("Offsets must be scalar or vector")
    if layout is not None and layout.name not in ("sparse_coo", "sparse_csc", "sparse_csr"):
        raise RuntimeError(f"Only output layouts (Sparse, SparseCsc, SparseCsr) are supported, got {layout}")
    if o.shape[0] != d.shape[0]:
        raise RuntimeError(f"Number of diagonals ({d.shape[0]}) does not match the number of offsets ({o.shape[0]})")
    wanted = host(o)
    if len(np.unique(wanted)) != len(wanted):
        raise RuntimeError("Offset tensor contains duplicate values")
    rows, cols, lines = [], [], []
    for k, offset in enumerate(wanted.tolist()):
        col = np.arange(max(0, offset), min(shape[1], shape[0] + offset, d.shape[1]))
        rows.append(col - offset)
        cols.append(col)
        lines.append(np.full(len(col), k))
    indices = np.stack([np.concatenate(rows), np.concatenate(cols)])
    at = from_array(np.stack([np.concatenate(lines), np.concatenate(cols)]))
    out = torch.sparse_coo_tensor(from_array(indices), d[at[0], at[1]], shape)
    return out if layout is None or layout.name == "sparse_coo" else out.to_sparse(layout=layout)  # type: ignore[no-any-return]
