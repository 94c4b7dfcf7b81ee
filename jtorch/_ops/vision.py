"""Operators over boxes, as torchvision defines them: suppression of overlapping boxes, pooling of regions, deformable convolution.

A region is a row (image, x1, y1, x2, y2). Regions are pooled a few at a time, so that what is gathered for them stays small beside the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtorch._registry import op

from ._lib import accumulate_in

_CHUNK = 16  # regions gathered together


@op("nms(Tensor dets, Tensor scores, float iou_threshold)", where="internal", out=False, data_dependent=True)
def nms(dets: Any, scores: Any, iou_threshold: float) -> Any:
    """The boxes that stay when, from the highest score down, each one removes those that overlap it more than the threshold."""
    if dets.ndim != 2:
        raise RuntimeError(f"boxes should be a 2d tensor, got {dets.ndim}D")
    if dets.shape[1] != 4:
        raise RuntimeError(f"boxes should have 4 elements in dimension 1, got {dets.shape[1]}")
    if scores.ndim != 1:
        raise RuntimeError(f"scores should be a 1d tensor, got {scores.ndim}D")
    if dets.shape[0] != scores.shape[0]:
        raise RuntimeError(f"boxes and scores should have same number of elements in dimension 0, got {dets.shape[0]} and {scores.shape[0]}")
    kind = dets.dtype if dets.dtype.kind == "f" and dets.dtype.itemsize >= 4 else np.dtype(np.float32)
    x1, y1, x2, y2 = np.asarray(dets, kind).T
    areas = (x2 - x1) * (y2 - y1)
    # Highest first, equal ones in their order, and NaN above everything, as torch sorts.
    order = np.argsort(-np.asarray(scores, kind), kind="stable")
    nan = np.isnan(np.asarray(scores, kind))[order]
    order = np.concatenate([order[nan], order[~nan]])
    gone = np.zeros(len(order), bool)
    keep = []
    with np.errstate(all="ignore"):
        for position, i in enumerate(order):
            if gone[i]:
                continue
            keep.append(i)
            rest = order[position + 1 :]
            width = np.maximum(np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest]), kind.type(0))
            height = np.maximum(np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest]), kind.type(0))
            inter = width * height
            gone[rest[inter / (areas[i] + areas[rest] - inter) > iou_threshold]] = True
    return np.asarray(keep, np.int64)


def _check(name: str, input: Any, rois: Any) -> None:
    if rois.ndim != 2 or rois.shape[1] != 5:
        raise RuntimeError("rois must have shape as Tensor[K, 5]")
    if input.dtype != rois.dtype:
        raise RuntimeError(f"Expected tensor for argument #1 'input' to have the same type as tensor for argument #2 'rois'; but type {input.dtype} does not equal {rois.dtype} (while checking arguments for {name})")


def _few_at_a_time(fn: Callable[[Any], Any], rois: Any) -> Any:
    """``fn`` of each region."""
    return jax.lax.map(fn, rois, batch_size=_CHUNK) if rois.shape[0] > _CHUNK else jax.vmap(fn)(rois)


def _corners(at: Any, size: int) -> tuple[Any, Any, Any, Any, Any]:
    """The two grid points around a coordinate, their weights, and whether the coordinate is inside; those up to one outside count as the border's."""
    inside = (at >= -1.0) & (at <= size)
    at = jnp.maximum(at, 0)
    low = jnp.floor(at).astype(jnp.int32)
    border = low >= size - 1
    low = jnp.where(border, size - 1, low)
    at = jnp.where(border, low.astype(at.dtype), at)
    high = jnp.where(border, low, low + 1)
    part = at - low
    return jnp.maximum(low, 0), jnp.clip(high, 0, max(size - 1, 0)), 1 - part, part, inside


