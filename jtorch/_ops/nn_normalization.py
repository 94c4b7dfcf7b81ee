"""Normalisations: each is one standardisation over some dims, then scale and shift."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jtorch._registry import op

from ._lib import accumulate_in, apart, dtype_of, num, on_cpu
from ._nn import back, const, floats_only, shape_text


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def standardize(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """``((x - mean) / sqrt(var + eps), mean, 1 / sqrt(var + eps))`` over ``axes``, which stay as dims of size 1."""
    mean = jnp.mean(x, axes, keepdims=True)
    centred = x - mean
    rstd = lax.rsqrt(jnp.mean(centred * centred, axes, keepdims=True) + const(eps, x))
    return centred * rstd, mean, rstd


@standardize.defjvp
def _standardize_jvp(axes: tuple[int, ...], eps: float, primals: Any, tangents: Any) -> Any:
    # Written in the normalised values: its transpose is the two-reduction backward that hand-written kernels use.
    (x,), (t,) = primals, tangents
    normal, mean, rstd = standardize(x, axes, eps)
    if on_cpu(x):  # or the statistics are spread over all of a new array: a fifth of the backward of 4096 x 1024
        mean, rstd = lax.optimization_barrier((mean, rstd))
        normal = (x - mean) * rstd
    t_mean = jnp.mean(t, axes, keepdims=True)
    along = jnp.mean(t * normal, axes, keepdims=True)
    return (normal, mean, rstd), (rstd * (t - t_mean - normal * along), t_mean, -rstd * rstd * along)


def _check_normalized_shape(input: Any, normalized_shape: tuple[int, ...], weight: Any, bias: Any) -> None:
    shape, n = input.shape, len(normalized_shape)
    if n < 1:
        raise RuntimeError(
            f"Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            f"normalized_shape = {shape_text(normalized_shape)}"
        )
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and p.shape != normalized_shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape {shape_text(p.shape)} and "
                f"normalized_shape = {shape_text(normalized_shape)}"
            )
    if len(shape) < n or shape[len(shape) - n :] != normalized_shape:
        wanted = "".join(f", {s}" for s in normalized_shape)
        raise RuntimeError(
            f"Given normalized_shape={shape_text(normalized_shape)}, expected input with shape [*{wanted}], but got input of "
            f"size{shape_text(shape)}"
        )


def _layer_norm(input: Any, normalized_shape: tuple[int, ...], weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    _check_normalized_shape(input, normalized_shape, weight, bias)
    _check_types(input, (weight, bias))
    floats_only("LayerNormKernelImpl", input)
    x = accumulate_in(input)
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    if input.size == 0:
        stat = jnp.zeros(tuple(1 if i in axes else s for i, s in enumerate(input.shape)), x.dtype)
        return input, stat, stat
    y, mean, rstd = standardize(x, axes, eps)
    if weight is not None:
        y = y * back(weight, x)
    if bias is not None:
        y = y + back(bias, x)
    return back(apart(y), input), mean, rstd


@op(
    "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enable=True)",
    where="torch", out=False, grad_name="NativeLayerNormBackward0", second="of nothing", kept="input weight bias",
)  # fmt: skip
def layer_norm(input, normalized_shape, weight, bias, eps, cudnn_enable):
    """Zero mean and unit variance over the trailing ``normalized_shape`` dims, then ``* weight + bias``."""
    return _layer_norm(input, normalized_shape, weight, bias, eps)[0]


@op("native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps)", where="internal", out=False, kept="input weight bias")
def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """``(layer_norm, mean, 1 / standard deviation)``; the statistics keep the reduced dims with size 1."""
    y, mean, rstd = _layer_norm(input, normalized_shape, weight, bias, eps)
    kept = _statistics_type(input, weight, bias)
    return y, mean.astype(kept), rstd.astype(kept)


def _statistics_type(input: Any, weight: Any, bias: Any) -> Any:
    """The type in which the statistics of ``input`` are given: that of the parameters beside it."""
    return next((p.dtype for p in (weight, bias) if p is not None), input.dtype)


@op(
    "rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None)",
    where="torch",
    out=False,
    grad_name="MulBackward0",
)
def rms_norm(input, normalized_shape, weight, eps):
    """``input / sqrt(mean(input**2) + eps)`` over the trailing dims, times ``weight``. ``eps=None`` is the type's own epsilon."""
    _check_normalized_shape(input, normalized_shape, weight, None)
    floats_only("rms_norm", input, complex_too=True)
    x = accumulate_in(input)
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    eps = float(jnp.finfo(x.dtype).eps) if eps is None else eps
    square = x * x
    y = x * lax.rsqrt(jnp.mean(square, axes, keepdims=True) + const(eps, x))
    if weight is not None:
        y = y * weight.astype(jnp.promote_types(y.dtype, accumulate_in(weight).dtype))
    return back(y, input)


def _over_channels(p: Any, ndim: int, like: Any) -> Any:
    return back(p, like).reshape((1, -1) + (1,) * (ndim - 2))


