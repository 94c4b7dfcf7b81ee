"""Tensors of the sparse layouts: an ordinary ``Tensor`` on a storage whose value is a :class:`SparseValue`.

The parts of a sparse value are ordinary tensors outside of any graph. An operator that meets a sparse value finds no entry for it and comes
here (``divert``), where the functions of ``_api/sparse_*.py`` are found by the operator's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtorch import _types
from jtorch._errors import warn_once
from jtorch._engine.values.sparse_values import SparseMet, SparseValue, sparse_aval

from jtorch._core.storage.bare_tensor import Tensor, new_tensor

__all__ = ["HANDLERS", "handles", "divert", "make", "value_of", "nnz", "could_not_run"]

HANDLERS: dict[str, Callable[..., Any]] = {}
PART_NAMES = {
    "sparse_coo": ("indices", "values"),
    "sparse_csr": ("crow_indices", "col_indices", "values"),
    "sparse_bsr": ("crow_indices", "col_indices", "values"),
    "sparse_csc": ("ccol_indices", "row_indices", "values"),
    "sparse_bsc": ("ccol_indices", "row_indices", "values"),
}
# What torch's messages and type names call the layouts.
SHORT = {
    "strided": "Strided",
    "sparse_coo": "Sparse",
    "sparse_csr": "SparseCsr",
    "sparse_csc": "SparseCsc",
    "sparse_bsr": "SparseBsr",
    "sparse_bsc": "SparseBsc",
}


# --- values and their parts -------------------------------------------------------------------------------------


def value_of(t: Tensor) -> SparseValue | None:
    """The sparse value of a tensor; None if it is dense."""
    if t._view is not None or t._s.host is not None:
        return None
    v = t._s.value
    return v if v.__class__ is SparseValue else None


_BETA = (
    "Sparse {} tensor support is in beta state. If you miss a functionality in the sparse tensor support, please submit a feature request to "
    "https://github.com/pytorch/pytorch/issues. (Triggered internally at SparseCsrTensorImpl.cpp.)"
)
_first_compressed: list[str] = []  # the layout that is warned of, once for all of them


def make(layout: str, parts: Sequence[Tensor], size: Sequence[int], coalesced: bool = False) -> Tensor:
    """A sparse tensor outside of any graph. The parts are kept as they are."""
    if layout != "sparse_coo":
        _first_compressed.append(layout[-3:].upper())
        warn_once(_BETA.format(_first_compressed[0]))
        del _first_compressed[1:]
    values = parts[-1]
    a = values._s.value.aval if values._view is None else values._view.aval
    found = sparse_aval(tuple(int(n) for n in size), a.dtype, a.device, _types.CONSTANTS[layout])
    return new_tensor(SparseValue(found, tuple(_bare(p) for p in parts), coalesced))


def make_loose(loose: tuple[Tensor, Tensor], size: Sequence[int], exact: Callable[[], tuple[Tensor, Tensor]]) -> Tensor:
    """A COO tensor outside of any graph whose parts are computed when somebody looks at them (see :class:`SparseValue`)."""
    a = loose[1]._s.value.aval if loose[1]._view is None else loose[1]._view.aval
    found = sparse_aval(tuple(size), a.dtype, a.device, _types.CONSTANTS["sparse_coo"])
    return new_tensor(SparseValue(found, exact, False, loose))


def _bare(t: Tensor) -> Tensor:
    return t if t._edge is None else t.detach()


def nnz(v: SparseValue) -> int:
    """The number of elements (blocks) that are specified; of a batch, those of each of its matrices."""
    indices: tuple[int, ...] = tuple(v.parts[-2].shape)
    return indices[-1]


def like(t: Tensor, values: Tensor, coalesced: bool | None = None) -> Tensor:
    """Other values at the places of ``t``, outside of any graph."""
    v: Any = value_of(t)
    return make(v.aval.layout.name, (*v.parts[:-1], values), v.aval.shape, v.coalesced if coalesced is None else coalesced)


def type_name(a: Any) -> str:
    """What ``Tensor.type()`` says of a sparse aval."""
    if a.layout.name != "sparse_coo":
        raise RuntimeError(f"Unimplemented backend {SHORT[a.layout.name]}{'CUDA' if a.device.type == 'cuda' else 'CPU'}")
    return f"torch.{'cuda.' if a.device.type == 'cuda' else ''}sparse.{a.dtype.legacy}Tensor"


def strides(t: Tensor) -> tuple[int, ...]:
    v: Any = value_of(t)
    if v.aval.layout.name != "sparse_coo":
        raise RuntimeError(f"Sparse {v.aval.layout.name[-3:].upper()} tensors do not have strides")
    return (0,) * len(v.aval.shape)


def is_contiguous(t: Tensor) -> bool:
    name = value_of(t).aval.layout.name  # type: ignore[union-attr]
    if name != "sparse_coo":
        raise RuntimeError(f"Sparse {name[-3:].upper()} tensors do not have is_contiguous")
    return False


# --- operators on them ------------------------------------------------------------------------------------------


def handles(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run this function instead of the operators ``names`` where an argument is sparse; its parameters are those of the operator, by name."""

    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            if name in HANDLERS:
                raise RuntimeError(f"{name} on sparse tensors is declared twice")
            HANDLERS[name] = fn
        return fn

    return declare


def divert(call: Any, args: Sequence[Any]) -> Any:
    """A call some of whose tensors are sparse."""
    op = call.op
    if op is None:
        raise SparseMet(f"{call.name} is not implemented for sparse tensors")
    rest = iter(args)
    named: dict[str, Any] = {}
    for d, p in zip(call.key, op.fn_params, strict=True):
        if d[0] in "TS":
            named[p.name] = next(rest)
        elif d[0] == "L":
            named[p.name] = [next(rest) if there else None for there in d[1]]
        else:
            named[p.name] = d[2]
    handler = HANDLERS.get(op.name)
    if handler is None:
        raise could_not_run(op.name, args)
    return handler(**named)


def backend(args: Sequence[Any]) -> str:
    """What torch calls the backend of these arguments: the first sparse layout among them, and the device."""
    for a in args:
        v = value_of(a) if isinstance(a, Tensor) else None
        if v is not None:
            where = "CUDA" if v.aval.device.type == "cuda" else "CPU"
            return f"Sparse{'' if v.aval.layout.name == 'sparse_coo' else 'Csr'}{where}"
    return "CPU"


def could_not_run(name: str, args: Sequence[Any]) -> NotImplementedError:
    """torch's error for an operator without a kernel for this layout."""
    return NotImplementedError(
        f"Could not run 'aten::{name}' with arguments from the '{backend(args)}' backend. This could be because the operator doesn't exist for this "
        f"backend: jtorch implements {name} for dense tensors only, to_dense() gives one."
    )
