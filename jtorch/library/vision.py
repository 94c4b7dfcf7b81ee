"""``torch.ops.torchvision``: what torchvision's compiled library registers, so that its layers and detection models run."""

from __future__ import annotations

from typing import Any

from jtorch._core.tensor.autograd_methods import with_grad
from jtorch._core.tensor.derived_functions import function_for
from jtorch._errors import not_implemented
from jtorch._public import torch

from .libraries import Library
from .operators import as_made, find

_library = Library("torchvision", "FRAGMENT")
_nms, _roi_align, _ps_roi_align = function_for("internal.nms"), function_for("internal.roi_align"), function_for("internal.ps_roi_align")
_roi_pool, _ps_roi_pool, _deform = function_for("internal.roi_pool"), function_for("internal.ps_roi_pool"), function_for("internal.deform_conv2d")


def _register(schema: str) -> Any:
    """Define an operator by the function that it is made of; torchvision may register shapes and derivatives of its own for it."""

    def register(fn: Any) -> Any:
        name = _library.define(schema)
        _library.impl(name, fn, "CompositeExplicitAutograd")
        find(f"torchvision::{name}").autograd = as_made
        return fn

    return register


@_register("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
def nms(dets: Any, scores: Any, iou_threshold: float) -> Any:
    return _nms(dets.detach(), scores.detach(), iou_threshold)


def _grid(rois: Any, scale: float, pooled_height: int, pooled_width: int, ratio: int, clamp: bool) -> int:
    """How many samples a bin has at most in one direction. Without a ratio that depends on the regions' sizes: what is pending is run.

    Rounded up to a power of two, so that other regions find the same program.
    """
    if ratio > 0 or rois.shape[0] == 0:
        return max(ratio, 1)
    size = (rois[:, 3:] - rois[:, 1:3]).detach() * scale
    if clamp:
        size = size.clamp(min=1.0)
    most = torch.ceil(size / torch.tensor([pooled_width, pooled_height], dtype=size.dtype, device=size.device)).max().item()
    return int(1 << max(int(most) - 1, 0).bit_length()) if most > 1 else 1


_SIZES = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"


@_register(f"roi_align({_SIZES}, int sampling_ratio, bool aligned) -> Tensor")
def roi_align(input: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int, sampling_ratio: int, aligned: bool) -> Any:
    grid = _grid(rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, not aligned)
    return _roi_align(input, rois.detach(), spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned, grid)


@_register(f"ps_roi_align({_SIZES}, int sampling_ratio) -> (Tensor, Tensor)")
def ps_roi_align(input: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int, sampling_ratio: int) -> Any:
    grid = _grid(rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, False)
    out = _ps_roi_align(input, rois.detach(), spatial_scale, pooled_height, pooled_width, sampling_ratio, grid)
    return out, _channels(input, rois, pooled_height, pooled_width)


def _channels(input: Any, rois: Any, pooled_height: int, pooled_width: int) -> Any:
    """Which channel each output element came from, int32."""
    mapping = torch.arange(input.shape[1], dtype=torch.int32, device=input.device).reshape(-1, pooled_height, pooled_width)
    return mapping.expand(rois.shape[0], *mapping.shape).contiguous()


@_register(f"roi_pool({_SIZES}) -> (Tensor, Tensor)")
def roi_pool(input: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int) -> Any:
    return _roi_pool(input, rois.detach(), spatial_scale, pooled_height, pooled_width)


@_register(f"ps_roi_pool({_SIZES}) -> (Tensor, Tensor)")
def ps_roi_pool(input: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int) -> Any:
    return _ps_roi_pool(input, rois.detach(), spatial_scale, pooled_height, pooled_width), _channels(input, rois, pooled_height, pooled_width)


@_register(
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, "
    "SymInt dilation_h, SymInt dilation_w, SymInt groups, SymInt offset_groups, bool use_mask) -> Tensor"
)
def deform_conv2d(
    input: Any, weight: Any, offset: Any, mask: Any, bias: Any, stride_h: int, stride_w: int, pad_h: int, pad_w: int, dilation_h: int, dilation_w: int,
    groups: int, offset_groups: int, use_mask: bool,
) -> Any:  # fmt: skip
    return _deform(
        input, weight, offset, mask if use_mask else None, bias, (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), groups, offset_groups
    )


@_register("_cuda_version() -> int")
def _cuda_version() -> int:
    return -1


# The derivatives, which torchvision's library registers as operators of their own.

_GRAD = "Tensor grad, Tensor rois"
_SCALE = "float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_IMAGES = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"


def _derivative(run: Any, shape: Any, grad: Any) -> Any:
    """The gradient of a linear function of images of this shape."""
    with torch.enable_grad():
        input = with_grad(grad.new_zeros(shape))
        return torch.autograd.grad(run(input), input, grad)[0]


@_register(f"_roi_align_backward({_GRAD}, {_SCALE}, {_IMAGES}, int sampling_ratio, bool aligned) -> Tensor")
def _roi_align_backward(grad: Any, rois: Any, scale: float, ph: int, pw: int, n: int, c: int, h: int, w: int, ratio: int, aligned: bool) -> Any:
    return _derivative(lambda x: roi_align(x, rois, scale, ph, pw, ratio, aligned), (n, c, h, w), grad)


@_register(f"_ps_roi_align_backward({_GRAD}, Tensor channel_mapping, {_SCALE}, int sampling_ratio, {_IMAGES}) -> Tensor")
def _ps_roi_align_backward(grad: Any, rois: Any, mapping: Any, scale: float, ph: int, pw: int, ratio: int, n: int, c: int, h: int, w: int) -> Any:
    return _derivative(lambda x: ps_roi_align(x, rois, scale, ph, pw, ratio)[0], (n, c, h, w), grad)


@_register(f"_ps_roi_pool_backward({_GRAD}, Tensor channel_mapping, {_SCALE}, {_IMAGES}) -> Tensor")
def _ps_roi_pool_backward(grad: Any, rois: Any, mapping: Any, scale: float, ph: int, pw: int, n: int, c: int, h: int, w: int) -> Any:
    return _derivative(lambda x: ps_roi_pool(x, rois, scale, ph, pw)[0], (n, c, h, w), grad)


@_register(f"_roi_pool_backward({_GRAD}, Tensor argmax, {_SCALE}, {_IMAGES}) -> Tensor")
def _roi_pool_backward(grad: Any, rois: Any, argmax: Any, scale: float, ph: int, pw: int, n: int, c: int, h: int, w: int) -> Any:
    image = rois[:, 0].long()[:, None, None, None] * c + torch.arange(c, device=grad.device)[None, :, None, None]
    place = image * (h * w) + argmax.clamp(min=0).long()
    return grad.new_zeros(n * c * h * w).index_add(0, place.flatten(), torch.where(argmax >= 0, grad, 0).flatten()).view(n, c, h, w)


@_register(
    "_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, SymInt stride_w, SymInt pad_h, "
    "SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups, SymInt offset_groups, bool use_mask) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
def _deform_conv2d_backward(grad: Any, input: Any, weight: Any, offset: Any, mask: Any, bias: Any, *numbers: Any) -> Any:
    with torch.enable_grad():
        given = [with_grad(t.detach()) for t in (input, weight, offset, mask, bias)]
        found = torch.autograd.grad(deform_conv2d(*given, *numbers), given, grad, allow_unused=True)
    return tuple(torch.zeros_like(t) if g is None else g for g, t in zip(found, given, strict=True))

# For quantised tensors, which are declined.


@_register(
    "qroi_align(Tensor input, Tensor rois, float input_scale, int input_zero_point, float rois_scale, int rois_zero_point, float spatial_scale, "
    "SymInt pooled_height, SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor"
)
def qroi_align(*args: Any) -> Any:
    return not_implemented("torch.ops.torchvision.qroi_align", "use roi_align: quantised tensors are not carried")


_library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
