"""``torch._prims_common``: small rules about shapes, strides and types, as libraries use them."""

from __future__ import annotations

import enum
import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

from jtorch import _dtypes
from jtorch._public import torch

__all__ = [
    "ELEMENTWISE_TYPE_PROMOTION_KIND", "canonicalize_dim", "canonicalize_dims", "check", "compute_required_storage_length", "corresponding_complex_dtype",
    "corresponding_real_dtype", "dtype_to_type", "get_computation_dtype", "get_higher_dtype", "infer_size", "is_boolean_dtype", "is_complex_dtype", "is_contiguous", "is_contiguous_or_false",
    "is_expandable_to", "is_float_dtype", "is_integer_dtype", "is_low_precision_dtype", "make_channels_last_strides_for", "make_contiguous_strides_for", "prod",
    "reduction_dims", "suggest_memory_format", "type_to_dtype",
]  # fmt: skip

Tensor = TensorLike = TensorLikeType = torch.Tensor
ShapeType = StrideType = DimsType = DimsSequenceType = Any
Number = NumberType = bool | int | float | complex


class ELEMENTWISE_TYPE_PROMOTION_KIND(enum.Enum):  # noqa: N801 - torch's name
    """How an operator's result type follows from its operands'."""

    DEFAULT = (0,)
    NO_OPMATH = (1,)
    INT_TO_FLOAT = (2,)
    ALWAYS_BOOL = (3,)
    COMPLEX_TO_FLOAT = (4,)
    BOOL_TO_LONG = (5,)


def check(b: bool, s: Any, exc_type: type[Exception] = RuntimeError) -> None:
    """Raises with the text that ``s()`` gives unless ``b``."""
    if not b:
        raise exc_type(s())


def prod(xs: Sequence[Any]) -> Any:
    """The product."""
    return reduce(operator.mul, xs, 1)


def canonicalize_dim(rank: int, idx: int, wrap_scalar: bool = True) -> int:
    """A dim counted from the front. IndexError if there is no such dim."""
    if rank < 0:
        raise IndexError(f"Rank cannot be negative but got {rank}")
    if rank == 0:
        if not wrap_scalar:
            raise IndexError(f"Dimension specified as {idx} but tensor has no dimensions")
        rank = 1
    if not -rank <= idx < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {idx})")
    return idx % rank


def canonicalize_dims(rank: int, indices: Any, wrap_scalar: bool = True) -> Any:
    """One dim or several, counted from the front."""
    if isinstance(indices, int):
        return canonicalize_dim(rank, indices, wrap_scalar)
    return tuple(canonicalize_dim(rank, x, wrap_scalar) for x in indices)


def reduction_dims(shape: Any, dims: Any) -> tuple[int, ...]:
    """The dims of a reduction: all for None. RuntimeError if one appears twice."""
    if dims is None:
        return tuple(range(len(shape)))
    found = tuple(canonicalize_dim(len(shape), d) for d in dims)
    if len(found) != len(set(found)):
        raise RuntimeError("duplicate value in the list of dims")
    return found


def make_contiguous_strides_for(shape: Any, row_major: bool = True) -> tuple[int, ...]:
    """Strides of a dense tensor, the last dim fastest (or, of matrices, the last but one)."""
    if not shape:
        return ()
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size if size > 1 else 1
    result = tuple(reversed(strides))
    return result if row_major or len(shape) < 2 else (*result[:-2], 1, max(shape[-2], 1))


def make_channels_last_strides_for(shape: Any) -> tuple[int, ...]:
    """Strides with dim 1 fastest."""
    order = [1, *range(len(shape) - 1, 1, -1), 0]
    strides, step = [0] * len(shape), 1
    for dim in order:
        strides[dim] = step
        step *= max(shape[dim], 1)
    return tuple(strides)


def suggest_memory_format(x: Any) -> Any:
    """channels_last of tensors that lie so, else contiguous."""
    if x.layout != torch.strided or x.ndim not in (4, 5):
        return torch.contiguous_format
    kind = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    return kind if not x.is_contiguous() and x.is_contiguous(memory_format=kind) else torch.contiguous_format


def is_contiguous(a: Any) -> bool:
    """Whether it lies densely, the last dim fastest."""
    return bool(a.numel() < 2 or a.is_contiguous())


def compute_required_storage_length(shape: Any, strides: Any, storage_offset: int) -> int:
    """How many elements a storage must have for this view."""
    return 0 if 0 in shape else 1 + storage_offset + sum((size - 1) * stride for size, stride in zip(shape, strides))


def is_contiguous_or_false(a: Any, *, memory_format: Any = torch.contiguous_format) -> bool:
    """Whether a tensor lies in memory without gaps and in order; sizes are known here, so that there is always an answer."""
    return bool(a.is_contiguous(memory_format=memory_format))


def is_expandable_to(shape: Any, desired: Any) -> bool:
    """Whether ``shape`` broadcasts to ``desired``."""
    return len(shape) <= len(desired) and all(x == y or x == 1 for x, y in zip(reversed(shape), reversed(desired)))


def infer_size(shape: Any, numel: int) -> tuple[int, ...]:
    """``shape`` with -1 filled in. RuntimeError if the elements do not fit."""
    known = prod([d for d in shape if d != -1])
    if any(d < -1 for d in shape):
        raise RuntimeError(f"invalid shape dimension {min(shape)}")
    holes = sum(d == -1 for d in shape)
    if holes > 1:
        raise RuntimeError("only one dimension can be inferred")
    if (not holes and known != numel) or (holes and (known == 0 or numel % known)):
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return tuple(numel // known if d == -1 else d for d in shape)


def is_boolean_dtype(dtype: Any) -> bool:
    return dtype is torch.bool


def is_integer_dtype(dtype: Any) -> bool:
    return not (dtype.is_floating_point or dtype.is_complex or dtype is torch.bool)


def is_low_precision_dtype(dtype: Any) -> bool:
    return dtype in (torch.bfloat16, torch.float16, torch.complex32)


def is_float_dtype(dtype: Any) -> bool:
    return bool(dtype.is_floating_point)


def is_complex_dtype(dtype: Any) -> bool:
    return bool(dtype.is_complex)


def corresponding_real_dtype(dtype: Any) -> Any:
    """Of the parts of a complex type."""
    return dtype.to_real()


def corresponding_complex_dtype(dtype: Any) -> Any:
    """The complex type whose parts have this type."""
    return dtype.to_complex()


def get_computation_dtype(dtype: Any) -> Any:
    """The type in which results of this type are computed."""
    return {torch.bfloat16: torch.float32, torch.float16: torch.float32, torch.complex32: torch.complex64}.get(dtype, dtype)


def dtype_to_type(dtype: Any) -> type:
    """Python's own type for numbers of it."""
    return bool if dtype is torch.bool else float if dtype.is_floating_point else complex if dtype.is_complex else int


def type_to_dtype(typ: type) -> Any:
    """torch's type for Python's numbers."""
    if typ is bool:
        return torch.bool
    if typ is int:
        return torch.long
    default = torch.get_default_dtype()
    if typ is float:
        return default
    if typ is complex:
        return default.to_complex()
    raise ValueError(f"Invalid type {typ}!")


def get_higher_dtype(a: Any, b: Any) -> Any:
    """The smallest type that holds both; of tensors, numbers and types."""

    def kind(x: Any) -> Any:
        return x if x is None or isinstance(x, _dtypes.dtype) else x.dtype if isinstance(x, Tensor) else type_to_dtype(type(x))

    a, b = kind(a), kind(b)
    return b if a is None else a if b is None else torch.promote_types(a, b)