def _check_types(input: Any, parameters: Any) -> None:
    """Parameters have the input's type, or all are float32 beside a half input."""
    given = [p.dtype for p in parameters if p is not None]
    if not given or all(d == input.dtype for d in given):
        return
    if given[0] == input.dtype:
        other = next(p for p in parameters if p is not None and p.dtype != input.dtype)
        raise RuntimeError(f"expected scalar type {dtype_of(input).legacy} but found {dtype_of(other).legacy}")
    if any(d != jnp.float32 for d in given):
        raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")
    if input.dtype.itemsize != 2:
        raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


def batch_norm_core(input, weight, bias, running_mean, running_var, training, eps):
    """``(output, mean used, 1 / std used, biased variance of the batch)``."""
    if input.ndim < 2:
        raise RuntimeError(f"batch_norm expects at least 2D input, got {input.ndim}D")
    floats_only("batch_norm", input)
    channels = input.shape[1]
    for name, p in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if p is not None and p.size != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {p.size}")
    _check_types(input, (weight, bias, running_mean, running_var))
    x = accumulate_in(input)
    axes = (0, *range(2, input.ndim))
    if training:
        normal, mean, rstd = standardize(x, axes, eps)
    else:
        if running_mean is None or running_var is None:
            missing = "running_mean" if running_mean is None else "running_var"
            raise RuntimeError(f"{missing} must be defined in evaluation mode")
        mean = _over_channels(lax.stop_gradient(running_mean), input.ndim, x)
        rstd = lax.rsqrt(_over_channels(lax.stop_gradient(running_var), input.ndim, x) + const(eps, x))
        normal = (x - mean) * rstd
    y = normal
    if weight is not None:
        y = y * _over_channels(weight, input.ndim, x)
    if bias is not None:
        y = y + _over_channels(bias, input.ndim, x)
    return back(apart(y), input), mean.reshape(-1), rstd.reshape(-1)


@op(
    "_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, Scalar "
    "momentum, float eps)",
    format="first", where="_nn", out=False, grad_name="NativeBatchNormBackward0", fixed=dict.fromkeys(("running_mean", "running_var"), "native_batch_norm"),
    kept="input weight",
)  # fmt: skip
def _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """``(output, saved mean, saved 1 / std, new running mean, new running variance)``; only the output is differentiable."""
    y, mean, rstd = batch_norm_core(input, weight, bias, running_mean, running_var, training, eps)
    mean, rstd = lax.stop_gradient(mean), lax.stop_gradient(rstd)
    if not training:
        none = jnp.zeros((0,), mean.dtype)
        return y, none, none, none, none
    count = input.size // max(input.shape[1], 1)
    var = (const(1, rstd) / (rstd * rstd) - const(eps, rstd)) * const(count / max(count - 1, 1), rstd)
    return y, mean, rstd, _moved(running_mean, mean, momentum), _moved(running_var, var, momentum)


def _moved(running: Any, batch: Any, momentum: Any) -> Any:
    if running is None:
        return batch
    m = num(momentum, batch)
    return back(lax.stop_gradient(back(running, batch)) * (const(1, m) - m) + batch * m, running)


def _group_norm(input: Any, num_groups: int, weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    n, c = input.shape[:2]
    if c % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {shape_text(input.shape)} "
            f"and num_groups={num_groups}"
        )
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and p.shape != (c,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape "
                f"{shape_text(p.shape)} and input of shape {shape_text(input.shape)}"
            )
    _check_types(input, (weight, bias))
    floats_only("GroupNormKernelImpl", input)
    x = accumulate_in(input)
    if input.size == 0:
        return input, jnp.zeros((n, num_groups), x.dtype), jnp.zeros((n, num_groups), x.dtype)
    y, mean, rstd = standardize(x.reshape(n, num_groups, -1), (2,), eps)
    y = y.reshape(input.shape)
    if weight is not None:
        y = y * _over_channels(weight, input.ndim, x)
    if bias is not None:
        y = y + _over_channels(bias, input.ndim, x)
    return back(y, input), mean.reshape(n, num_groups), rstd.reshape(n, num_groups)


@op(
    "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enabled=True)",
    format="first", where="torch", out=False, grad_name="NativeGroupNormBackward0", second="of nothing", kept="input weight",
)  # fmt: skip
def group_norm(input, num_groups, weight, bias, eps, cudnn_enabled):
    """Standardises each group of channels (dim 1) of each sample, then ``* weight + bias`` by channel."""
    return _group_norm(input, num_groups, weight, bias, eps)[0]


@op("native_group_norm(Tensor input, Tensor? weight, Tensor? bias, int N, int C, int HxW, int group, float eps)", format="first", where="internal", out=False, kept="input weight")
def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """``(group_norm, mean, 1 / std)`` with statistics of shape ``(N, group)``."""
    y, mean, rstd = _group_norm(input.reshape(N, C, -1) if input.size else input, group, weight, bias, eps)
    kept = _statistics_type(input, weight, bias)
    return y.reshape(input.shape), mean.astype(kept), rstd.astype(kept)
