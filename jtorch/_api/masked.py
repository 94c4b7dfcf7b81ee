"""``torch.masked``: reductions and normalisations that leave out what a mask calls False.

The masked elements are replaced by the operation's neutral element; a row without elements gives that neutral element (nan for
means). Source: https://docs.pytorch.org/docs/stable/masked.html
"""

from __future__ import annotations

import math
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._errors import not_implemented
from jtorch._namespace import F, linalg, torch

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median", "norm",
    "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip


def _dims(dim: Any, ndim: int) -> tuple[int, ...]:
    """Distinct dims in [0, ndim); None for all."""
    if dim is None:
        return tuple(range(ndim))
    n, found = max(ndim, 1), []
    for d in (dim,) if isinstance(dim, int) else tuple(dim):
        if not -n <= d < n:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
        if d % n in found:
            raise RuntimeError(f"dim={d % n} appears multiple times in the list of dims")
        found.append(d % n)
    return tuple(sorted(found))


def _spread(input: Tensor, mask: Tensor) -> Tensor:
    """The mask as bool, in the input's shape."""
    if mask.dim() > input.dim():
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    if mask.shape != input.shape:
        mask = torch.broadcast_to(mask.clone(), input.shape)
    return mask.to(torch.bool)  # type: ignore[no-any-return]


def _filled(input: Tensor, mask: Tensor | None, neutral: Any) -> Tensor:
    """The input with ``neutral`` where the mask is False."""
    if input.layout is not torch.strided or (mask is not None and mask.layout is not torch.strided):
        not_implemented("torch.masked on sparse tensors", "use to_dense()")
    if mask is None:
        return input
    return torch.where(_spread(input, mask), input, torch.full((), neutral, dtype=input.dtype, device=input.device))  # type: ignore[no-any-return]


def _is_inexact(dtype: Any) -> bool:
    return bool(dtype.is_floating_point or dtype.is_complex)


def _lowest(name: str, dtype: Any, sign: int) -> Any:
    """The neutral element of max (sign -1) or min (+1) in a type."""
    if dtype.is_complex and name == "logsumexp":  # the logarithm of 0
        return -math.inf
    if dtype is torch.bool:
        raise NotImplementedError(f"identity of {name} on {dtype} input")
    if dtype.is_floating_point:
        return sign * math.inf
    info = torch.iinfo(dtype)  # TypeError for complex numbers, which have no order
    return info.min if sign < 0 else info.max


def _sum_type(input: Tensor) -> Any:
    small = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32)
    return torch.int64 if input.dtype in small else input.dtype


