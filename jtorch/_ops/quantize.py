"""Quantisation simulated in floats: values rounded to the integers that they would be stored as."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jtorch._registry import op

from ._lib import accumulate_in


@jax.custom_jvp
def _fake(x: Any, scale: Any, zero: Any, low: Any, high: Any) -> Any:
    # As the kernels do: by the inverse of the scale, rounded half to even, then clamped.
    return (jnp.clip(jnp.round(x * (1 / scale) + zero), low, high) - zero) * scale


@_fake.defjvp
def _rule(primals: Any, tangents: Any) -> Any:
    # Straight through, but where the value was clamped.
    x, scale, zero, low, high = primals
    q = jnp.round(x * (1 / scale) + zero)
    return _fake(*primals), jnp.where((q >= low) & (q <= high), tangents[0], jnp.zeros((), x.dtype))


def _run(input: Any, scale: Any, zero: Any, low: int, high: int) -> Any:
    x = accumulate_in(input)
    scale, zero = (jax.lax.stop_gradient(jnp.asarray(v).astype(x.dtype)) for v in (scale, zero))
    return _fake(x, scale, zero, jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype)).astype(input.dtype)


def _check(low: int, high: int, zero: Any = None) -> None:
    if low > high:
        raise RuntimeError("`quant_min` should be less than or         equal to `quant_max`.")
    if isinstance(zero, int) and not low <= zero <= high:
        raise RuntimeError("`zero_point` must be between `quant_min` and `quant_max`.")


@op(
    "fake_quantize_per_tensor_affine(Tensor input, float scale, int zero_point, int quant_min, int quant_max)",
    "fake_quantize_per_tensor_affine(Tensor input, Tensor scale, Tensor zero_point, int quant_min, int quant_max)",
    where="torch", out=False, grad_name="FakeQuantizePerTensorAffineCachemaskBackward0",
)  # fmt: skip
def fake_quantize_per_tensor_affine(input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int) -> Any:
    """``input`` rounded to multiples of ``scale`` whose integers, shifted by ``zero_point``, fit between the two bounds."""
    _check(quant_min, quant_max, zero_point)
    return _run(input, scale, zero_point, quant_min, quant_max)


@op(
    "fake_quantize_per_channel_affine(Tensor input, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max)",
    where="torch", out=False, grad_name="FakeQuantizePerChannelAffineCachemaskBackward0",
)  # fmt: skip
def fake_quantize_per_channel_affine(input: Any, scale: Any, zero_point: Any, axis: int, quant_min: int, quant_max: int) -> Any:
    """As ``fake_quantize_per_tensor_affine``, with a scale and a zero point for each index of ``axis``."""
    _check(quant_min, quant_max)
    if scale.ndim != 1 or zero_point.ndim != 1:
        raise RuntimeError("scale should be a 1-D tensor" if scale.ndim != 1 else "zero point should be a 1-D tensor")
    if scale.shape != zero_point.shape:
        raise RuntimeError("scale and zero-point need to have the same dimensions")
    if not 0 <= axis < max(input.ndim, 1):
        raise RuntimeError("`axis` must be between 0 and number of dimensions of input")
    if scale.shape[0] != input.shape[axis]:
        raise RuntimeError("dimensions of scale and zero-point are not consistent with input tensor")
    at = tuple(-1 if d == axis else 1 for d in range(input.ndim))
    return _run(input, scale.reshape(at), zero_point.reshape(at), quant_min, quant_max)
