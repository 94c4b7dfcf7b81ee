"""What the functions of sparse tensors share: their places as arrays of the host, their values as tensors of the graph.

How many places a result has depends on the indices, so indices are computed by numpy, which looks at them; values are recorded as
everything else is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._core.graph.sparse_history import link
from jtorch._core.graph.sparse_values import SHORT, could_not_run, make, value_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, elements
from jtorch._core.tensor.creation import from_array
from jtorch._core.tensor.derived_functions import function_for
from jtorch._engine.values.sparse_values import SparseValue
from jtorch._namespace import torch

__all__ = [
    "at_places", "coalesced", "coordinates", "entries", "flat_keys", "host", "is_known", "layout_of", "like", "masked", "merged", "on_device", "padded", "segment_max",
    "segment_sum", "sparse_dims", "transform", "values_of", "with_values",
]  # fmt: skip

gather = function_for("internal.coo_gather")
to_dense = function_for("internal.coo_to_dense")
segment_sum = function_for("internal.segment_sum")
segment_max = function_for("internal.segment_max")
_padded = function_for("internal.coalesce_padded")


def host(t: Tensor) -> np.ndarray:
    """The elements of an index tensor."""
    return elements(t)


def is_known(t: Tensor) -> bool:
    """Whether the elements of an index tensor are on the host, so that looking at them waits for nothing."""
    return aval_of(t).device.type == "cpu" and (t._s.host is not None or t._s.value.trace is None)


def on_device(array: np.ndarray, v: SparseValue) -> Tensor:
    """Indices for a value."""
    return from_array(np.ascontiguousarray(array), device=v.aval.device)


def layout_of(t: Tensor) -> str:
    """ "strided", "sparse_coo", ..."""
    return str(aval_of(t).layout.name)


def sparse_dims(v: SparseValue) -> int:
    """The number of dims that the indices of a COO value speak of."""
    return int((v.loose or v.parts)[0].shape[0])


def like(v: SparseValue, values: Tensor, is_coalesced: bool | None = None) -> Tensor:
    """Other values at the same places, outside of any graph."""
    return make(v.aval.layout.name, (*v.parts[:-1], values), v.aval.shape, v.coalesced if is_coalesced is None else is_coalesced)  # type: ignore[attr-defined]


def values_of(t: Tensor) -> Tensor:
    """The values, in the graph; they share memory with the tensor."""
    v: Any = value_of(t)

    def back(g: Tensor) -> Tensor:
        if v.coalesced or len(v.parts) == 3:
            return with_values(v, g, "ValuesBackward0")
        i, first = _distinct(v)
        return built("ValuesBackward0", "sparse_coo", (i, g if first is None else g.index_select(0, first)), v.aval.shape, True)  # type: ignore[attr-defined]

    return link("ValuesBackward0", v.parts[-1].detach(), (t, back))


def _distinct(v: SparseValue) -> tuple[Tensor, Tensor | None]:
    """(the places of a COO value, each once and in order; where each stands first, None where all do in this order).

    A gradient is an element for each place. With a place that is there twice it would count twice, because sparse tensors are sums.
    """
    found = v.memo.get("distinct")
    if found is None:
        size = v.aval.shape[: sparse_dims(v)]
        keys = flat_keys(host(v.parts[0]), size)
        places, first = np.unique(keys, return_index=True)
        same = len(places) == len(keys) and (places == keys).all()
        found = v.memo["distinct"] = (v.parts[0], None) if same else (on_device(unflatten(places, size), v), on_device(first, v))
    return found  # type: ignore[no-any-return]


def with_values(v: SparseValue, values: Tensor, name: str, is_coalesced: bool | None = None) -> Tensor:
    """Other values at the same places, in the graph."""
    return link(name, like(v, values, is_coalesced), (values, lambda g: at_places(v, g)))


def masked(v: SparseValue, g: Tensor) -> Tensor:
    """A gradient at the places of ``v``, each once, in its layout."""
    if not v.coalesced and len(v.parts) == 2:
        i, _ = _distinct(v)
        n, old = i.shape[1], v.parts[1]  # type: ignore[attr-defined]
        where: Any = value_of(
            make("sparse_coo", (i, torch.zeros((n, *old.shape[1:]), dtype=old.dtype, device=old.device)), v.aval.shape, True)
        )
        return with_values(where, at_places(where, g), "SparseMaskBackward0")
    return with_values(v, at_places(v, g), "SparseMaskBackward0")


def built(name: str, layout: str, parts: Any, size: Any, is_coalesced: bool = False) -> Tensor:
    """A sparse tensor in the graph of its values."""
    out = make(layout, parts, size, is_coalesced)
    v: Any = value_of(out)
    return link(name, out, (parts[-1], lambda g: at_places(v, g)))


# --- places -----------------------------------------------------------------------------------------------------


def flat_keys(indices: np.ndarray, size: Any) -> np.ndarray:
    """One number for each column of indices, in row-major order."""
    keys = np.zeros(indices.shape[1], np.int64)
    for row, n in zip(indices, size):
        keys = keys * n + row
    return keys


def unflatten(keys: np.ndarray, size: Any) -> np.ndarray:
    """The columns of indices that these numbers stand for."""
    out = np.zeros((len(size), len(keys)), np.int64)
    for d in range(len(size) - 1, -1, -1):
        keys, out[d] = np.divmod(keys, max(size[d], 1))
    return out


def coordinates(v: SparseValue) -> Tensor:
    """Where the elements of the flattened values (:func:`entries`) stand: (dims, n)."""
    if v.aval.layout.name == "sparse_coo":  # type: ignore[attr-defined]
        found: Tensor = v.parts[0]
        return found
    if "coordinates" not in v.memo:
        v.memo["coordinates"] = on_device(_expanded(v), v)
    return v.memo["coordinates"]  # type: ignore[no-any-return]


def _expanded(v: SparseValue) -> np.ndarray:
    name = v.aval.layout.name  # type: ignore[attr-defined]
    compressed, plain = host(v.parts[0]), host(v.parts[1])
    batch, n = plain.shape[:-1], plain.shape[-1]
    lots = int(np.prod(batch, dtype=np.int64))
    lead = np.indices(batch).reshape(len(batch), lots) if batch else np.zeros((0, 1), np.int64)
    counts = np.diff(compressed.reshape(lots, compressed.shape[-1]), axis=1)
    outer = np.stack([np.repeat(np.arange(c.size), c) for c in counts]) if lots else np.zeros((0, n), np.int64)
    inner = plain.reshape(lots, n)
    if name in ("sparse_csc", "sparse_bsc"):
        outer, inner = inner, outer
    rows = [np.repeat(lead[d], n) for d in range(len(batch))]
    first, second = outer.reshape(-1), inner.reshape(-1)
    if name in ("sparse_bsr", "sparse_bsc"):
        at = len(batch) + 1
        b0, b1 = v.parts[2].shape[at : at + 2]
        i, j = np.indices((b0, b1)).reshape(2, -1)
        rows = [np.repeat(r, b0 * b1) for r in rows]
        first = (first[:, None] * b0 + i).reshape(-1)
        second = (second[:, None] * b1 + j).reshape(-1)
    return np.stack([*rows, first, second]).astype(np.int64)


def entries(v: SparseValue, values: Tensor) -> Tensor:
    """Values in a row, one for each column of :func:`coordinates`."""
    name = v.aval.layout.name  # type: ignore[attr-defined]
    if name == "sparse_coo":
        return values
    lead = v.parts[1].dim() + (2 if name in ("sparse_bsr", "sparse_bsc") else 0)
    return values.reshape(-1, *values.shape[lead:])  # type: ignore[no-any-return]


def at_places(v: SparseValue, g: Tensor) -> Tensor:
    """The elements of ``g``, dense or sparse, at the places of ``v``, as values of ``v``."""
    gv = value_of(g)
    if gv is None:
        return gather(g, coordinates(v)).reshape(v.parts[-1].shape)  # type: ignore[no-any-return]
    if (
        len(gv.parts) == len(v.parts)
        and (v.coalesced or len(v.parts) == 3)
        and all(a is b or a._s is b._s for a, b in zip(gv.parts[:-1], v.parts[:-1]))
    ):
        return values_of(g)
    g = coalesced(torch.Tensor.to_sparse(g))
    gv = value_of(g)
    assert gv is not None
    dims = sparse_dims(gv)
    size = v.aval.shape[:dims]
    keys, wanted = flat_keys(host(gv.parts[0]), size), flat_keys(host(coordinates(v))[:dims], size)
    at = np.searchsorted(keys, wanted)
    there = at < len(keys)
    there[there] = keys[at[there]] == wanted[there]
    found = values_of(g)
    if coordinates(v).shape[0] != dims or not len(keys):  # hybrid against elements, or nothing at all
        return gather(torch.Tensor.to_dense(g), coordinates(v)).reshape(v.parts[-1].shape)  # type: ignore[no-any-return]
    picked = found.index_select(0, on_device(np.where(there, at, 0), v))
    mask = on_device(there.reshape(-1, *[1] * (picked.dim() - 1)), v)
    return torch.where(mask, picked, torch.zeros((), dtype=picked.dtype)).reshape(v.parts[-1].shape)  # type: ignore[no-any-return]


def merged(indices: np.ndarray, values: Tensor, size: Any, v: SparseValue) -> tuple[Tensor, Tensor]:
    """(indices, values) in order, each place once: values of one place are added up."""
    keys = flat_keys(indices, size)
    if len(keys) < 2 or (np.diff(keys) > 0).all():
        return on_device(indices, v), values
    first, position = np.unique(keys, return_inverse=True)
    if len(first) == len(keys):
        order = np.argsort(keys, kind="stable")
        return on_device(indices[:, order], v), values.index_select(0, on_device(order, v))
    return on_device(unflatten(first, size), v), segment_sum(values, on_device(position.reshape(-1), v), len(first))


def coalesced(t: Tensor, name: str = "CoalesceBackward0") -> Tensor:
    """A COO tensor with each place once and in order; the tensor itself if it is known to be so."""
    v: Any = value_of(t)
    if v.coalesced:
        return t
    dims = sparse_dims(v)
    with torch.no_grad():
        indices, values = merged(host(v.parts[0]), v.parts[1], v.aval.shape[:dims], v)
    out = make("sparse_coo", (indices, values), v.aval.shape, True)
    return link(name, out, (t, lambda g: g))


def new_values(name: str, t: Tensor, fn: Any) -> Tensor:
    """Other values at the places of a compressed tensor; of a COO tensor torch makes none."""
    v: Any = value_of(t)
    if v.aval.layout.name == "sparse_coo":
        raise could_not_run(name, (t,))
    return like(v, fn(v.parts[-1]))


def padded(t: Tensor) -> tuple[Tensor, Tensor]:
    """(indices, values) of a COO tensor with each place once, for updates that drop indices out of range: how many places there are need
    not be known.
    """
    v: Any = value_of(t)
    if v.coalesced:
        return v.parts  # type: ignore[no-any-return]
    i, values = v.loose or v.parts
    return _padded(i, values, v.aval.shape[: i.shape[0]])  # type: ignore[no-any-return]


def transform(t: Tensor, fn: Any, name: str, is_coalesced: bool | None = None) -> Tensor:
    """A function of the values, place by place."""
    v: Any = value_of(t)
    return with_values(v, fn(values_of(t)), name, is_coalesced)


def expected(t: Tensor, function: str, wanted: str) -> RuntimeError:
    """torch's error where a layout has no such part."""
    return RuntimeError(f"{function} expected {wanted} layout but got {SHORT[layout_of(t)]}")