def sum(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The sum of the unmasked elements over dims; 0 of none."""
    dims = _dims(dim, input.dim())
    return torch.sum(_filled(input, mask, 0), dims, bool(keepdim), dtype=dtype or _sum_type(input))  # type: ignore[no-any-return]


def prod(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The product of the unmasked elements over dims; 1 of none."""
    dims = _dims(dim, input.dim())
    dtype = dtype or _sum_type(input)
    result = _filled(input, mask, 1).to(dtype)
    # One dim at a time, the last first.
    for d in reversed(dims):
        result = torch.prod(result, d, bool(keepdim))
    return result


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running sums, masked elements counted as 0."""
    (d,) = _dims(dim, input.dim())
    return torch.cumsum(_filled(input, mask, 0), d, dtype=dtype or input.dtype)  # type: ignore[no-any-return]


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running products, masked elements counted as 1."""
    (d,) = _dims(dim, input.dim())
    return torch.cumprod(_filled(input, mask, 1), d, dtype=dtype or input.dtype)  # type: ignore[no-any-return]


def amax(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The largest unmasked element over dims; the type's lowest of none."""
    low = None if mask is None else _lowest("amax", input.dtype, -1)
    return torch.amax(_filled(input, mask, low), _dims(dim, input.dim()), bool(keepdim)).to(dtype or input.dtype)  # type: ignore[no-any-return]


def amin(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The smallest unmasked element over dims; the type's highest of none."""
    high = None if mask is None else _lowest("amin", input.dtype, 1)
    return torch.amin(_filled(input, mask, high), _dims(dim, input.dim()), bool(keepdim)).to(dtype or input.dtype)  # type: ignore[no-any-return]


def argmax(input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Where the largest unmasked element stands, in the input's type (as torch has it)."""
    low = None if mask is None else _lowest("argmax", input.dtype, -1)
    return torch.argmax(_filled(input, mask, low), dim, bool(keepdim)).to(dtype or input.dtype)  # type: ignore[no-any-return]


def argmin(input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Where the smallest unmasked element stands, in the input's type (as torch has it)."""
    high = None if mask is None else _lowest("argmin", input.dtype, 1)
    return torch.argmin(_filled(input, mask, high), dim, bool(keepdim)).to(dtype or input.dtype)  # type: ignore[no-any-return]


def _count(input: Tensor, dims: tuple[int, ...], keepdim: bool, mask: Tensor | None) -> Tensor:
    """How many unmasked elements each result is made of."""
    present = torch.ones(input.shape, dtype=torch.int64, device=input.device) if mask is None else _spread(input, mask)
    return torch.sum(present, dims, keepdim, dtype=torch.int64)  # type: ignore[no-any-return]


def mean(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The mean of the unmasked elements over dims; nan of none. ValueError for integer results."""
    dtype = dtype or input.dtype
    if not _is_inexact(dtype):
        raise ValueError(
            f"mean(): Could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {dtype}"
        )
    dims = _dims(dim, input.dim())
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _count(input, dims, bool(keepdim), mask)


def median(input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The lower median of the unmasked elements along a dim; nan of none (ValueError in integer types)."""
    dtype = dtype or input.dtype
    (d,) = _dims(dim, input.dim())
    inexact = dtype.is_floating_point
    values = input if inexact else input.to(torch.float32)
    result = torch.nanmedian(_filled(values, mask, math.nan), d, bool(keepdim)).values
    if inexact:
        return result  # type: ignore[no-any-return]
    if bool(torch.isnan(result).any()):
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return result.to(dtype)  # type: ignore[no-any-return]


def logsumexp(input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """``log(sum(exp))`` of the unmasked elements over dims; -inf of none."""
    low = None if mask is None else _lowest("logsumexp", input.dtype, -1)
    return torch.logsumexp(_filled(input, mask, low), _dims(dim, input.dim()), keepdim).to(dtype or input.dtype)  # type: ignore[no-any-return]


def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Tensor | None = None, other_mask: Tensor | None = None
) -> Tensor:
    """``log(exp(input) + exp(other))``, masked elements counted as -inf."""
    if not (input.is_floating_point() and other.is_floating_point()):
        torch.logaddexp(input, other)  # which refuses them; they have no -inf
    a, b = _filled(input, input_mask, -math.inf), _filled(other, other_mask, -math.inf)
    return torch.logaddexp(a, b).to(dtype or input.dtype)  # type: ignore[no-any-return]


def norm(
    input: Tensor, ord: float | None = 2.0, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The vector norm of the unmasked elements over dims."""
    ord = 2.0 if ord is None else ord
    neutral = math.inf if ord == -math.inf else 0
    dims = _dims(dim, input.dim())
    return linalg.vector_norm(_filled(input, mask, neutral), ord, dims, bool(keepdim), dtype=dtype)  # type: ignore[no-any-return]


def _variance(
    input: Tensor, dim: Any, unbiased: bool | None, correction: Any, keepdim: bool, dtype: Any, mask: Tensor | None, root: bool
) -> Tensor:
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    less = (1 if unbiased is None or unbiased else 0) if correction is None else correction
    dtype = dtype or input.dtype
    if not _is_inexact(dtype):
        dtype = torch.float32
    compute = torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
    dims = _dims(dim, input.dim())
    count = _count(input, dims, True, mask)
    centre = torch.divide(sum(input, dim, keepdim=True, dtype=dtype, mask=mask), count)
    x = input - centre
    square = x * x.conj() if x.is_complex() else x * x
    total = sum(square, dim, keepdim=keepdim, dtype=compute, mask=mask)
    if not keepdim:
        count = count.reshape(total.shape)
    if less != 0:
        count = torch.maximum(count.to(torch.float64 if isinstance(less, float) else count.dtype) - less, count.new_zeros([]))
    result = torch.divide(total, count).to(dtype)
    return torch.sqrt(result) if root else result


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *, correction: Any = None, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The variance of the unmasked elements over dims."""
    return _variance(input, dim, unbiased, correction, bool(keepdim), dtype, mask, False)


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *, correction: Any = None, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The standard deviation of the unmasked elements over dims."""
    return _variance(input, dim, unbiased, correction, bool(keepdim), dtype, mask, True)


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """softmax of the unmasked elements; masked ones give 0."""
    low = None if mask is None else _lowest("softmax", input.dtype, -1)
    return torch.softmax(_filled(input, mask, low), dim, dtype=dtype)  # type: ignore[no-any-return]


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """log_softmax of the unmasked elements; masked ones give -inf."""
    low = None if mask is None else _lowest("log_softmax", input.dtype, -1)
    return torch.log_softmax(_filled(input, mask, low), dim, dtype=dtype)  # type: ignore[no-any-return]


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """softmin of the unmasked elements; masked ones give 0."""
    high = None if mask is None else _lowest("softmin", input.dtype, 1)
    return F.softmin(_filled(input, mask, high), dim, dtype=dtype)  # type: ignore[no-any-return]


def normalize(input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The unmasked elements over their norm along a dim (at least ``eps``); masked ones give 0."""
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    below = torch.max(size, size.new_full((), eps))
    return torch.divide(_filled(input, mask, 0), below)  # type: ignore[no-any-return]
