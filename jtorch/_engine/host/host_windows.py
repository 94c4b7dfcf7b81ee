"""JAX's convolutions and windowed reductions on numpy arrays, as views with a stride for each step of a window. See ``host_rules.py``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jtorch._engine.host.host_rules import RULES, greatest, least, rule, wide

__all__ = ["padded", "windows"]


def padded(x: np.ndarray, padding: Any, dilation: Any, fill: Any) -> np.ndarray:
    """``x`` between (low, high) elements of ``fill`` in each dim, and with ``dilation - 1`` of them between its own."""
    config = [(low, high, gap - 1) for (low, high), gap in zip(padding, dilation, strict=True)]
    if all(c == (0, 0, 0) for c in config):
        return x
    return RULES["pad"](x, fill, padding_config=config)


def windows(x: np.ndarray, sizes: Any, strides: Any, dilation: Any) -> np.ndarray:
    """A view of ``x`` with its windows: shape (places in each dim, then offsets in each dim)."""
    reach = [(n - 1) * d + 1 for n, d in zip(sizes, dilation, strict=True)]
    places = [max((n - r) // s + 1, 0) for n, r, s in zip(x.shape, reach, strides, strict=True)]
    if 0 in places or 0 in sizes:
        return np.zeros((*places, *sizes), x.dtype)
    steps = [*(a * s for a, s in zip(x.strides, strides, strict=True)), *(a * d for a, d in zip(x.strides, dilation, strict=True))]
    return np.lib.stride_tricks.as_strided(x, (*places, *sizes), steps, writeable=False)


@rule("conv_general_dilated")
def _convolution(
    x: Any, w: Any, *, window_strides: Any, padding: Any, lhs_dilation: Any, rhs_dilation: Any, dimension_numbers: Any,
    feature_group_count: int, batch_group_count: int, **params: Any,
) -> Any:  # fmt: skip
    d = dimension_numbers
    x, w = wide(np.transpose(x, d.lhs_spec)), wide(np.transpose(w, d.rhs_spec))
    spatial = x.ndim - 2
    x = padded(x, ((0, 0), (0, 0), *padding), (1, 1, *lhs_dilation), 0)
    groups = feature_group_count * batch_group_count
    if batch_group_count > 1:
        # The batch's groups are convolved with the filters' groups each: as groups of channels of a smaller batch.
        x = np.moveaxis(x.reshape(batch_group_count, -1, *x.shape[1:]), 0, 1)
        x = x.reshape(x.shape[0], -1, *x.shape[3:])
    view = windows(x, (1, 1, *w.shape[2:]), (1, 1, *window_strides), (1, 1, *rhs_dilation))
    view = view.reshape(*view.shape[: 2 + spatial], *w.shape[2:])
    n, channels, *out = view.shape[: 2 + spatial]
    inner = (channels // groups) * math.prod(w.shape[2:])
    # (batch, group, places, channels and offsets) x (group, channels and offsets, filters)
    left = view.reshape(n, groups, channels // groups, *view.shape[2:])
    left = np.moveaxis(left, 2, 2 + spatial).reshape(n, groups, math.prod(out), inner)
    right = np.swapaxes(w.reshape(groups, w.shape[0] // groups, inner), 1, 2)
    made = np.swapaxes(np.matmul(left, right), 2, 3).reshape(n, w.shape[0], *out)
    return np.transpose(made, np.argsort(d.out_spec))


def _axes(n: int) -> tuple[int, ...]:
    return tuple(range(n, 2 * n))


def _reduction(reduce: Callable[..., Any], fill: Callable[[np.dtype], Any]) -> Callable[..., Any]:
    def run(
        x: Any, *, window_dimensions: Any, window_strides: Any, padding: Any, base_dilation: Any = None, window_dilation: Any = None, **params: Any
    ) -> Any:
        x = np.asarray(x)
        ones = (1,) * x.ndim
        x = padded(x, padding, base_dilation or ones, fill(x.dtype))
        return reduce(wide(windows(x, window_dimensions, window_strides, window_dilation or ones)), axis=_axes(x.ndim))

    return run


RULES.update(
    reduce_window_sum=_reduction(np.sum, lambda kind: 0), reduce_window_max=_reduction(np.max, least), reduce_window_min=_reduction(np.min, greatest)
)


def _chosen(x: np.ndarray, select: Any, sizes: Any, strides: Any, padding: Any) -> tuple[np.ndarray, np.ndarray]:
    """(padded operand, flat position in it of each window's choice: the first of the greatest, or least)."""
    largest = "ge" in str(select)
    x = padded(x, padding, (1,) * x.ndim, least(x.dtype) if largest else greatest(x.dtype))
    places = np.arange(x.size).reshape(x.shape)
    n, ones = x.ndim, (1,) * x.ndim
    view, where = (windows(a, sizes, strides, ones) for a in (x, places))
    flat = view.reshape(*view.shape[:n], -1)
    best = (np.argmax if largest else np.argmin)(flat, axis=-1)
    return x, np.take_along_axis(where.reshape(flat.shape), best[..., None], -1)[..., 0]


def _unpadded(x: np.ndarray, padding: Any) -> np.ndarray:
    return x[tuple(slice(low, n - high) for (low, high), n in zip(padding, x.shape, strict=True))]


@rule("select_and_scatter_add")
def _select_and_scatter_add(source: Any, operand: Any, *, select_prim: Any, window_dimensions: Any, window_strides: Any, padding: Any, **params: Any) -> Any:
    x, at = _chosen(np.asarray(operand), select_prim, window_dimensions, window_strides, padding)
    out = np.zeros(x.size, wide(source).dtype)
    np.add.at(out, at.reshape(-1), wide(source).reshape(-1))
    return _unpadded(out.reshape(x.shape), padding)


@rule("select_and_gather_add")
def _select_and_gather_add(tangents: Any, operand: Any, *, select_prim: Any, window_dimensions: Any, window_strides: Any, padding: Any, **params: Any) -> Any:
    _, at = _chosen(np.asarray(operand), select_prim, window_dimensions, window_strides, padding)
    return padded(np.asarray(tangents), padding, (1,) * np.ndim(tangents), 0).reshape(-1)[at]
