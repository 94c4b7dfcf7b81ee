"""Quantisation simulated in floats: values rounded to the integers that they would be stored as."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jtorch._registry import op

from ._lib import accumulate_in


def _integers(x: Any, scale: Any, zero: Any) -> Any:
    # As the kernels do: by the inverse of the scale, rounded half to even, and shifted then.
    q = jnp.round(x * (1 / scale))
    return jnp.where(q == 0, jnp.zeros((), q.dtype), q) + zero  # integers have no -0


def _shifted(x: Any, scale: Any, zero: Any) -> Any:
    # Zero points that are no integers are added before rounding.
    return jnp.round(x * (1 / scale) + zero)


def _faker(integers: Any) -> Any:
    @jax.custom_jvp
    def fake(x: Any, scale: Any, zero: Any, low: Any, high: Any) -> Any:
        return (jnp.clip(integers(x, scale, zero), low, high) - zero) * scale

    @fake.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        # Straight through, but where the value was clamped.
        x, scale, zero, low, high = primals
        q = integers(x, scale, zero)
        return fake(*primals), jnp.where((q >= low) & (q <= high), tangents[0], jnp.zeros((), x.dtype))

    return fake


_fake, _fake_shifted = _faker(_integers), _faker(_shifted)


def _run(input: Any, scale: Any, zero: Any, low: int, high: int) -> Any:
    x = accumulate_in(input)
    fake = _fake_shifted if hasattr(zero, "dtype") and jnp.issubdtype(zero.dtype, jnp.floating) else _fake
    scale, zero = (jax.lax.stop_gradient(jnp.asarray(v).astype(x.dtype)) for v in (scale, zero))
    return fake(x, scale, zero, jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype)).astype(input.dtype)


def _check(low: int, high: int, zero: Any = None) -> None:
    if low > high:
        raise RuntimeError("`quant_min` should be less than or         equal to `quant_max`.")
    if isinstance(zero, int) and not low <= zero <= high:
        raise RuntimeError("`zero_point` must be between `quant_min` and `quant_max`.")


@op(
    "fake_quantize_per_tensor_affine(Tensor input, float scale, int zero_point, int quant_min, int quant_max)",
    "fake_quantize_per_tensor_affine(Tensor input, Tensor scale, Tensor zero_point, int quant_min, int quant_max)",
    where="torch", out=False, grad_name="FakeQuantizePerTensorAffineCachemaskBackward0",
    fixed={"scale": "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams"},
)  # fmt: skip
def fake_quantize_per_tensor_affine(input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int) -> Any:
    """``input`` rounded to multiples of ``scale`` whose integers, shifted by ``zero_point``, fit between the two bounds."""
    _check(quant_min, quant_max, zero_point)
    return _run(input, scale, zero_point, quant_min, quant_max)


@op(
    "fake_quantize_per_channel_affine(Tensor input, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max)",
    where="torch", out=False, grad_name="FakeQuantizePerChannelAffineCachemaskBackward0",
    fixed={"scale": "fake_quantize_per_channel_affine_cachemask"},
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


@jax.custom_jvp
def _learned(x: Any, scale: Any, zero: Any, low: Any, high: Any, factor: Any) -> Any:
    return (jnp.clip(_integers(x, scale, zero), low, high) - zero) * scale


@_learned.defjvp
def _learned_rule(primals: Any, tangents: Any) -> Any:
    # Learned step sizes (Esser et al., 2020): what the rounding or the bound adds moves the scale, what is beyond a bound moves the zero point.
    x, scale, zero, low, high, factor = primals
    q = jnp.round(x * (1 / scale) + zero)  # the kernel of the derivative shifts before it rounds
    inside, out = (q >= low) & (q <= high), (jnp.clip(q, low, high) - zero) * scale
    by_scale = jnp.where(q < low, low - zero, jnp.where(q > high, high - zero, (out - x) / scale)) * factor
    by_zero = jnp.where(inside, jnp.zeros((), x.dtype), -scale) * factor
    return _learned(*primals), jnp.where(inside, tangents[0], jnp.zeros((), x.dtype)) + by_scale * tangents[1] + by_zero * tangents[2]


def _learn(input: Any, scale: Any, zero: Any, low: int, high: int, factor: Any) -> Any:
    x = accumulate_in(input)
    least, most = jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype)
    scale, zero = scale.astype(x.dtype), zero.astype(x.dtype)
    whole = zero + jax.lax.stop_gradient(jnp.clip(jnp.round(zero), least, most) - zero)
    return _learned(x, scale, whole, least, most, jnp.asarray(factor, x.dtype)).astype(input.dtype)


@op(
    "_fake_quantize_learnable_per_tensor_affine(Tensor input, Tensor scale, Tensor zero_point, int quant_min, int quant_max, float grad_factor=1.0)",
    where="torch", out=False, grad_name="FakeQuantizeLearnablePerTensorAffineBackward0",
)  # fmt: skip
def fake_quantize_learnable_per_tensor_affine(input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int, grad_factor: float) -> Any:
    """As ``fake_quantize_per_tensor_affine`` with scale and zero point of shape (1,) that are learned: their gradients are multiplied by ``grad_factor``."""
    _check(quant_min, quant_max)
    return _learn(input, scale.reshape(()), zero_point.reshape(()), quant_min, quant_max, grad_factor)


@op(
    "_fake_quantize_learnable_per_channel_affine(Tensor input, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max, float grad_factor=1.0)",
    where="torch", out=False, grad_name="FakeQuantizeLearnablePerChannelAffineBackward0",
)  # fmt: skip
def fake_quantize_learnable_per_channel_affine(input: Any, scale: Any, zero_point: Any, axis: int, quant_min: int, quant_max: int, grad_factor: float) -> Any:
    """The same with a scale and a zero point for each index of ``axis``: both (input.size(axis),)."""
    _check(quant_min, quant_max)
    shape = tuple(-1 if d == axis % input.ndim else 1 for d in range(input.ndim))
    return _learn(input, scale.reshape(shape), zero_point.reshape(shape), quant_min, quant_max, grad_factor)
