"""The ranges that indices must be in, and torch's words where they are not: what operators declare with ``@op(..., guard=...)``.

A guard has its operator's parameters. It sees shapes and structure; of the indices themselves only that they are there.
What else torch asks of values (probabilities, divisors) stands in ``_value_guards.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtorch._registry import Range, Wrong

from ._lib import dim_of

Guard = Callable[..., Sequence[Range | Wrong]]


def said(kind: type[Exception], text: str, **known: Any) -> Callable[[int, int], Exception]:
    """An exception whose text may have {index}, the value, {at}, its position, and what is known beforehand."""
    return lambda index, at: kind(text.format(index=index, at=at, **known))


def size_at(input: Any, dim: int) -> tuple[int, int]:
    """(dim, size) with a 0-dim tensor as one of one element."""
    dim = dim_of(dim, len(input.shape))
    return dim, input.shape[dim] if input.shape else 1


def along_dim(kind: type[Exception], text: str, wraps: bool = False) -> Guard:
    """For operators (input, dim, index, ...). ``wraps``: negative indices count from the end."""

    def guard(input: Any, dim: int, index: Any, *rest: Any) -> Sequence[Range]:
        dim, n = size_at(input, dim)
        return (Range(index, -n if wraps else 0, n, said(kind, text, dim=dim, size=n)),)

    return guard


elements = along_dim(RuntimeError, "index {index} is out of bounds for dimension {dim} with size {size}")
copied = along_dim(IndexError, "index_copy_(): index {index} is out of bounds for dimension {dim} with size {size}")
filled = along_dim(IndexError, "index {index} is out of bounds for dimension {dim} with size {size}", wraps=True)
reduced = along_dim(IndexError, "index out of range in self")


def selected(input: Any, dim: int, index: Any) -> Sequence[Range]:
    """``index_select``: torch has another kernel, with other words, for dim 1."""
    dim, n = size_at(input, dim)
    if dim == 1:
        return (Range(index, 0, n, said(RuntimeError, "INDICES element is out of DATA bounds, id={index} axis_dim={size}", size=n)),)
    return (Range(index, 0, n, said(IndexError, "index out of range in self")),)


def added(input: Any, dim: int, index: Any, *rest: Any) -> Sequence[Range | Wrong]:
    """``index_add``: torch scatters where the dim is the first or the last of several."""
    dims = len(input.shape)
    dim, n = size_at(input, dim)
    if dims > 1 and dim in (0, dims - 1):
        return elements(input, dim, index)
    return (Range(index, 0, n, said(IndexError, "index out of range in self")),)


def positions(input: Any, index: Any, *rest: Any) -> Sequence[Range]:
    """Positions in the flattened input (``take``, ``put``)."""
    n = 1
    for s in input.shape:
        n *= s
    text = "out of range: tried to access index {index} on a tensor of {size} elements."
    return (Range(index, -n, n, said(IndexError, text, size=n)),)


def listed(input: Any, indices: Sequence[Any], *rest: Any) -> Sequence[Range]:
    """Advanced indexing. torch counts the indexed dims alone."""
    found = []
    for d, i in enumerate(indices):
        if i is not None:
            n = input.shape[d]
            text = "index {index} is out of bounds for dimension {dim} with size {size}"
            found.append(Range(i, -n, n, said(IndexError, text, dim=len(found), size=n)))
    return found


def rows(weight: Any, indices: Any, *rest: Any) -> Sequence[Range]:
    """``embedding``."""
    return (Range(indices, 0, weight.shape[0], said(IndexError, "index out of range in self")),)


def bag_rows(weight: Any, indices: Any, offsets: Any, scale_grad_by_freq: bool, mode: int, *rest: Any) -> Sequence[Range | Wrong]:
    """``embedding_bag``: the maximum has its own words."""
    n = weight.shape[0]
    text = "Index {at} of input takes value {index} which is not in the valid range [0, {size})"
    if mode == 2:
        text = "embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be {index}"
    if offsets is None:
        return (Range(indices, 0, n, said(RuntimeError, text, size=n)),)
    length = indices.shape[0]
    past = "offsets[-1] can not be greater than input's length {size} but got offsets[-1] of {index}"
    first = "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, got {index}"
    starts = Wrong(offsets, _starts_late, said(RuntimeError, first))
    return (starts, Range(indices, 0, n, said(RuntimeError, text, size=n)), Range(offsets, 0, length + 1, said(RuntimeError, past, size=length)))


def _starts_late(offsets: Any) -> Any:
    return offsets[:1]


def classes(input: Any, num_classes: int) -> Sequence[Range]:
    """``one_hot``."""

    def error(index: int, at: int) -> Exception:
        return RuntimeError("Class values must be non-negative." if index < 0 else "Class values must be smaller than num_classes.")

    return (Range(input, 0, num_classes, error),)


def targets(input: Any, target: Any, weight: Any, reduction: int, ignore_index: int) -> Sequence[Range]:
    """``nll_loss``: classes along dim 1 (or the only one)."""
    n = input.shape[0] if len(input.shape) == 1 else input.shape[1]
    return (Range(target, 0, n, said(IndexError, "Target {index} is out of bounds."), ignore_index),)


def margin_target(input: Any, target: Any, *rest: Any) -> Sequence[Range]:
    """``multi_margin_loss``."""
    return (Range(target, 0, input.shape[-1] if input.shape else 1, said(RuntimeError, "target out of range")),)


def margin_targets(input: Any, target: Any, *rest: Any) -> Sequence[Range]:
    """``multilabel_margin_loss``: lists of classes that end at -1."""
    return (Range(target, -1, input.shape[-1] if input.shape else 1, said(RuntimeError, "argument #2 'target' is out of range")),)


def planes(input: Any, indices: Any, output_size: Sequence[int], *rest: Any) -> Sequence[Range]:
    """``max_unpool``: positions in a flattened plane or volume of the output."""
    n = 1
    for s in output_size:
        n *= s
    text = "Found an invalid max index: {index} (output volumes are of size {shown})"
    if n == 0:  # nothing is written
        return ()
    return (Range(indices, 0, n, said(RuntimeError, text, shown="x".join(map(str, output_size)))),)


def sorters(sorted_sequence: Any, input: Any, out_int32: bool, right: bool, side: str | None, sorter: Any) -> Sequence[Range]:
    """``searchsorted``."""
    if sorter is None:
        return ()
    return (Range(sorter, 0, sorted_sequence.shape[-1], said(RuntimeError, "torch.searchsorted(): sorter index out of range")),)
