"""Composites over positions: nonzero, unique, masked_select, take_along_dim, repeat_interleave."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.record import apply_multi
from jtorch._core.dispatch.signature_binding import no_overload
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.derived_functions import function_for, run_inplace, write_out
from jtorch._core.tensor.indexing import BYTES_AS_MASK, MASK_IN_LANES, refuse_lanes
from jtorch._engine.recording.call import T, call_of, tensor_list, value
from jtorch._errors import warn
from jtorch._namespace import torch
from jtorch._ops._lib import broadcast_shape
from jtorch._registry import lookup

_nonzero = function_for("internal.nonzero")
_unique = function_for("internal.unique")
_unique_dim = function_for("internal.unique_dim")
_unique_consecutive = function_for("internal.unique_consecutive")
_masked_select = function_for("internal.masked_select")
_take_along = function_for("internal.take_along")
_repeat = function_for("internal.repeat_interleave")
_repeat_index = function_for("internal.repeat_index")


def _out(name: str, result: Any, out: Any, *apart: Tensor) -> Any:
    """``apart``: what ``out`` must share no memory with."""
    return result if out is None else write_out(name, result, out, True, apart, True)


@compose("torch Tensor")
def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:
    """(n, dims): the positions of elements that are not zero; with ``as_tuple`` one vector for each dim. Runs what is pending."""
    if not as_tuple:
        return _out("nonzero", _nonzero(input.detach()), out)
    return torch.unbind(_nonzero(input.detach() if input.dim() else input.detach().reshape(1)), 1)


_SELECTED_IN_LANES = (
    "vmap: Attempted to vmap over `mask` in torch.masked_select(self, mask) We cannot support this because for each batch this would return a differently shaped Tensor. "
    "Please file an issue at https://github.com/pytorch/pytorch/issues if you need this feature."
)


@compose("torch Tensor")
def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where the mask is True, as a vector; both are broadcast. Runs what is pending."""
    if mask.dtype is not torch.bool:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    refuse_lanes(mask, _SELECTED_IN_LANES)
    where, wide = torch.broadcast_tensors(mask, input)
    if not wide.dim():
        where, wide = where.reshape(1), wide.reshape(1)
    return _out("masked_select", _masked_select(wide, torch.unbind(_nonzero(where.contiguous()), 1)), out, input, mask)  # type: ignore[no-any-return]


def _chosen(values: Tensor, inverse: Tensor, counts: Tensor, return_inverse: bool, return_counts: bool) -> Any:
    extra = [t for t, wanted in ((inverse, return_inverse), (counts, return_counts)) if wanted]
    return (values, *extra) if extra else values


@compose("torch Tensor", in_python=True)
def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """The distinct elements (or slices along ``dim``) in order; also where each went, and how often each came. Runs what is pending."""
    found = _unique(input, return_inverse, return_counts) if dim is None else _unique_dim(input, dim)
    return _chosen(*found, return_inverse, return_counts)


@compose("torch", name="_unique2")
def unique_with_all(input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """``unique`` as torch's own code calls it: (values, inverse, counts), empty where not asked for."""
    values, inverse, counts = _unique(input, return_inverse, return_counts)
    none = torch.empty(0, dtype=torch.int64, device=input.device)
    return values, inverse if return_inverse else none, counts if return_counts else none


@compose("torch", name="_unique")
def unique_with_inverse(input: Tensor, sorted: bool = True, return_inverse: bool = False) -> Any:
    """(values, inverse) of ``unique``; the second is empty where it is not asked for."""
    return unique_with_all(input, sorted, return_inverse)[:2]


@compose("torch Tensor", in_python=True)
def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """As ``unique``, in place of order: runs of equal neighbours become one. Runs what is pending."""
    return _chosen(*_unique_consecutive(input, dim), return_inverse, return_counts)


@compose("torch Tensor")
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """``gather`` with broadcasting; without ``dim`` over the flattened tensors."""
    if dim is None and indices.dtype not in (torch.int64, torch.int32):
        raise RuntimeError("gather(): Expected dtype int32/int64 for index")
    if dim is not None and indices.dtype is not torch.int64:
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got {indices.dtype.legacy}")
    if dim is None:
        return _out("take_along_dim", torch.gather(input.reshape(-1), 0, indices.reshape(-1)), out)  # type: ignore[no-any-return]
    if input.dim() != indices.dim():
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.dim()} dimensions for input, and {indices.dim()} dimensions for indices"
        )
    n = input.dim()
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    dim %= n
    common = list(broadcast_shape(*[tuple(1 if d == dim else s for d, s in enumerate(t.shape)) for t in (input, indices)]))
    own, theirs = list(common), list(common)
    own[dim], theirs[dim] = input.shape[dim], indices.shape[dim]
    return _out("take_along_dim", _take_along(input.expand(own), indices.expand(theirs), dim), out)  # type: ignore[no-any-return]


