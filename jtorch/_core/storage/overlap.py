"""Whether a tensor given as ``out=`` shares memory with what it is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, check_no_overlap, layout
from jtorch._core.storage.write_counts import origin_of

__all__ = ["check_apart", "check_out"]


def check_out(out: Tensor, inputs: Sequence[Any], apart: bool) -> None:
    """RuntimeError if elements of ``out`` share a place, or share it with an input. ``apart``: the very memory of an input will not do either."""
    check_no_overlap(out)
    check_apart(out, inputs, apart)


def check_apart(out: Tensor, inputs: Sequence[Any], apart: bool) -> None:
    """The second half of :func:`check_out`: what ``out`` shares with an input."""
    for t in inputs:
        if isinstance(t, Tensor) and (t is out or origin_of(t._s) is origin_of(out._s)) and _shared(out, t, apart):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. "
                "Please clone() the tensor before performing the operation."
            )


def _shared(out: Tensor, t: Tensor, apart: bool) -> bool:
    if t is out:
        return apart
    a, b = layout(out), layout(t)
    if a == b and aval_of(out).dtype is aval_of(t).dtype:
        return apart
    ranges = [_bytes(shape, strides, offset, aval_of(x).dtype.itemsize) for (shape, strides, offset), x in ((a, out), (b, t))]
    if None in ranges:  # empty, or with gaps: torch does not look further
        return False
    (start, end), (other, last) = ranges  # type: ignore[misc]
    return start < last and other < end


def _bytes(shape: tuple[int, ...], strides: tuple[int, ...], offset: int, size: int) -> tuple[int, int] | None:
    """The memory of a tensor that fills a range of it; None for others."""
    step = 1
    for s, n in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if s != step:
            return None
        step *= n
    return (offset * size, (offset + step) * size) if step else None
