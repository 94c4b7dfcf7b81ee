"""Padding: by a constant, by reflection, by the edge, round a circle. Negative padding crops. Built from slices, so the gradients are slices too."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from jtorch._registry import op

from ._fitting import written_value
from ._lib import num
from ._pointwise import refuse


def _check(pad: tuple[int, ...], ndim: int) -> None:
    if len(pad) % 2:
        raise RuntimeError("Length of pad must be even but instead it equals " + str(len(pad)))
    if len(pad) > 2 * ndim:
        raise RuntimeError(
            f"Length of pad should be no more than twice the number of dimensions of the input. Pad length is {len(pad)} while the input has {ndim} dimensions."
        )


@op("constant_pad_nd(Tensor input, int[] pad, Scalar value=0)", format="first", where="torch", out=False, guard=written_value)
def constant_pad_nd(input: Any, pad: tuple[int, ...], value: Any) -> Any:
    """``pad`` is (left, right) of the last dim, then of the one before, and so on."""
    _check(pad, input.ndim)
    config = [(0, 0, 0)] * input.ndim
    for k in range(len(pad) // 2):
        d, low, high = input.ndim - 1 - k, pad[2 * k], pad[2 * k + 1]
        if input.shape[d] + min(low, 0) + min(high, 0) < 0:
            raise RuntimeError("narrow(): length must be non-negative.")
        config[d] = (low, high, 0)
    return lax.pad(input, num(value, input), config)


def _part(x: Any, dim: int, start: int, stop: int) -> Any:
    return lax.slice_in_dim(x, start, stop, axis=dim)


def _crop(x: Any, dim: int, low: int, high: int) -> Any:
    """What negative padding takes away."""
    return _part(x, dim, max(-low, 0), x.shape[dim] - max(-high, 0)) if low < 0 or high < 0 else x


def _reflected(x: Any, dim: int, low: int, high: int) -> Any:
    n, parts = x.shape[dim], [x]
    if low > 0:
        parts.insert(0, lax.rev(_part(x, dim, 1, low + 1), (dim,)))
    if high > 0:
        parts.append(lax.rev(_part(x, dim, n - 1 - high, n - 1), (dim,)))
    # negative sides are cut last: the other side still reads the whole input
    return _crop(lax.concatenate(parts, dim) if len(parts) > 1 else x, dim, low, high)


def _replicated(x: Any, dim: int, low: int, high: int) -> Any:
    n, parts = x.shape[dim], [x]

    def edge(at: int, count: int) -> Any:
        return jnp.broadcast_to(_part(x, dim, at, at + 1), (*x.shape[:dim], count, *x.shape[dim + 1 :]))

    if low > 0:
        parts.insert(0, edge(0, low))
    if high > 0:
        parts.append(edge(n - 1, high))
    # negative sides are cut last: the other side still reads the whole input
    return _crop(lax.concatenate(parts, dim) if len(parts) > 1 else x, dim, low, high)


def _circular(x: Any, dim: int, low: int, high: int) -> Any:
    x = _crop(x, dim, low, high)  # it wraps what is left
    n, parts = x.shape[dim], [x]
    if low > 0:
        parts.insert(0, _part(x, dim, n - low, n))
    if high > 0:
        parts.append(_part(x, dim, 0, high))
    return lax.concatenate(parts, dim) if len(parts) > 1 else parts[0]


def _each_dim(input: Any, pad: tuple[int, ...], step: Any) -> Any:
    for k in range(len(pad) // 2):
        low, high = pad[2 * k], pad[2 * k + 1]
        if low or high:
            input = step(input, input.ndim - 1 - k, low, high)
    return input


def _check_reflect(input: Any, pad: tuple[int, ...]) -> None:
    n = len(pad) // 2
    shape = list(input.shape)
    sizes = {1: "2D or 3D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input",
             2: "3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input",
             3: "4D or 5D tensor with possibly 0 batch size and other non-zero dimensions for input"}[n]  # fmt: skip
    if input.ndim not in (n + 1, n + 2) or 0 in input.shape[1 if input.ndim == n + 2 else 0 :]:
        raise RuntimeError(f"Expected {sizes}, but got: {shape}")
    for k in range(n):
        d, low, high = input.ndim - 1 - k, pad[2 * k], pad[2 * k + 1]
        if low >= input.shape[d] or high >= input.shape[d]:
            raise RuntimeError(
                f"Argument #{4 + 2 * k}: Padding size should be less than the corresponding input dimension, but got: "
                f"padding ({low}, {high}) at dimension {d} of input {shape}"
            )


def _check_size(input: Any, pad: tuple[int, ...]) -> None:
    for k in range(len(pad) // 2):
        d = input.ndim - 1 - k
        if input.shape[d] + pad[2 * k] + pad[2 * k + 1] < 1:
            out = [input.shape[i] for i in range(input.ndim)]
            out[d] += pad[2 * k] + pad[2 * k + 1]
            raise RuntimeError(f"input (shape: {list(input.shape)}) is too small. Calculated output shape: {out}")


def _reflection(input: Any, padding: tuple[int, ...]) -> Any:
    _check_reflect(input, padding)
    _check_size(input, padding)
    refuse(f"reflection_pad{len(padding) // 2}d", input, "b")
    return _each_dim(input, padding, _reflected)


def _replication(input: Any, padding: tuple[int, ...]) -> Any:
    _check_size(input, padding)
    if 0 in input.shape[-(len(padding) // 2) - 1 :]:
        raise RuntimeError(f"Expected {len(padding) // 2 + 1}D or {len(padding) // 2 + 2}D tensor for input with non-zero dimensions, but got: {list(input.shape)}")
    refuse(f"replication_pad{len(padding) // 2}d", input, "b")
    return _each_dim(input, padding, _replicated)


for _n in (1, 2, 3):
    _OPTIONS = {"where": "internal", "out": False, "format": "first", "second": "zeros", "kept": "input"}
    op(f"reflection_pad{_n}d(Tensor input, int[] padding)", grad_name=f"ReflectionPad{_n}DBackward0", **_OPTIONS)(_reflection)
    op(f"replication_pad{_n}d(Tensor input, int[] padding)", grad_name=f"ReplicationPad{_n}DBackward0", **_OPTIONS)(_replication)


@op("circular_pad(Tensor input, int[] padding)", where="internal", out=False, grad_name="CopySlices")
def circular_pad(input: Any, padding: tuple[int, ...]) -> Any:
    """The other end's elements on each side."""
    for k in range(len(padding) // 2):
        d, low, high = input.ndim - 1 - k, padding[2 * k], padding[2 * k + 1]
        if low > input.shape[d] or high > input.shape[d]:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if input.shape[d] + low + high < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")
    return _each_dim(input, padding, _circular)