@compose("torch Tensor")
def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each element ``repeats`` times in a row; one number for all, or a tensor with one for each (which runs what is pending)."""
    if repeats is not None and (isinstance(repeats, bool) or not isinstance(repeats, (Tensor, int, np.integer))):
        no_overload(
            "repeat_interleave", [x for x in (repeats, dim) if x is not None],
            "(Tensor repeats, int dim = None, *, int output_size = None)", "(int repeats, int dim = None, *, int output_size = None)",
        )  # fmt: skip
    if repeats is None:
        index = _repeat_index(input)
        if output_size is not None and output_size != index.numel():
            raise RuntimeError("allocated size does not match required size")
        return index  # type: ignore[no-any-return]
    if not isinstance(repeats, Tensor):
        result: Tensor = _repeat(input, int(repeats), dim)
        size = result.shape[0 if dim is None else dim]
        if output_size is not None and output_size != size:
            raise RuntimeError(f"repeat_interleave: Invalid output_size, expected {size} but got {output_size}")
        return result
    if dim is None:
        input, dim = input.flatten(), 0
    if not input.dim():
        input = input.reshape(1)
    if repeats.dim() > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    if repeats.numel() == 1:
        repeats = repeats.reshape(1).expand(input.shape[dim])
    elif repeats.numel() != input.shape[dim]:
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got "
            f"repeats.size(0) = {repeats.numel()} and input.size({dim}) = {input.shape[dim]}"
        )
    index = _repeat_index(repeats.contiguous())
    if output_size is not None and output_size != index.numel():
        raise RuntimeError("allocated size does not match required size")
    return torch.index_select(input, dim, index)  # type: ignore[no-any-return]


def _positions(indices: Any) -> list[Tensor | None]:
    """Integer index tensors; masks become one for each of their dims (which runs what is pending)."""
    found: list[Tensor | None] = []
    for i in indices:
        if isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8):
            if i.dtype is torch.uint8:
                warn(BYTES_AS_MASK)
            refuse_lanes(i, MASK_IN_LANES)
            found += torch.unbind(_nonzero(i.detach() if i.dim() else i.detach().reshape(1)), 1)
        else:
            found.append(i)
    return found


def _put_call(input: Tensor, indices: Any, values: Tensor, accumulate: bool) -> tuple[Any, list[Any]]:
    at = _positions(indices)
    if not at:
        if values.dim() > input.dim() and not input.dim():
            raise RuntimeError(f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to indexing result of shape []")
        raise RuntimeError("sym_strides() called on an undefined Tensor")
    call = call_of(lookup("internal.index_put"), (T, tensor_list([i is not None for i in at]), T, value(bool(accumulate))))
    return call, [input, *[i for i in at if i is not None], values]


@compose("torch Tensor")
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``values`` (broadcast) written, or added, where ``input[indices]`` reads."""
    call, flat = _put_call(input, indices, values, accumulate)
    return apply_multi(call, flat)  # type: ignore[no-any-return]


@compose("torch Tensor")
def index_put_(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """In-place version of :func:`index_put`."""
    return run_inplace(*_put_call(input, indices, values, accumulate))
