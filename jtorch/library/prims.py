"""``torch.ops.prims``: the operators that torch's reference implementations are written with, for those that are one function here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._public import torch

from .libraries import Library

__all__: list[str] = []

_prims = Library("prims", "FRAGMENT")
_UNARY = (
    "abs acos acosh asin asinh atan atanh ceil conj_physical cos cosh digamma erf erfc exp exp2 expm1 floor isfinite lgamma log log10 log1p log2 neg reciprocal round "
    "rsqrt sign signbit sin sinh sqrt tan tanh trunc bitwise_not bessel_i0=special.i0 bessel_i0e=special.i0e bessel_i1=special.i1 bessel_i1e=special.i1e erf_inv=erfinv "
    "bessel_j0=special.bessel_j0 bessel_j1=special.bessel_j1 ndtri=special.ndtri erfcx=special.erfcx spherical_bessel_j0=special.spherical_bessel_j0"
)
_BINARY = (
    "add atan2 bitwise_and bitwise_or bitwise_xor div eq fmax fmin fmod gcd ge gt hypot igamma igammac le lt maximum minimum mul ne nextafter pow remainder sub "
    "shift_left=bitwise_left_shift shift_right_arithmetic=bitwise_right_shift zeta=special.zeta"
)


def _named(entry: str) -> tuple[str, Callable[..., Any]]:
    name, _, path = entry.partition("=")
    found: Any = torch
    for part in (path or name).split("."):
        found = getattr(found, part)
    return name, found


def _op(schema: str, fn: Callable[..., Any]) -> None:
    _prims.impl(_prims.define(schema), fn, "CompositeImplicitAutograd")


def _div(a: Any, b: Any) -> Any:
    """Of integers without a rest, as C++ divides them."""
    return torch.div(a, b) if a.is_floating_point() or a.is_complex() else torch.div(a, b, rounding_mode="trunc")


for _entry in _UNARY.split():
    _name, _fn = _named(_entry)
    _op(f"{_name}(Tensor self) -> Tensor", _fn)
for _entry in _BINARY.split():
    _name, _fn = _named(_entry)
    _op(f"{_name}(Tensor self, Tensor other) -> Tensor", _div if _name == "div" else _fn)
for _name in ("sum", "amax", "amin", "prod"):
    def _reduce(inp: Any, dims: Any, *, output_dtype: Any = None, name: str = _name) -> Any:
        found = inp
        if name == "prod":
            for d in sorted((d % max(inp.dim(), 1) for d in (range(inp.dim()) if dims is None else dims)), reverse=True):
                found = found.prod(d)
        else:
            found = getattr(torch, name)(inp, tuple(range(inp.dim())) if dims is None else tuple(dims))
        return found if output_dtype is None else found.to(output_dtype)

    _op(f"{_name}(Tensor inp, int[]? dims, *, ScalarType? output_dtype=None) -> Tensor", _reduce)
_op("convert_element_type(Tensor a, ScalarType dtype) -> Tensor", lambda a, dtype: a.to(dtype, copy=True))
_op("device_put(Tensor a, Device device, bool non_blocking=False) -> Tensor", lambda a, device, non_blocking=False: a.to(device, non_blocking=non_blocking))
_op("where(Tensor pred, Tensor a, Tensor b) -> Tensor", lambda pred, a, b: torch.where(pred, a, b))
_op("clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", lambda self, *, memory_format=None: self.clone() if memory_format is None else self.clone(memory_format=memory_format))
_op("reshape(Tensor a, SymInt[] shape) -> Tensor", lambda a, shape: a.reshape(shape).clone())
_op("transpose(Tensor(a) a, int[] permutation) -> Tensor(a)", lambda a, permutation: a.permute(permutation))
_op("rev(Tensor a, int[] dims) -> Tensor", lambda a, dims: a.flip(dims))
_op("cat(Tensor[] tensors, int dim) -> Tensor", lambda tensors, dim: torch.cat(tensors, dim))
_op("squeeze(Tensor(a) a, int[] dimensions) -> Tensor(a)", lambda a, dimensions: a.squeeze(tuple(dimensions)))
_op("view_of(Tensor(a) a) -> Tensor(a)", lambda a: a.view_as(a))
_op(
    "iota(SymInt length, *, SymInt start, SymInt step, ScalarType dtype, Device device, bool requires_grad) -> Tensor",
    lambda length, *, start, step, dtype, device, requires_grad: torch.arange(start, start + length * step, step, dtype=dtype, device=device, requires_grad=requires_grad),
)


def _broadcast(a: Any, shape: Any, broadcast_dimensions: Any) -> Any:
    """The dims of ``a`` go to these places of the shape."""
    sizes = [1] * len(shape)
    for dim, size in zip(broadcast_dimensions, a.shape, strict=True):
        sizes[dim] = size
    return a.reshape(sizes).expand(shape)


_op("broadcast_in_dim(Tensor(a) a, SymInt[] shape, int[] broadcast_dimensions) -> Tensor(a)", _broadcast)
