"""``torch.ops.quantized_decomposed``: rounding to integers with a scale as ordinary operators, which exported and converted models are made of.

A quantised value is a plain tensor of integers here; scale and zero point go beside it. Written in torch's functions, so that meta tensors and gradients come with them.
"""

from __future__ import annotations

from typing import Any

from jtorch._public import torch

from .libraries import Library

__all__: list[str] = []

quantized_decomposed_lib = Library("quantized_decomposed", "DEF")
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_BOUNDS = {
    torch.uint8: (0, 255), torch.int8: (-128, 127), torch.uint16: (0, 2**16 - 1), torch.int16: (-(2**15), 2**15 - 1), torch.int32: (-(2**31), 2**31 - 1),
}  # fmt: skip
for _name in ("float8_e5m2", "float8_e4m3fn"):
    _kind = getattr(torch, _name)
    try:
        _BOUNDS[_kind] = (int(torch.finfo(_kind).min), int(torch.finfo(_kind).max))
    except NotImplementedError:  # a type that XLA does not have
        pass
_SCALES = "Tensor scale, Tensor zero_point"
_RANGE = "int quant_min, int quant_max, ScalarType dtype"
_OUT = "*, ScalarType? out_dtype=None"


def _operator(schema: str) -> Any:
    def register(fn: Any) -> Any:
        quantized_decomposed_lib.impl(quantized_decomposed_lib.define(schema), fn, "CompositeImplicitAutograd")
        return fn

    return register


def _in_bounds(low: int, high: int, dtype: Any) -> None:
    if dtype not in _BOUNDS:
        raise ValueError(f"Unsupported dtype: {dtype}")
    least, most = _BOUNDS[dtype]
    if low < least:
        raise AssertionError(f"quant_min out of bounds for dtype, quant_min_lower_bound: {least} quant_min: {low}")
    if high > most:
        raise AssertionError(f"quant_max out of bounds for dtype, quant_max_upper_bound: {most} quant_max: {high}")


def _wide(x: Any) -> Any:
    """Halves as float32; AssertionError for what is no float32 then."""
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.to(torch.float32)
    if x.dtype != torch.float32:
        raise AssertionError(f"Expecting input to have dtype torch.float32, but got dtype: {x.dtype}")
    return x


def _numbers(scale: Any, zero_point: Any) -> tuple[float, int]:
    for name, x in (("zero_point", zero_point), ("scale", scale)):
        if x.numel() != 1:
            raise AssertionError(f"Expecting {name} tensor to be one element, but received : {x.numel()}")
    return scale.item(), zero_point.item()


def _holds(input: Any, dtype: Any) -> None:
    if input.dtype != dtype:
        raise AssertionError(f"Expecting input to have dtype: {dtype}, but got {input.dtype}")


@_operator(f"quantize_per_tensor(Tensor input, float scale, int zero_point, {_RANGE}) -> Tensor")
def quantize_per_tensor(input: Any, scale: float, zero_point: int, quant_min: int, quant_max: int, dtype: Any) -> Any:
    """``clamp(round(input / scale) + zero_point, quant_min, quant_max)`` of a float tensor of any shape, in ``dtype``."""
    input = _wide(input)
    _in_bounds(quant_min, quant_max, dtype)
    return torch.clamp(torch.round(input * (1.0 / scale)) + zero_point, quant_min, quant_max).to(dtype)


@_operator(f"quantize_per_tensor.tensor(Tensor input, {_SCALES}, {_RANGE}) -> Tensor")
def quantize_per_tensor_tensor(input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int, dtype: Any) -> Any:
    """:func:`quantize_per_tensor` with scale and zero point in tensors of one element."""
    return quantize_per_tensor(input, *_numbers(scale, zero_point), quant_min, quant_max, dtype)


@_operator(f"quantize_per_tensor.tensor2(Tensor input, {_SCALES}, Tensor quant_min, Tensor quant_max, ScalarType dtype) -> Tensor")
def quantize_per_tensor_tensor2(input: Any, scale: Any, zero_point: Any, quant_min: Any, quant_max: Any, dtype: Any) -> Any:
    """:func:`quantize_per_tensor` with all numbers in tensors."""
    return quantize_per_tensor_tensor(input, scale, zero_point, quant_min.item(), quant_max.item(), dtype)


@_operator(f"dequantize_per_tensor(Tensor input, float scale, int zero_point, {_RANGE}, {_OUT}) -> Tensor")
def dequantize_per_tensor(input: Any, scale: float, zero_point: int, quant_min: int, quant_max: int, dtype: Any, *, out_dtype: Any = None) -> Any:
    """``(input - zero_point) * scale`` in float32 or ``out_dtype``."""
    _holds(input, dtype)
    if dtype not in _BOUNDS:
        raise ValueError(f"Unsupported dtype in dequantize_per_tensor: {dtype}")
    out_dtype = torch.float32 if out_dtype is None else out_dtype
    return (input.to(out_dtype) - zero_point) * scale


