"""F.embedding, F.embedding_bag, F.one_hot, F.pad: torch.nn.functional's faces of the row lookup and of padding."""

from __future__ import annotations

from typing import Any

from jtorch._api.sparse_embedding import sparse_bag_rows, sparse_rows
from jtorch._core.dispatch.checked_arguments import checked_number, tensor_argument
from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.signature_binding import sizes_given
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import is_traced
from jtorch._core.tensor.derived_functions import function_for
from jtorch._namespace import torch

_bag = function_for("internal.embedding_bag")
_one_hot = function_for("internal.one_hot")
_reflection = {n: function_for(f"internal.reflection_pad{n}d") for n in (1, 2, 3)}
_replication = {n: function_for(f"internal.replication_pad{n}d") for n in (1, 2, 3)}
_circular = function_for("internal.circular_pad")


def _renorm_rows(weight: Tensor, rows: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the named rows of ``weight`` down to ``max_norm``, in place and outside of the graph."""
    with torch.no_grad():
        if is_traced(rows):  # which rows is not known: all are computed, and these are written
            norm = torch.linalg.vector_norm(weight, norm_type, dim=1, keepdim=True)
            named = torch.zeros(weight.size(0), 1, dtype=torch.bool, device=weight.device).index_fill(0, rows.reshape(-1), True)  # type: ignore[attr-defined]
            weight.copy_(torch.where(named & (norm > max_norm), weight * (max_norm / (norm + 1e-7)), weight))
            return
        rows = torch.unique(rows.reshape(-1)).long()
        found = weight.index_select(0, rows)
        norm = torch.linalg.vector_norm(found, norm_type, dim=1, keepdim=True)
        scaled = torch.where(norm > max_norm, found * (max_norm / (norm + 1e-7)), found)
        weight.index_copy_(0, rows, scaled)


def _check(name: str, position: int, sparse: Any, max_norm: Any, norm_type: Any) -> None:
    """TypeError for what is no bool and no numbers, by the names of the kernels that get them."""
    if max_norm is not None:
        for i, (argument, x) in enumerate((("max_norm", max_norm), ("norm_type", norm_type))):
            checked_number("embedding_renorm_", argument, float, x, f" (position {i + 3})")
    checked_number(name, "sparse", bool, sparse, f" (position {position})")


def _row(padding_idx: int | None, weight: Tensor, name: str) -> int | None:
    if padding_idx is None:
        return None
    n = weight.size(0)
    if not -n <= padding_idx < n:
        raise AssertionError(f"{name} must be within num_embeddings")
    return padding_idx % n


@compose("nn.functional")
def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """``weight[input]``: rows of a (n, d) table. ``padding_idx``'s row gets no gradient; ``max_norm`` first shrinks the rows read, in place."""
    _check("embedding", 5, sparse, max_norm, norm_type)
    at = _row(padding_idx, weight, "Padding_idx")
    if max_norm is not None:
        _renorm_rows(weight, input, max_norm, norm_type)
    if sparse and weight.requires_grad:  # type: ignore[attr-defined]
        return sparse_rows(weight, input, at, scale_grad_by_freq)
    return torch.embedding(weight, input, -1 if at is None else at, scale_grad_by_freq, sparse)  # type: ignore[no-any-return]


@compose("nn.functional")
def embedding_bag(
    input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """Rows of a table reduced ("sum", "mean", "max") over bags: the rows of a 2-d input, or slices of a 1-d one that start at ``offsets``."""
    if weight.dtype is torch.int64 and input.is_floating_point():
        weight, input = input, weight
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, then it must have the same shape as "
            f"the input ({list(input.shape)})"
        )
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length sequences. "
                f"However, found offsets of type {type(offsets)}"
            )
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.dim() != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    kinds = {"sum": 0, "mean": 1, "max": 2}
    if mode not in kinds:
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError(f"max mode does not support {'scaling the gradient by the frequency' if scale_grad_by_freq else 'sparse weights'}")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}'). Please open a feature request on GitHub."
        )
    _check("embedding_bag", 6, sparse, max_norm, norm_type)
    if max_norm is not None:
        _renorm_rows(weight, input, max_norm, norm_type)
    if padding_idx is not None and not -weight.size(0) <= padding_idx < weight.size(0):
        raise RuntimeError(f"padding_idx must be within the number of embeddings, -{weight.size(0)} through {weight.size(0) - 1}, but got {padding_idx}")
    at = _row(padding_idx, weight, "padding_idx")
    if sparse and weight.requires_grad:  # type: ignore[attr-defined]
        rows, order, at = sparse_bag_rows(weight, input.reshape(-1), at, scale_grad_by_freq)  # type: ignore[attr-defined]
        return _bag(rows, order.view(input.shape), offsets, False, kinds[mode], False, per_sample_weights, bool(include_last_offset), at)  # type: ignore[no-any-return]
    return _bag(weight, input, offsets, scale_grad_by_freq, kinds[mode], sparse, per_sample_weights, bool(include_last_offset), at)  # type: ignore[no-any-return]


@compose("torch", name="embedding_bag")
def bags(
    weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False, mode: int = 0, sparse: bool = False,
    per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """``(output, the bag of each index, sizes of the bags, which row gave the maximum)``; the last three are torch's notes for its backward.

    ``mode`` is 0 for sums, 1 for means, 2 for maxima. The rows of maxima are not noted here (the backward finds them anew): an empty tensor.
    """
    out = _bag(weight, indices, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights, include_last_offset, padding_idx)
    n, ends = indices.numel(), offsets if include_last_offset else torch.cat([offsets, offsets.new_full((1,), indices.numel())])
    bag = torch.bucketize(torch.arange(n, dtype=ends.dtype), ends[1:].contiguous(), right=True)
    sizes = torch.diff(ends)
    return out, bag.to(indices.dtype), sizes, offsets.new_zeros(0)


@compose("torch")
def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Scale the named rows down to ``max_norm``, in place and outside of the graph."""
    _renorm_rows(input, indices, max_norm, norm_type)
    return input


@compose("nn.functional", in_python=False)
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 zeros with a one at each element's class, in a new last dim. Without ``num_classes`` it looks at the values, to count the classes."""
    if tensor.dtype is not torch.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return _one_hot(tensor, num_classes)  # type: ignore[no-any-return]
    if num_classes == -1:
        if int(tensor.min()) < 0:
            raise RuntimeError("Class values must be non-negative.")
        num_classes = int(tensor.max()) + 1
    elif num_classes < 1:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return _one_hot(tensor, num_classes)  # type: ignore[no-any-return]


@compose("nn.functional")
def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """``pad`` is (left, right) of the last dim, then of the one before, ...; ``mode`` "constant", "reflect", "replicate" or "circular"."""
    tensor_argument("pad", "input", 1, input)
    pad = sizes_given("pad", "pad", pad, 2, alone=False)
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * input.dim():
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(pad)} and input of dimension {input.dim()}"
        )
    if mode == "constant":
        return torch.constant_pad_nd(input, pad, 0 if value is None else value)  # type: ignore[no-any-return]
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value not in (None, 0):
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    n, dims = len(pad) // 2, input.dim()
    if not (n in (1, 2, 3) and dims in (n + 1, n + 2)):
        raise NotImplementedError(f"Padding size {len(pad)} is not supported for {dims}D input tensor.")
    if mode == "circular":
        return _circular(input, pad)  # type: ignore[no-any-return]
    return (_reflection if mode == "reflect" else _replication)[n](input, pad)  # type: ignore[no-any-return]
