"""Pooling whose windows are not regular: adaptive and fractional maxima, and the inverse of max pooling."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from . import _guards
from ._lib import dtype_of, library, place_type, positions, size_as
from ._nn import floats_only, shape_text
from .nn_pool_avg import adaptive_bounds
from .nn_pool_max import lowest


@jax.custom_jvp
def _take_flat(x: Any, index: Any) -> Any:
    return jnp.take_along_axis(x, index, -1)


@_take_flat.defjvp
def _take_flat_jvp(primals: Any, tangents: Any) -> Any:
    (x, index), (t, _) = primals, tangents
    return _take_flat(x, index), jnp.take_along_axis(t, index, -1)


def _argmax_windows(x: Any, rows: list[Any], inside: list[Any]) -> tuple[Any, Any]:
    """``(maxima, flat indices)`` where window i of spatial dim d reads ``rows[d][i]`` (with ``inside[d]`` telling which are real).

    ``rows[d]`` is (out, k), or (N, C, out, k) where windows differ by channel.
    """
    n = len(rows)
    lead, spatial = x.shape[: x.ndim - n], x.shape[x.ndim - n :]
    flat_x = x.reshape(*lead, -1)
    kind = place_type(*spatial, flat_x.shape[-1])
    index, alive = np.zeros((), kind), np.ones((), bool)
    # build (.., out0, .., k0, ..): outs first, then offsets, in row-major order
    for d in range(n):
        r = rows[d]
        shape = [*r.shape[:-2], *(r.shape[-2] if i == d else 1 for i in range(n)), *(r.shape[-1] if i == d else 1 for i in range(n))]
        step = math.prod(spatial[d + 1 :])
        index = index + r.reshape(shape).astype(kind) * size_as(step, kind)
        alive = alive & inside[d].reshape(shape if inside[d].ndim > 2 else shape[len(shape) - 2 * n :])
    outs, offsets = index.shape[-2 * n : -n], index.shape[-n:]
    index = jnp.broadcast_to(index, (*index.shape[: -2 * n], *outs, *offsets)).reshape(
        *index.shape[: -2 * n], math.prod(outs), math.prod(offsets)
    )
    alive = jnp.broadcast_to(alive, (*alive.shape[: alive.ndim - 2 * n], *outs, *offsets)).reshape(
        *alive.shape[: alive.ndim - 2 * n], math.prod(outs), math.prod(offsets)
    )
    index = jnp.broadcast_to(index, (*lead, *index.shape[-2:]))
    seen = jnp.take_along_axis(lax.stop_gradient(flat_x)[..., None, :], index, -1)
    seen = jnp.where(alive, seen, lowest(x))
    best = jnp.argmax(seen, -1)[..., None]
    chosen = jnp.take_along_axis(index, best, -1)[..., 0]
    maxima = _take_flat(flat_x, chosen)
    return maxima.reshape(*lead, *outs), chosen.reshape(*lead, *outs).astype(np.int64)


def _adaptive_max(n: int, input: Any, output_size: Any) -> tuple[Any, Any]:
    name = f"adaptive_max_pool{n}d"
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got: {shape_text(input.shape)}")
    for i in range(1, input.ndim):
        if input.shape[i] == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                f"{shape_text(input.shape)} with dimension {i} being empty"
            )
    if len(output_size) != n:
        raise RuntimeError(
            "'output_size' should contain one int" if n == 1 else f"{name}(): internal error: output_size.size() must be {n}"
        )
    if any(s < 0 for s in output_size):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(output_size)}: {shape_text((*input.shape[:-n], *output_size))}"
        )
    floats_only("adaptive_max_pool2d" if n < 3 else "adaptive_max_pool3d_cpu", input)
    rows, inside = [], []
    for size, out in zip(input.shape[-n:], output_size, strict=True):
        start, end = adaptive_bounds(size, out)
        xp = library(size, out)
        k: Any = int((end - start).max()) if xp is np and out else 1 if xp is np else size if out == 1 else (size + out - 2) // out + 1
        at = start[:, None] + positions(k)
        rows.append(xp.minimum(at, size_as(size - 1, np.int64)))
        inside.append(at < end[:, None])
    if any(s == 0 for s in output_size) or input.size == 0:
        shape = (*input.shape[:-n], *output_size)
        return jnp.zeros(shape, input.dtype), jnp.zeros(shape, np.int64)
    return _argmax_windows(input, rows, inside)


@op("adaptive_max_pool1d(Tensor input, int[1] output_size)", where="torch", out=False, grad_name="SqueezeBackward1", second="zeros", kept="result1")
def adaptive_max_pool1d(input, output_size):
    """``(maxima, indices)`` of ``output_size`` windows that cover (N, C, L) or (C, L)."""
    return _adaptive_max(1, input, output_size)


@op("adaptive_max_pool2d(Tensor input, int[2] output_size)", format="first", where="_nn", grad_name="AdaptiveMaxPool2DBackward0", second="zeros", kept="result1")
def adaptive_max_pool2d(input, output_size):
    """``(maxima, indices)`` of windows that cover (N, C, H, W) or (C, H, W)."""
    return _adaptive_max(2, input, output_size)


@op("adaptive_max_pool3d(Tensor input, int[3] output_size)", where="_nn", grad_name="AdaptiveMaxPool3DBackward0", second="zeros", kept="result1")
def adaptive_max_pool3d(input, output_size):
    """``(maxima, indices)`` of windows that cover (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_max(3, input, output_size)


def _fractional(n: int, input: Any, kernel: Any, output_size: Any, samples: Any) -> tuple[Any, Any]:
    name = f"fractional_max_pool{n}d"
    if input.ndim not in (n + 1, n + 2) or 0 in input.shape[-n:]:
        raise RuntimeError(f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got: {shape_text(input.shape)}")
    kernel = kernel * n if len(kernel) == 1 else kernel
    output_size = output_size * n if len(output_size) == 1 else output_size
    spatial = input.shape[-n:]
    for axis, (size, k, out) in enumerate(zip(spatial, kernel, output_size, strict=True)):
        if out + k - 1 > size - (n == 3):
            word = ("time", "height", "width")[axis + 3 - n]
            raise RuntimeError(f"{name}{'_out' if n == 3 else ''}(): pool {word} {k} too large relative to input {word} {size}")
    if samples.dtype != input.dtype:
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    floats_only(f"{name}_out_frame", input)
    lead = input.shape[:-n]
    if input.size == 0:
        return jnp.zeros((*lead, *output_size), input.dtype), jnp.zeros((*lead, *output_size), np.int64)
    u = samples.reshape(*(lead if len(lead) == 2 else (1, *lead)), n)[(slice(None),) * 2]
    rows, inside = [], []
    for d, (size, k, out) in enumerate(zip(spatial, kernel, output_size, strict=True)):
        # torch orders the samples of a 2-d window width first; those of a 3-d window in the order of the dims
        sample = u[..., n - 1 - d] if n == 2 else u[..., d]
        if out > 1:
            alpha = np.asarray((size - k) / (out - 1)).astype(input.dtype)[()]
            i = np.arange(out).astype(input.dtype)
            shift = (sample * alpha).astype(np.int32)[..., None]  # towards zero, as C does
            start = ((i + sample[..., None]) * alpha).astype(np.int32) - shift
            start = jnp.where(np.arange(out) == out - 1, np.int32(size - k), start)
        else:
            start = jnp.full((*sample.shape, 1), size - k, np.int32)
        at = start[..., None] + np.arange(k, dtype=np.int32)
        rows.append(at.reshape(*lead, out, k))
        inside.append(np.ones((out, k), bool))
    return _argmax_windows(input, rows, inside)


@op(
    "fractional_max_pool2d(Tensor input, int[2] kernel_size, int[2] output_size, Tensor random_samples)",
    where="_nn", grad_name="FractionalMaxPool2DBackward0", second="zeros",
)  # fmt: skip
def fractional_max_pool2d(input, kernel_size, output_size, random_samples):
    """``(maxima, indices)`` of windows whose places are drawn: ``random_samples`` is (N, C, 2)."""
    return _fractional(2, input, kernel_size, output_size, random_samples)


@op(
    "fractional_max_pool3d(Tensor input, int[3] kernel_size, int[3] output_size, Tensor random_samples)",
    where="_nn", grad_name="FractionalMaxPool3DBackward0", second="zeros",
)  # fmt: skip
def fractional_max_pool3d(input, kernel_size, output_size, random_samples):
    """``(maxima, indices)`` of windows whose places are drawn: ``random_samples`` is (N, C, 3)."""
    return _fractional(3, input, kernel_size, output_size, random_samples)


def _unpool(n: int, input: Any, indices: Any, output_size: Any) -> Any:
    if indices.dtype != np.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {dtype_of(indices).legacy}")
    if indices.shape != input.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({shape_text(input.shape)}) but got indices tensor "
            f"with shape: {shape_text(indices.shape)}"
        )
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"Input to max_unpooling{n}d should be a {n + 1}d or {n + 2}d Tensor, but got a tensor with {input.ndim} dimensions.")
    if len(output_size) != n:
        words = {2: "two elements (height, width)", 3: "three elements (depth, height, width)"}[n]
        raise RuntimeError(f"There should be exactly {words} in output_size, but got {len(output_size)} elements.")
    for d in range(1, input.ndim):
        if input.shape[d] == 0:
            raise RuntimeError(
                f"max_unpooling{n}d_forward_out_cpu(): Expected input to have non-zero size for non-batch dimensions, but got "
                f"{list(input.shape)} with dimension {d} being empty."
            )
    floats_only(f"max_unpool{n}d", input)
    lead = input.shape[:-n]
    rows, size, seen = math.prod(lead), math.prod(output_size), math.prod(input.shape[-n:])
    kind = place_type(rows, size)
    at = indices.reshape(rows, seen).astype(kind)
    row = positions(rows, kind)[:, None]
    out = jnp.zeros((rows, size), input.dtype)
    # told unique: where indices repeat, torch's gradient too reads the output at each of them
    out = out.at[row, at].set(input.reshape(rows, seen), unique_indices=True, mode="drop")
    return out.reshape(*lead, *output_size)


@op("max_unpool2d(Tensor input, Tensor indices, int[2] output_size)", where="_nn", grad_name="MaxUnpool2DBackward0", guard=_guards.planes)
def max_unpool2d(input, indices, output_size):
    """Zeros of the given size with ``input`` at ``indices`` of the flattened plane."""
    return _unpool(2, input, indices, output_size)


@op(
    "max_unpool3d(Tensor input, Tensor indices, int[3] output_size, int[3] stride, int[3] padding)",
    where="_nn", grad_name="MaxUnpool3DBackward0", guard=_guards.planes,
)  # fmt: skip
def max_unpool3d(input, indices, output_size, stride, padding):
    """Zeros of the given size with ``input`` at ``indices`` of the flattened volume."""
    if min(stride) <= 0:
        raise RuntimeError(f"strides should be greater than zero, but got stride: {list(stride)}")
    return _unpool(3, input, indices, output_size)
