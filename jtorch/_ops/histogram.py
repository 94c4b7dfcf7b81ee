"""Counting: histograms, bincount, and the search for bins."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._dtypes import C_NAMES
from jtorch._ops import _guards, _value_guards
from jtorch._ops._lib import dtype_of
from jtorch._ops._pointwise import is_half, refuse
from jtorch._ops._reduce import insertion_points
from jtorch._registry import op


def _positions(values: Any, low: Any, high: Any, bins: int) -> Any:
    """The bin of each value in [low, high], ``bins`` for those outside; the last bin holds its right edge."""
    place = ((values - low) * bins / (high - low)).astype(np.int64)
    inside = (values >= low) & (values <= high)
    return jnp.where(inside, jnp.clip(place, 0, bins - 1), bins)


def _counted(place: Any, weights: Any, bins: int, kind: Any) -> Any:
    """How much falls in each bin; one bin more takes what falls in none."""
    add = jnp.ones(place.shape, kind) if weights is None else weights.astype(kind)
    return jnp.zeros(bins + 1, kind).at[place].add(add)[:bins]


@op("histc(Tensor input, int bins=100, Number min=0, Number max=0)", guard=_value_guards.counted, grad_name="none")
def histc(input: Any, bins: int, min: Any, max: Any) -> Any:
    """Counts in equal bins between min and max (the data's own when both are equal), as the input's type."""
    refuse("linspace_cpu", input, "b")
    refuse("histogram_cpu", input, "ic")
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if not (math.isfinite(min) and math.isfinite(max)):
        raise RuntimeError(f"torch.histc: range of [{min:g}, {max:g}] is not finite")
    if min > max:
        raise RuntimeError("torch.histc: max must be larger than min")
    x = input.reshape(-1)
    x = x.astype(np.float32) if is_half(x) else x
    low, high = (jnp.asarray(np.asarray(v, x.dtype)) for v in (min, max))
    if min == max and x.size:
        low, high = jnp.min(x), jnp.max(x)
    one = jnp.ones_like(low)
    low, high = jnp.where(low == high, low - one, low), jnp.where(low == high, high + one, high)
    return _counted(_positions(x, low, high, bins), None, bins, x.dtype).astype(input.dtype)


def _bincount(input: Any, weights: Any, minlength: int) -> Any:
    """Host arrays in and out."""
    kind = dtype_of(input)
    refuse("bincount_cpu", input, "bhfc")
    if input.ndim != 1 or (input.size and kind.category == 1 and input.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if weights is None:
        return np.bincount(input.astype(np.int64), minlength=minlength).astype(np.int64)
    out = np.bincount(input.astype(np.int64), weights.astype(np.float64), minlength)
    return out.astype(np.float32 if weights.dtype == np.float32 else np.float64)


@op("bincount(Tensor input, Tensor? weights=None, int minlength=0)", data_dependent=True, out=False, grad_name="torch::autograd::NotImplemented")
def bincount(input: Any, weights: Any, minlength: int) -> Any:
    """How often each value occurs, or the sums of its weights."""
    return _bincount(np.asarray(input), None if weights is None else np.asarray(weights), minlength)


def _search(rows: Any, values: Any, right: bool) -> Any:
    if not isinstance(rows.shape[0], int):
        return insertion_points(rows, values, right)
    rows = lax.optimization_barrier(rows)  # XLA would compute them once more for each halving, and those of the halvings before it (lanes of 4 edges: 138 s to compile)
    return jnp.searchsorted(rows, values, side="right" if right else "left", method="scan_unrolled")


def _find(sequence: Any, values: Any, out_int32: bool, right: bool, sorter: Any) -> Any:
    """Insertion points along the last dim; a 1-dim sequence serves values of any shape."""
    kind = np.int32 if out_int32 else np.int64
    if sorter is not None:
        sequence = jnp.take_along_axis(sequence, sorter, -1)
    if sequence.dtype != values.dtype:
        common = np.result_type(np.float64) if _mixed(sequence, values) else np.int64
        sequence, values = sequence.astype(common), values.astype(common)
    if sequence.shape[-1] == 0 or values.size == 0:
        return jnp.zeros(values.shape, kind)
    if sequence.ndim == 1:
        return _search(sequence, values, right).astype(kind)
    rows, wanted = sequence.reshape(-1, sequence.shape[-1]), values.reshape(-1, values.shape[-1])
    found = jax.vmap(lambda r, v: _search(r, v, right))(rows, wanted)
    return found.reshape(values.shape).astype(kind)


def _mixed(a: Any, b: Any) -> bool:
    return jnp.issubdtype(a.dtype, jnp.floating) or jnp.issubdtype(b.dtype, jnp.floating)


def _check_search(sequence: Any, values: Any, right: bool, side: str | None, sorter: Any) -> bool:
    name = "torch.searchsorted():"
    if side is not None:
        if side not in ("left", "right"):
            raise RuntimeError(f"{name} side can only be 'left' or 'right' but got {side}")
        if right and side == "left":
            raise RuntimeError(f"{name} side and right can't be set to opposites, got side of left while right was True")
        right = right or side == "right"
    if values.ndim == 0 and sequence.ndim != 1:
        raise RuntimeError(
            f"{name} input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor "
            f"dim({sequence.ndim}) and input value's dim(0) numel(1)"
        )
    if sequence.ndim != 1 and sequence.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            f"{name} boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must "
            f"match, but we got boundaries tensor {list(sequence.shape)} and input value tensor {list(values.shape)}"
        )
    if sorter is not None:
        if sorter.shape != sequence.shape:
            raise RuntimeError(
                f"{name} boundary and sorter must have the same size, but got boundary tensor {list(sequence.shape)}"
                f"and got sorter tensor {list(sorter.shape)}"
            )
        if sorter.dtype != np.int64:
            raise RuntimeError(f"{name} sorter must be a tensor of long dtype but got dtype {dtype_of(sorter).legacy}")
    _check_common(sequence, values)
    return right


def _check_common(sequence: Any, values: Any) -> None:
    """Both are brought to one type, for which there must be a kernel."""
    for x in (sequence, values):
        refuse("searchsorted_out_cpu", x, "b" if sequence.dtype == values.dtype else "")
        refuse("searchsorted_out_cpu", x, "c")


_OPTIONS = "*, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None)"


@op("searchsorted(Tensor sorted_sequence, Tensor input, " + _OPTIONS, where="torch", guard=_guards.sorters)
def searchsorted(sorted_sequence: Any, input: Any, out_int32: bool, right: bool, side: str | None, sorter: Any) -> Any:
    """Where each value would be inserted to keep the innermost dim sorted: before equal ones, or after with ``right``."""
    right = _check_search(sorted_sequence, input, right, side, sorter)
    return _find(sorted_sequence, input, out_int32, right, sorter)


@op("searchsorted(Tensor sorted_sequence, Scalar self, " + _OPTIONS, where="torch", guard=_guards.sorters)
def searchsorted_number(sorted_sequence: Any, self: Any, out_int32: bool, right: bool, side: str | None, sorter: Any) -> Any:
    """Where a number would be inserted."""
    value = _as_array(self)
    right = _check_search(sorted_sequence, value, right, side, sorter)
    return _find(sorted_sequence, value, out_int32, right, sorter)


def _as_array(number: Any) -> Any:
    if isinstance(number, (bool, int, float)):
        return jnp.asarray(np.asarray(number, _dtypes.of_python(type(number)).np))
    return number


@op("bucketize(Tensor input, Tensor boundaries, *, bool out_int32=False, bool right=False)", where="torch")
def bucketize(input: Any, boundaries: Any, out_int32: bool, right: bool) -> Any:
    """The bucket of each value among sorted 1-dim boundaries."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    _check_common(boundaries, input)
    return _find(boundaries, input, out_int32, right, None)


@op("bucketize(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False)", where="torch", out=False)
def bucketize_number(self: Any, boundaries: Any, out_int32: bool, right: bool) -> Any:
    """The bucket of a number among sorted 1-dim boundaries."""
    return bucketize.fn(_as_array(self), boundaries, out_int32, right)


def histogram_grid(points: Any, edges: list[Any], weight: Any, density: bool) -> Any:
    """The D-dim histogram of (N, D) points over D lists of edges, the last edge of each inclusive."""
    if not edges:
        return jnp.full((), np.nan if density else 0, points.dtype)  # no point falls anywhere
    place = jnp.zeros(points.shape[0], np.int64)
    outside = jnp.zeros(points.shape[0], bool)
    shape = tuple(e.shape[0] - 1 for e in edges)
    for d, e in enumerate(edges):
        x = points[:, d]
        bins = e.shape[0] - 1
        at = _search(e, x, True).astype(np.int64) - 1
        at = jnp.where(x == e[-1], bins - 1, at)
        outside |= ~((x >= e[0]) & (x <= e[-1]))
        place = place * bins + jnp.clip(at, 0, bins - 1)
    total = int(np.prod(shape))
    hist = _counted(jnp.where(outside, total, place), None if weight is None else weight.reshape(-1), total, points.dtype)
    hist = hist.reshape(shape)
    if density:
        hist = hist / jnp.sum(hist)
        for d, e in enumerate(edges):
            hist = hist / jnp.diff(e).reshape([-1 if i == d else 1 for i in range(len(edges))])
    return hist


def even_edges(points: Any, bins: tuple[int, ...], range: tuple[float, ...] | None) -> list[Any]:
    """Equal bins over the given or the data's own range in each of D dims."""
    edges = []
    if range is None:
        refuse("histogramdd", points, "bihc")
    else:
        _check_range(len(bins), range)
    for d, n in enumerate(bins):
        if n < -1:
            raise RuntimeError("number of steps must be non-negative")
        if range is not None:
            # numbers, not an array of two: literals may change
            low, high = (jnp.asarray(np.asarray(v, points.dtype)) for v in range[2 * d : 2 * d + 2])
        elif points.shape[0] == 0:
            low, high = (jnp.asarray(np.asarray(v, points.dtype)) for v in (0, 1))
        else:
            low, high = jnp.min(points[:, d]), jnp.max(points[:, d])
        same = low == high
        half = np.asarray(0.5, points.dtype)
        low, high = jnp.where(same, low - half, low), jnp.where(same, high + half, high)
        step = (high - low) / np.asarray(n or 1, points.dtype)
        i = np.arange(n + 1)
        # From both ends, as linspace does, so that the last edge is exact.
        front = low + step * i.astype(points.dtype)
        back = high - step * (n - i).astype(points.dtype)
        edges.append(jnp.where(i < (n + 1) // 2, front, back).astype(points.dtype))
    return edges


def _check_range(dims: int, range: tuple[float, ...]) -> None:
    """RuntimeError unless ``range`` is a low and a high for each dim."""
    if len(range) != 2 * dims:
        raise RuntimeError(f"torch.histogramdd: for a {dims}-dimensional histogram range should have {2 * dims} elements, but got {len(range)}")
    for d, (low, high) in enumerate(zip(range[::2], range[1::2], strict=True)):
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RuntimeError(f"torch.histogramdd: dimension {d}'s range [{low:g}, {high:g}] is not finite")
        if low > high:
            raise RuntimeError(f"torch.histogramdd: min should not exceed max, but got min {low:g} max {high:g} for dimension {d}")


def _check_histogram(input: Any, edges: list[Any], weight: Any) -> None:
    """What torch asks of (..., D) points, of D lists of edges and of (...) weights."""
    for d, e in enumerate(edges):
        if e.dtype != input.dtype:
            raise RuntimeError(
                f"torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with dtype {_c_name(input)} "
                f"and bins for dimension {d} with dtype {_c_name(e)}"
            )
        if e.ndim != 1:
            raise RuntimeError(f"torch.histogramdd: bins tensor should have one dimension, but got {e.ndim} dimensions in the bins tensor for dimension {d}")
        if e.shape[0] == 0:
            raise RuntimeError(f"torch.histogramdd: bins tensor should have at least 1 element, but got 0 elements in the bins tensor for dimension {d}")
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided, input tensor and weight tensor should have the same dtype, "
            f"but got input({_c_name(input)}), and weight({_c_name(weight)})"
        )
    if weight is not None and weight.shape != input.shape[:-1]:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor excluding its innermost dimension, "
            f"but got input with shape {list(input.shape)} and weight with shape {list(weight.shape)}"
        )
    for d, e in enumerate(edges):
        if e.shape[0] == 1:
            raise RuntimeError(f"torch.histogram(): bins must be > 0, but got 0 for dimension {d}")
    refuse("histogram_cpu", input, "bic")


def _c_name(x: Any) -> str:
    return C_NAMES[dtype_of(x).name]


def _points(input: Any) -> Any:
    """(N, D) of (..., D), where D may be 0."""
    return input.reshape(math.prod(input.shape[:-1]), input.shape[-1])


def _flat_histogram(input: Any, edges: Any, weight: Any, density: bool) -> Any:
    points, weight = input.reshape(-1, 1), None if weight is None else weight.reshape(-1)
    _check_histogram(points, [edges], weight)
    return histogram_grid(points, [edges], weight, density)


@op("histogram(Tensor input, Tensor bins, *, Tensor? weight=None, bool density=False) -> (hist, bin_edges)",
    grad_name="torch::autograd::NotImplemented")  # fmt: skip
def histogram(input: Any, bins: Any, weight: Any, density: bool) -> Any:
    """Counts (or sums of weights, or densities) between given edges."""
    return _flat_histogram(input, bins, weight, density), bins


@op("histogram(Tensor input, int bins=100, *, float[]? range=None, Tensor? weight=None, bool density=False) -> (hist, bin_edges)",
    guard=_value_guards.binned, grad_name="torch::autograd::NotImplemented")  # fmt: skip
def histogram_even(input: Any, bins: int, range: Any, weight: Any, density: bool) -> Any:
    """Counts in equal bins over a range (by default the data's)."""
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    (edges,) = even_edges(input.reshape(-1, 1), (bins,), range)
    return _flat_histogram(input, edges, weight, density), edges


@op("_histogramdd_even(Tensor input, int[] bins, float[]? range=None, Tensor? weight=None, bool density=False)", where="internal",
    guard=_value_guards.binned, grad_name="torch::autograd::NotImplemented")  # fmt: skip
def histogramdd_even(input: Any, bins: Any, range: Any, weight: Any, density: bool) -> Any:
    """(histogram, edges of dim 0, edges of dim 1, ...) in equal bins."""
    points = _points(input)
    edges = even_edges(points, bins, range)
    _check_histogram(input, edges, weight)
    return (histogram_grid(points, edges, weight, density), *edges)


@op("_histogramdd_edges(Tensor input, Tensor[] bins, Tensor? weight=None, bool density=False)", where="internal", grad_name="torch::autograd::NotImplemented")
def histogramdd_edges(input: Any, bins: Any, weight: Any, density: bool) -> Any:
    """The histogram between given edges."""
    _check_histogram(input, list(bins), weight)
    return histogram_grid(_points(input), list(bins), weight, density)
