"""Small functions below torch's public ones, which libraries call by their private names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._namespace import torch


@compose("torch")
def _shape_as_tensor(input: Tensor) -> Tensor:
    """The sizes as a tensor of int64."""
    return torch.tensor(list(input.shape), dtype=torch.int64)  # type: ignore[attr-defined,no-any-return]


@compose("torch")
def _int_mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of matrices of int8, in int32."""
    for name, x in (("self", input), ("mat2", mat2)):
        if x.dim() != 2:  # type: ignore[attr-defined]
            raise RuntimeError(f"Expected {name} to be of dimension 2 but got {x.dim()}")  # type: ignore[attr-defined]
        if x.dtype != torch.int8:  # type: ignore[attr-defined]
            raise RuntimeError(f"Expected {name} dtype to be of type int8 but got {x.dtype}")  # type: ignore[attr-defined]
    return torch.mm(input.to(torch.int32), mat2.to(torch.int32))  # type: ignore[attr-defined,no-any-return]


@compose("torch")
def _convert_indices_from_coo_to_csr(input: Tensor, size: int, *, out_int32: bool = False) -> Tensor:
    """Where each of ``size`` rows begins, of sorted row indices."""
    kind = torch.int32 if out_int32 else torch.int64
    return torch.searchsorted(input.contiguous(), torch.arange(size + 1, dtype=input.dtype)).to(kind)  # type: ignore[attr-defined,no-any-return]


@compose("torch")
def _convert_indices_from_csr_to_coo(crow_indices: Tensor, col_indices: Tensor, *, out_int32: bool = False, transpose: bool = False) -> Tensor:
    """(row, column) of each element, from where each row begins."""
    rows = torch.repeat_interleave(torch.arange(len(crow_indices) - 1), crow_indices.diff())  # type: ignore[attr-defined]
    pair = (col_indices, rows) if transpose else (rows, col_indices)
    return torch.stack([x.to(torch.int32 if out_int32 else torch.int64) for x in pair])  # type: ignore[no-any-return]


@compose("torch")
def _amp_foreach_non_finite_check_and_unscale_(self: Sequence[Tensor], found_inf: Tensor, inv_scale: Tensor) -> None:
    """Multiply each by ``inv_scale``; ``found_inf`` becomes 1 if one has an element that is not finite."""
    for x in self:
        found_inf.copy_(torch.maximum(found_inf, (~torch.isfinite(x)).any().to(found_inf.dtype)))  # type: ignore[attr-defined]
        x.mul_(inv_scale.to(x.dtype))  # type: ignore[attr-defined]


@compose("torch")
def _amp_update_scale_(input: Tensor, growth_tracker: Tensor, found_inf: Tensor, scale_growth_factor: float, scale_backoff_factor: float, growth_interval: int) -> Tensor:
    """The next scale: smaller after a step that was left out, larger after so many that were not."""
    bad = found_inf.bool()  # type: ignore[attr-defined]
    steps = torch.where(bad, torch.zeros_like(growth_tracker), growth_tracker + 1)  # type: ignore[operator]
    grown = torch.where(steps == growth_interval, input * scale_growth_factor, input)  # type: ignore[operator]
    grown = torch.where(torch.isfinite(grown), grown, input)
    input.copy_(torch.where(bad, input * scale_backoff_factor, grown))  # type: ignore[attr-defined,operator]
    growth_tracker.copy_(torch.where(steps == growth_interval, torch.zeros_like(steps), steps))  # type: ignore[attr-defined]
    return input


def _disable_dynamo(fn: Any = None, recursive: bool = True) -> Any:
    """``fn``: no bytecode is captured."""
    return (lambda f: f) if fn is None else fn


torch._disable_dynamo = _disable_dynamo
torch.legacy_contiguous_format = torch.contiguous_format


# --- operators that torch's library has under names of its own ------------------------------------------------------------------


@compose("aten")
def _to_copy(self: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """A copy of another type, or elsewhere."""
    return self.to(dtype=dtype or self.dtype, device=device or self.device, copy=True, non_blocking=non_blocking, memory_format=memory_format or torch.preserve_format)  # type: ignore[attr-defined,no-any-return]


@compose("aten")
def alias(self: Tensor) -> Tensor:
    """A view of the whole."""
    return self.view_as(self)  # type: ignore[attr-defined,no-any-return]


@compose("aten")
def lift_fresh(self: Tensor) -> Tensor:
    """The tensor itself."""
    return self


@compose("aten")
def lift_fresh_copy(self: Tensor) -> Tensor:
    """A copy."""
    return self.clone()  # type: ignore[attr-defined,no-any-return]


@compose("aten")
def _unsafe_view(self: Tensor, size: Any) -> Tensor:
    """The elements in another shape."""
    return self.reshape(size)  # type: ignore[attr-defined,no-any-return]


@compose("aten")
def _unsafe_index(self: Tensor, indices: Any) -> Tensor:
    """The elements at these places, None for a whole dim."""
    return self[tuple(slice(None) if i is None else i for i in indices)]  # type: ignore[index,no-any-return]


@compose("aten")
def sym_size(self: Tensor, dim: int | None = None) -> Any:
    """The sizes, or one."""
    return self.size() if dim is None else self.size(dim)  # type: ignore[attr-defined]


@compose("aten")
def sym_stride(self: Tensor, dim: int | None = None) -> Any:
    """The strides, or one."""
    return self.stride() if dim is None else self.stride(dim)  # type: ignore[attr-defined]


@compose("aten")
def sym_numel(self: Tensor) -> int:
    """How many elements."""
    return self.numel()  # type: ignore[attr-defined,no-any-return]


@compose("aten")
def sym_storage_offset(self: Tensor) -> int:
    """Where in its storage it begins."""
    return self.storage_offset()  # type: ignore[attr-defined,no-any-return]


@compose("aten")
def is_non_overlapping_and_dense(self: Tensor) -> bool:
    """Whether its elements lie without gaps, each once."""
    expected = 1
    for stride, size in sorted((st, sz) for sz, st in zip(self.shape, self.stride()) if sz != 1):  # type: ignore[attr-defined]
        if stride != expected:
            return False
        expected *= size
    return True