@_operator(f"dequantize_per_tensor.tensor(Tensor input, {_SCALES}, {_RANGE}, {_OUT}) -> Tensor")
def dequantize_per_tensor_tensor(input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int, dtype: Any, *, out_dtype: Any = None) -> Any:
    """:func:`dequantize_per_tensor` with scale and zero point in tensors of one element."""
    return dequantize_per_tensor(input, *_numbers(scale, zero_point), quant_min, quant_max, dtype, out_dtype=out_dtype)


@_operator(f"dequantize_per_tensor.tensor2(Tensor input, {_SCALES}, Tensor quant_min, Tensor quant_max, ScalarType dtype, {_OUT}) -> Tensor")
def dequantize_per_tensor_tensor2(input: Any, scale: Any, zero_point: Any, quant_min: Any, quant_max: Any, dtype: Any, *, out_dtype: Any = None) -> Any:
    """:func:`dequantize_per_tensor` with all numbers in tensors."""
    return dequantize_per_tensor_tensor(input, scale, zero_point, quant_min.item(), quant_max.item(), dtype, out_dtype=out_dtype)


def _chosen(input: Any, low: int, high: int, eps: float, dtype: Any, symmetric: bool) -> Any:
    if input.dtype not in _FLOATS:
        raise AssertionError(f"Expecting input to have dtype torch.float32/16/b16, but got dtype: {input.dtype}")
    if dtype not in _BOUNDS:
        raise AssertionError(f"Expecting target dtype to be one of {_BOUNDS.keys()}, but got: {dtype}")
    if not low <= 0 <= high:
        raise AssertionError("Used-specified quantization range must include 0.")
    if low >= high:
        raise AssertionError("qmin must be strictly less than qmax for user-specified quantization range.")
    least, most = torch.aminmax(input)
    if bool((least == float("inf")) & (most == -float("inf"))):
        return torch.tensor([1.0]), torch.tensor([0])
    least, most, floor = least.clamp(max=0), most.clamp(min=0), torch.tensor([eps])
    if symmetric:
        scale = torch.max(torch.max(-least, most) / (float(high - low) / 2), floor)
        zero_point = torch.full((1,), 128 if dtype == torch.uint8 else 0)
    else:
        scale = torch.max((most - least) / float(high - low), floor)
        zero_point = torch.clamp(low - torch.round(least / scale).to(torch.int32), low, high)
    return scale.to(torch.float64), zero_point.to(torch.int64)


@_operator("choose_qparams.tensor(Tensor input, int quant_min, int quant_max, float eps, ScalarType dtype) -> (Tensor, Tensor)")
def choose_qparams_tensor(input: Any, quant_min: int, quant_max: int, eps: float, dtype: Any) -> Any:
    """Scale (float64, (1,)) and zero point (int64, (1,)) that cover a tensor's values."""
    return _chosen(input, quant_min, quant_max, eps, dtype, False)


@_operator("choose_qparams_symmetric.tensor(Tensor input, int quant_min, int quant_max, float eps, ScalarType dtype) -> (Tensor, Tensor)")
def choose_qparams_symmetric_tensor(input: Any, quant_min: int, quant_max: int, eps: float, dtype: Any) -> Any:
    """:func:`choose_qparams_tensor` with zero in the middle."""
    return _chosen(input, quant_min, quant_max, eps, dtype, True)


def _along(input: Any, axis: int, *parts: Any) -> list[Any]:
    if axis >= input.dim():
        raise AssertionError(f"Expecting axis to be < {input.dim()}")
    shape = [1] * input.dim()
    shape[axis] = -1
    return [None if p is None else p.view(shape) for p in parts]


@_operator(f"quantize_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis, {_RANGE}) -> Tensor")
def quantize_per_channel(input: Any, scales: Any, zero_points: Any, axis: int, quant_min: int, quant_max: int, dtype: Any) -> Any:
    """:func:`quantize_per_tensor` with a scale and a zero point for each place along ``axis``."""
    input = _wide(input)
    scale, zero_point = _along(input, axis, scales, zero_points)
    _in_bounds(quant_min, quant_max, dtype)
    return torch.clamp(torch.round(input * (1.0 / scale)) + zero_point, quant_min, quant_max).to(dtype)


@_operator(f"dequantize_per_channel(Tensor input, Tensor scales, Tensor? zero_points, int axis, {_RANGE}, {_OUT}) -> Tensor")
def dequantize_per_channel(input: Any, scales: Any, zero_points: Any, axis: int, quant_min: int, quant_max: int, dtype: Any, *, out_dtype: Any = None) -> Any:
    """:func:`dequantize_per_tensor` with a scale and a zero point for each place along ``axis``."""
    _holds(input, dtype)
    scale, zero_point = _along(input, axis, scales, zero_points)
    _in_bounds(quant_min, quant_max, dtype)
    return ((input if zero_point is None else input - zero_point) * scale).to(torch.float32 if out_dtype is None else out_dtype)


@_operator("convert_element_type.no_fuse(Tensor input, ScalarType dtype) -> Tensor")
def convert_element_type(input: Any, dtype: Any) -> Any:
    """``input`` in another type."""
    return torch.ops.prims.convert_element_type.default(input, dtype)