def _samples(roi: Any, scale: float, pooled: tuple[int, int], grid: int, ratio: int, aligned: bool, clamp: bool) -> tuple[Any, Any, Any, Any, Any]:
    """Where a region is sampled: y [ph, grid], x [pw, grid], which of the grid count in either direction, and how many that are."""
    offset = 0.5 if aligned else 0.0
    x1, y1, x2, y2 = (roi[i] * scale - offset for i in range(1, 5))
    width, height = x2 - x1, y2 - y1
    if clamp:
        width, height = jnp.maximum(width, 1.0), jnp.maximum(height, 1.0)

    def along(start: Any, length: Any, bins: int) -> tuple[Any, Any, Any]:
        size = length / bins
        count = jnp.asarray(float(ratio), roi.dtype) if ratio > 0 else jnp.ceil(size)
        at = start + jnp.arange(bins, dtype=roi.dtype)[:, None] * size + (jnp.arange(grid, dtype=roi.dtype) + 0.5) * size / count
        return at, jnp.arange(grid) < count, count

    y, use_y, count_y = along(y1, height, pooled[0])
    x, use_x, count_x = along(x1, width, pooled[1])
    return y, x, use_y, use_x, jnp.maximum(count_y * count_x, 1.0) if clamp or aligned else count_y * count_x


def _bilinear(y: Any, x: Any, use_y: Any, use_x: Any, height: int, width: int) -> tuple[Any, Any]:
    """Indices into the flattened image and weights, [ph, pw, grid * grid * 4]."""
    y0, y1, wy0, wy1, in_y = _corners(y, height)
    x0, x1, wx0, wx1, in_x = _corners(x, width)
    ys, wys = jnp.stack([y0, y1], -1), jnp.stack([wy0, wy1], -1) * (in_y & use_y)[..., None]
    xs, wxs = jnp.stack([x0, x1], -1), jnp.stack([wx0, wx1], -1) * (in_x & use_x)[..., None]
    index = ys[:, None, :, None, :, None] * width + xs[None, :, None, :, None, :]
    weight = wys[:, None, :, None, :, None] * wxs[None, :, None, :, None, :]
    # What isn't used may be NaN (a region of no size has no grid).
    weight = jnp.where((use_y & in_y)[:, None, :, None, None, None] & (use_x & in_x)[None, :, None, :, None, None], weight, 0)
    bins = index.shape[:2]
    return index.reshape(*bins, -1), weight.reshape(*bins, -1)


_ALIGN = "Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio"


@op(f"roi_align({_ALIGN}, bool aligned, int grid)", where="internal", out=False)
def roi_align(
    input: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int, sampling_ratio: int, aligned: bool, grid: int
) -> Any:
    """Averages of bilinear samples, ``grid`` at most in each direction of a bin: [K, C, ph, pw]."""
    _check("roi_align", input, rois)
    n, c, height, width = input.shape
    x = accumulate_in(input)
    rows = jnp.moveaxis(x, 1, -1).reshape(n, height * width, c)

    def one(roi: Any) -> Any:
        y, xs, use_y, use_x, count = _samples(roi, spatial_scale, (pooled_height, pooled_width), grid, sampling_ratio, aligned, not aligned)
        index, weight = _bilinear(y, xs, use_y, use_x, height, width)
        return jnp.einsum("pqsc,pqs->cpq", rows[roi[0].astype(jnp.int32), index], weight) / count

    return _few_at_a_time(one, jax.lax.stop_gradient(rois.astype(x.dtype))).astype(input.dtype)


@op(f"ps_roi_align({_ALIGN}, int grid)", where="internal", out=False)
def ps_roi_align(input: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int, sampling_ratio: int, grid: int) -> Any:
    """As :func:`roi_align`, where each bin looks at channels of its own: [K, C / (ph * pw), ph, pw]."""
    _check("ps_roi_align", input, rois)
    n, c, height, width = input.shape
    out = _own_channels(c, pooled_height, pooled_width)
    x = accumulate_in(input)
    rows = jnp.transpose(x.reshape(n, out, pooled_height, pooled_width, height * width), (0, 2, 3, 4, 1))
    at = jnp.arange(pooled_height)[:, None, None], jnp.arange(pooled_width)[None, :, None]

    def one(roi: Any) -> Any:
        y, xs, use_y, use_x, count = _samples(roi, spatial_scale, (pooled_height, pooled_width), grid, sampling_ratio, True, False)
        index, weight = _bilinear(y, xs, use_y, use_x, height, width)
        return jnp.einsum("pqsc,pqs->cpq", rows[roi[0].astype(jnp.int32), at[0], at[1], index], weight) / count

    return _few_at_a_time(one, jax.lax.stop_gradient(rois.astype(x.dtype))).astype(input.dtype)


