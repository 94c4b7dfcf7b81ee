"""``make_tensor``: random tensors for tests, with the numbers that torch's function gives for the same seed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from jtorch._public import torch


def _bounds(low: float | None, high: float | None, dtype: Any, default: tuple[float, float], least: float, most: float) -> tuple[Any, Any]:
    """The bounds to draw from, within [least, most): ValueError in torch's words where nothing is left between them."""
    low, high = default[0] if low is None else low, default[1] if high is None else high
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"`low` and `high` cannot be NaN, but got {low=} and {high=}")
    continuous = dtype.is_floating_point or dtype.is_complex
    if low == high and continuous:
        warnings.warn(
            "Passing `low==high` to `torch.testing.make_tensor` for floating or complex types is deprecated since 2.1 and will be removed in 2.3. "
            "Use `torch.full(...)` instead.",
            FutureWarning,
            stacklevel=4,
        )
    elif low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    elif high < least or low >= most:
        raise ValueError(f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} only supports [{least}, {most})")
    low, high = min(max(low, least), most), min(max(high, least), most)
    return (low, high) if continuous else (math.ceil(low), math.ceil(high))


def _uniform(t: Any, low: float, high: float) -> None:
    """Fill with numbers of [low, high), also where the width of that is no number of the type."""
    if high - low <= torch.finfo(t.dtype).max:
        t.uniform_(low, high)
    else:
        t.uniform_(low / 2, high / 2).mul_(2)


def make_tensor(
    *shape: Any, dtype: Any, device: Any, low: float | None = None, high: float | None = None, requires_grad: bool = False,
    noncontiguous: bool = False, exclude_zero: bool = False, memory_format: Any = None,
) -> Any:  # fmt: skip
    """Random elements of [low, high): by default [-9, 9), integers of [-9, 9] and bools.

    ``noncontiguous`` skips every other element of memory; ``exclude_zero`` puts the smallest positive number (1 for integers) in place of zeros.
    """
    size = tuple(shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape)
    if noncontiguous and memory_format is not None:
        raise ValueError(f"The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got {noncontiguous=} and {memory_format=}")
    if not isinstance(dtype, torch.dtype) or dtype.itemsize == 0 or (not dtype.is_floating_point and not dtype.is_complex and dtype.np is None):
        raise TypeError(
            f"The requested dtype '{dtype}' is not supported by torch.testing.make_tensor(). To request support, file an issue at: "
            "https://github.com/pytorch/pytorch/issues"
        )
    discrete = not dtype.is_floating_point and not dtype.is_complex
    if requires_grad and discrete:
        raise ValueError(f"`requires_grad=True` is not supported for boolean and integral dtypes, but got {dtype=}")
    spread = noncontiguous and math.prod(size) > 1
    if spread:
        size = (*size[:-1], 2 * size[-1])
    if dtype is torch.bool:
        made = torch.randint(*_bounds(low, high, dtype, (0, 2), 0, 2), size, device=device, dtype=dtype)
    elif discrete:
        info = torch.iinfo(dtype)
        made = torch.randint(*_bounds(low, high, dtype, (-9, 10), info.min, info.max + (dtype is not torch.int64)), size, device=device, dtype=dtype)
    else:
        info = torch.finfo(dtype)
        ends = _bounds(low, high, dtype, (-9, 9), info.min, info.max)
        made = torch.empty(size, device=device, dtype=torch.float32 if dtype.itemsize == 1 else dtype)
        _uniform(torch.view_as_real(made) if dtype.is_complex else made, *ends)
        made = made.to(dtype)
    if spread:
        made = made[..., 1::2]
    elif memory_format is not None:
        made = made.clone(memory_format=memory_format)
    if exclude_zero:
        made[made == 0] = 1 if discrete else torch.finfo(dtype).tiny
    if not discrete:
        made.requires_grad_(requires_grad)
    return made