def _own_channels(channels: int, pooled_height: int, pooled_width: int) -> int:
    if channels % (pooled_height * pooled_width):
        raise RuntimeError("input channels must be a multiple of pooling height * pooling width")
    return channels // (pooled_height * pooled_width)


def _rounded(x: Any) -> Any:
    """As C rounds: halves away from zero."""
    return jnp.trunc(x + jnp.where(x >= 0, 0.5, -0.5))


def _bins(start: Any, size: Any, bins: int, limit: int) -> tuple[Any, Any]:
    """Where each bin begins and ends, cut to the image."""
    i = jnp.arange(bins, dtype=size.dtype)
    low, high = jnp.floor(i * (size / bins)) + start, jnp.ceil((i + 1) * (size / bins)) + start
    return jnp.clip(low, 0, limit).astype(jnp.int32), jnp.clip(high, 0, limit).astype(jnp.int32)


_POOL = "Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width"


@op(f"roi_pool({_POOL}) -> (output, argmax)", where="internal", out=False)
def roi_pool(input: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int) -> tuple[Any, Any]:
    """Maxima of the bins of regions, [K, C, ph, pw], and their places in the image (-1 for empty bins), int32."""
    _check("roi_pool", input, rois)
    n, c, height, width = input.shape

    def one(roi: Any) -> tuple[Any, Any]:
        x1, y1, x2, y2 = (_rounded(roi[i] * spatial_scale) for i in range(1, 5))
        top, bottom = _bins(y1, jnp.maximum(y2 - y1 + 1, 1.0), pooled_height, height)
        left, right = _bins(x1, jnp.maximum(x2 - x1 + 1, 1.0), pooled_width, width)
        image = input[roi[0].astype(jnp.int32)]
        still = jax.lax.stop_gradient(image)
        cols = (jnp.arange(width) >= left[:, None]) & (jnp.arange(width) < right[:, None])  # [pw, W]
        rows = (jnp.arange(height) >= top[:, None]) & (jnp.arange(height) < bottom[:, None])  # [ph, H]
        lowest = jnp.asarray(-jnp.inf, still.dtype)
        across = jnp.where(cols[None, None], still[:, :, None, :], lowest)  # [C, H, pw, W]
        best, where = jnp.max(across, -1), jnp.argmax(across, -1)  # [C, H, pw]
        down = jnp.where(rows[None, :, :, None], best[:, None], lowest)  # [C, ph, H, pw]
        row = jnp.argmax(down, 2)  # [C, ph, pw]
        col = jnp.take_along_axis(jnp.broadcast_to(where[:, None], down.shape), row[:, :, None], 2)[:, :, 0]
        place = row * width + col
        empty = ((bottom <= top)[:, None] | (right <= left)[None, :])[None]
        value = jnp.take_along_axis(image.reshape(c, -1), place.reshape(c, -1), 1).reshape(place.shape)
        return jnp.where(empty, jnp.zeros((), input.dtype), value), jnp.where(empty, -1, place).astype(jnp.int32)

    return _few_at_a_time(one, jax.lax.stop_gradient(rois))


@op(f"ps_roi_pool({_POOL})", where="internal", out=False)
def ps_roi_pool(input: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int) -> Any:
    """Averages of the bins of regions, where each bin looks at channels of its own: [K, C / (ph * pw), ph, pw]."""
    _check("ps_roi_pool", input, rois)
    n, c, height, width = input.shape
    out = _own_channels(c, pooled_height, pooled_width)
    x = accumulate_in(input)
    parts = x.reshape(n, out, pooled_height, pooled_width, height, width)

    def one(roi: Any) -> Any:
        x1, y1, x2, y2 = (_rounded(roi[i] * spatial_scale) for i in range(1, 5))
        top, bottom = _bins(y1, jnp.maximum(y2 - y1, 1.0), pooled_height, height - 1)
        left, right = _bins(x1, jnp.maximum(x2 - x1, 1.0), pooled_width, width - 1)
        rows = ((jnp.arange(height) >= top[:, None]) & (jnp.arange(height) < bottom[:, None])).astype(x.dtype)
        cols = ((jnp.arange(width) >= left[:, None]) & (jnp.arange(width) < right[:, None])).astype(x.dtype)
        area = ((bottom - top)[:, None] * (right - left)[None, :]).astype(x.dtype)
        total = jnp.einsum("opqhw,ph,qw->opq", parts[roi[0].astype(jnp.int32)], rows, cols)
        return jnp.where(area > 0, total / jnp.maximum(area, 1), 0)

    return _few_at_a_time(one, jax.lax.stop_gradient(rois.astype(x.dtype))).astype(input.dtype)


@op(
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor? mask, Tensor bias, int[2] stride, int[2] padding, int[2] dilation, int groups, "
    "int offset_groups)",
    where="internal", out=False,
)  # fmt: skip
def deform_conv2d(
    input: Any, weight: Any, offset: Any, mask: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, offset_groups: int
) -> Any:
    """A convolution whose taps are moved by ``offset`` ([N, 2 * G * kh * kw, oh, ow], y before x) and scaled by ``mask`` ([N, G * kh * kw, oh, ow])."""
    n, c, height, width = input.shape
    out, per_group, kh, kw = weight.shape
    oh = (height + 2 * padding[0] - (dilation[0] * (kh - 1) + 1)) // stride[0] + 1
    ow = (width + 2 * padding[1] - (dilation[1] * (kw - 1) + 1)) // stride[1] + 1
    if per_group * groups != c:
        raise RuntimeError(f"Expected weight.size(1) * n_weight_grps == input.size(1), but got {per_group} * {groups} != {c}")
    if offset.shape[1] != 2 * offset_groups * kh * kw:
        raise RuntimeError(f"offset.shape[1] is not valid: got: {offset.shape[1]} expected: {2 * offset_groups * kh * kw}")
    if offset.shape[0] != n:
        raise RuntimeError("invalid batch size of offset")
    if offset.shape[2:] != (oh, ow):
        raise RuntimeError(f"offset output dims: ({offset.shape[2]}, {offset.shape[3]}) - computed output dims: ({oh}, {ow})")
    if mask is not None and mask.shape != (n, offset_groups * kh * kw, oh, ow):
        raise RuntimeError(f"mask.shape[1] is not valid: got: {mask.shape[1]} expected: {offset_groups * kh * kw}")
    x, moved = accumulate_in(input), accumulate_in(offset)
    g, taps = offset_groups, kh * kw
    moved = moved.reshape(n, g, taps, 2, oh, ow)
    tap_y, tap_x = np.repeat(np.arange(kh), kw) * dilation[0], np.tile(np.arange(kw), kh) * dilation[1]
    base_y = tap_y[:, None, None] + (np.arange(oh) * stride[0] - padding[0])[None, :, None]
    base_x = tap_x[:, None, None] + (np.arange(ow) * stride[1] - padding[1])[None, None, :]
    y, xs = moved[:, :, :, 0] + base_y, moved[:, :, :, 1] + base_x  # [n, g, taps, oh, ow]
    inside = (y > -1) & (y < height) & (xs > -1) & (xs < width)
    y0, x0 = jnp.floor(jax.lax.stop_gradient(y)), jnp.floor(jax.lax.stop_gradient(xs))
    flat = x.reshape(n, g, c // g, height * width)
    total: Any = 0
    for dy in (0, 1):
        for dx in (0, 1):
            yi, xi = y0 + dy, x0 + dx
            weights = (1 - jnp.abs(y - yi)) * (1 - jnp.abs(xs - xi))
            there = inside & (yi >= 0) & (yi < height) & (xi >= 0) & (xi < width)
            place = jnp.where(there, yi * width + xi, 0).astype(jnp.int32).reshape(n, g, 1, -1)
            value = jnp.take_along_axis(flat, place, 3).reshape(n, g, c // g, taps, oh, ow)
            total = total + value * jnp.where(there, weights, 0)[:, :, None]
    if mask is not None:
        total = total * accumulate_in(mask).reshape(n, g, 1, taps, oh, ow)
    columns = total.reshape(n, groups, c // groups, taps, oh, ow)
    kernels = accumulate_in(weight).reshape(groups, out // groups, per_group, taps)
    result = jnp.einsum("ngcthw,goct->ngohw", columns, kernels).reshape(n, out, oh, ow)
    return (result + accumulate_in(bias)[None, :, None, None]).astype(input.dtype)
