"""Activations of torch.nn.functional. Where two branches meet, the comparison is chosen so that the gradient is torch's."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from ._fitting import check_fits, written_values
from ._lib import accumulate_in, dim_of, dtype_of, is_complex, is_float, num
from ._nn import back, const, floats_only, wide
from ._pointwise import one_factor, with_slope


@op("relu(Tensor input)", where="torch Tensor", inplace=True, out=False, elementwise=True, second="ThresholdBackwardBackward0", unsaved="input", kept="result")
def relu(input):
    """``max(input, 0)``; NaN and -0 stay. Its gradient at 0 is 0."""
    if input.dtype == np.bool_:
        raise RuntimeError("Boolean inputs not supported for relu")
    if is_complex(input):
        raise NotImplementedError("clamp is not supported for complex types")
    zero = const(0, input)
    return jnp.where(input <= zero, _at_least(input, zero), input)


def _at_least(x: Any, low: Any) -> Any:
    """The larger of two without a gradient; of -0 and 0 it is ``x``, whatever that is."""
    return jnp.where(lax.stop_gradient(x) < low, low, lax.stop_gradient(x))


@partial(jax.custom_jvp)
def _gelu_erf(x: Any) -> Any:
    return x * const(0.5, x) * (const(1, x) + lax.erf(x * const(math.sqrt(0.5), x)))


@_gelu_erf.defjvp
def _gelu_erf_jvp(primals: Any, tangents: Any) -> Any:
    # One erf for value and slope: jax's own rule makes XLA evaluate it twice (1.9 ms against 1.1 ms for a million elements).
    (x,), (t,) = primals, tangents
    cdf = const(0.5, x) * (const(1, x) + lax.erf(x * const(math.sqrt(0.5), x)))
    pdf = jnp.exp(x * x * const(-0.5, x)) * const(1 / math.sqrt(2 * math.pi), x)
    return x * cdf, t * (cdf + x * pdf)


@op("gelu(Tensor input, *, str approximate='none')", where="_nn nn.functional", inplace=True, elementwise=True)
def gelu(input, approximate):
    """``input * Phi(input)``, by erf (``approximate="none"``) or by its tanh form (``"tanh"``)."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    floats_only("GeluKernelImpl", input)
    x = accumulate_in(input)
    if approximate == "none":
        return back(_gelu_erf(x), input)
    return back(_gelu_tanh(x), input)


@one_factor
def _gelu_tanh(x: Any) -> Any:
    inner = (x + x * x * x * const(0.044715, x)) * const(math.sqrt(2 / math.pi), x)
    return x * const(0.5, x) * (const(1, x) + jnp.tanh(inner))


def _one_way(name: str) -> str:
    return (
        f"In-place {name} backward calculation is triggered with a negative slope which is not supported. This is caused by calling in-place forward function with a "
        "negative slope, please call out-of-place version instead."
    )


_LEAKY = (
    _one_way("leakyReLu") + " File an issue at https://github.com/pytorch/pytorch if you do require supporting in-place leakRelu backward calculation with negative slope"
)


@op("leaky_relu(Tensor input, Scalar negative_slope=0.01)", where="_nn", inplace=True, elementwise=True, one_way=_LEAKY, second="zeros")
def leaky_relu(input, negative_slope):
    """``input`` where positive, ``negative_slope * input`` elsewhere."""
    floats_only("leaky_relu_cpu", input)
    x = accumulate_in(input)
    return back(jnp.where(x > 0, x, x * num(negative_slope, x)), input)


def _elu(input: Any, alpha: Any, scale: Any, input_scale: Any) -> Any:
    floats_only("elu_cpu", input)
    x = accumulate_in(input)
    alpha, scale, input_scale = num(alpha, x), num(scale, x), num(input_scale, x)
    low = jnp.where(x <= 0, x, const(0, x))  # keeps exp of large numbers out of the gradient
    return back(jnp.where(x <= 0, jnp.expm1(low * input_scale) * (alpha * scale), x * scale), input)


@op("elu(Tensor input, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1)", where="_nn", inplace=True, elementwise=True, one_way=_one_way("elu"))
def elu(input, alpha, scale, input_scale):
    """``scale * input`` where positive, ``scale * alpha * expm1(input_scale * input)`` elsewhere."""
    return _elu(input, alpha, scale, input_scale)


@op("celu(Tensor input, Number alpha=1.0)", where="torch", inplace=True, out=False, elementwise=True, one_way=_one_way("elu"))
def celu(input, alpha):
    """``max(0, x) + min(0, alpha * expm1(x / alpha))``."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    floats_only("elu_cpu", input)
    x = accumulate_in(input)
    return _elu(input, alpha, 1.0, const(1, x) / num(alpha, x))


@op("selu(Tensor input)", where="torch", inplace=True, out=False, elementwise=True, grad_name="EluBackward0")
def selu(input):
    """Scaled ELU with the fixed constants of self-normalising networks."""
    return _elu(input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)


_silu = one_factor(lambda x: x * lax.logistic(x))
_mish = one_factor(lambda x: x * jnp.tanh(jnp.logaddexp(x, const(0, x))))


@op("silu(Tensor input)", where="_nn", inplace=True, elementwise=True)
def silu(input):
    """``input * sigmoid(input)``; complex inputs too."""
    floats_only("silu_cpu", input, complex_too=True)
    x = accumulate_in(input)
    return back(_silu(x), input)


@op("mish(Tensor input)", where="_nn", inplace=True, elementwise=True)
def mish(input):
    """``input * tanh(softplus(input))``."""
    floats_only("mish_cpu", input)
    x = accumulate_in(input)
    return back(_mish(x), input)


@op("hardtanh(Tensor input, Number min_val=-1, Number max_val=1)", where="_nn", inplace=True, elementwise=True, second="zeros")
def hardtanh(input, min_val, max_val):
    """``input`` held between the two; the gradient is 0 at the bounds."""
    return _hardtanh(input, min_val, max_val)


@op("relu6(Tensor input)", where="_nn", inplace=True, elementwise=True, grad_name="HardtanhBackward0", second="zeros")
def relu6(input):
    """``min(max(input, 0), 6)``."""
    return _hardtanh(input, 0, 6)


def _hardtanh(input: Any, low: float, high: float) -> Any:
    if input.dtype == np.bool_:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if is_complex(input):
        raise NotImplementedError("clamp is not supported for complex types")
    if low > high:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype.kind == "u" and low < 0:
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    unordered = low != low or high != high  # a bound that is nan makes everything nan; the slope is what the comparisons say
    if unordered and not is_float(input):
        raise RuntimeError("value cannot be converted to type int64_t without overflow")
    for bound in () if unordered else (low, high):
        check_fits(bound, dtype_of(input), True)
    low, high = const(low, input), const(high, input)
    held = jnp.where(input <= low, _at_least(input, low), jnp.where(input >= high, high, input))
    return held + const(float("nan"), input) if unordered else held


def _gate(x: Any) -> Any:
    return jnp.minimum(jnp.maximum(x + const(3, x), const(0, x)), const(6, x))


# Outside of the corners, and for nan, the slope is that of torch's kernels.
_hardsigmoid = with_slope(
    lambda x: _gate(x) / const(6, x),
    lambda ans, x: ((x > -const(3, x)) & (x < const(3, x)), const(1, x) / const(6, x)),
)
_hardswish = with_slope(
    lambda x: x * _gate(x) / const(6, x),
    lambda ans, x: (~(x <= -const(3, x)), jnp.where(x < const(3, x), x / const(3, x) + const(0.5, x), const(1, x))),
)


@op("hardsigmoid(Tensor input)", where="_nn", inplace=True, elementwise=True, second="derivative for aten::hardsigmoid_backward is not implemented")
@wide
def hardsigmoid(input):
    """``min(max(input + 3, 0), 6) / 6``; the gradient is 0 at the corners."""
    floats_only("hardsigmoid_cpu", input)
    return _hardsigmoid(input)


@op("hardswish(Tensor input)", where="_nn", inplace=True, elementwise=True)
@wide
def hardswish(input):
    """``input * hardsigmoid(input)``."""
    floats_only("hardswish_cpu", input)
    return _hardswish(input)


@op("softplus(Tensor input, Scalar beta=1, Scalar threshold=20)", where="_nn nn.functional", elementwise=True)
def softplus(input, beta, threshold):
    """``log1p(exp(beta * input)) / beta``, and ``input`` itself where ``beta * input`` exceeds the threshold."""
    floats_only("softplus_cpu", input)
    x = accumulate_in(input)
    beta = num(beta, x)
    scaled = x * beta
    linear = scaled > num(threshold, x)
    curve = jnp.log1p(jnp.exp(jnp.where(linear, const(0, x), scaled))) / beta
    return back(jnp.where(linear, x, curve), input)


@op("softshrink(Tensor input, Number lambd=0.5)", where="_nn nn.functional", elementwise=True, second="zeros")
def softshrink(input, lambd):
    """``input`` moved towards zero by ``lambd``; zero (with zero gradient) within it."""
    floats_only("softshrink_check", input)
    top = float(jnp.finfo(input.dtype).max)
    if not 0 <= lambd <= top:
        raise RuntimeError(f"lambda must be in range [0, {_cpp(top)}] for input dtype {dtype_of(input).legacy}, but found {_cpp(lambd)}")
    x = accumulate_in(input)
    lam = const(lambd, x)
    inside = jnp.where(jnp.isnan(x), x, const(0, x))
    return back(jnp.where(x > lam, x - lam, jnp.where(x < -lam, x + lam, inside)), input)


@op("hardshrink(Tensor input, Scalar lambd=0.5)", where="torch Tensor nn.functional", elementwise=True, second="zeros")
def hardshrink(input, lambd):
    """Zero where ``|input| <= lambd``, ``input`` elsewhere."""
    floats_only("hardshrink_cpu", input)
    lam = num(lambd, input)
    return jnp.where((input >= -lam) & (input <= lam), const(0, input), input)


@one_factor
def log_of_sigmoid(x: Any) -> Any:
    """``log(sigmoid(x))`` of float32 or wider."""
    # jax's slope of abs at 0 is 1, so that of the other summand must be 0 there for torch's 1/2
    return jnp.where(x < 0, x, const(0, x)) - jnp.log1p(jnp.exp(-jnp.abs(x)))


@op("log_sigmoid(Tensor input)", where="_nn", aliases="nn.functional.logsigmoid", elementwise=True)
@wide
def log_sigmoid(input):
    """``log(sigmoid(input))`` without overflow."""
    floats_only("log_sigmoid_cpu", input)
    return log_of_sigmoid(input)


@op("glu(Tensor input, int dim=-1)", format="first", where="_nn")
def glu(input, dim):
    """The first half along ``dim`` times the sigmoid of the second half."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    dim = dim_of(dim, input.ndim)
    if input.shape[dim] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}")
    floats_only("glu_cpu", input)
    a, b = jnp.split(accumulate_in(input), 2, dim)
    return back(a * lax.logistic(b), input)


@op("prelu(Tensor input, Tensor weight)", where="torch Tensor nn.functional", out=False, elementwise=True, grad_name="PreluKernelBackward0", second="zeros", kept="input weight")
def prelu(input, weight):
    """Leaky ReLU whose slope is learnt: one for all, or one for each channel (dim 1)."""
    if input.dtype != weight.dtype:
        names = dtype_of(input).legacy, dtype_of(weight).legacy
        raise RuntimeError(f"prelu: Type promoting not supported. Got {names[0]} and {names[1]}")
    floats_only("prelu_cpu", input)
    if weight.size != 1:
        if input.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.size:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.size} and channel size = "
                f"{channels}."
            )
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if input.ndim > 1 and weight.ndim == 1:
        weight = weight.reshape((1, -1) + (1,) * (input.ndim - 2))
    elif weight.ndim == 1:
        weight = weight.reshape((1,) * input.ndim)
    return jnp.where(input > 0, input, input * weight)


@op("_rrelu(Tensor input, Tensor|Scalar noise)", where="_nn", elementwise=True, grad_name="RreluWithNoiseBackward0", inplace=True, one_way=_LEAKY, second="zeros")
def _rrelu(input, noise):
    """``input`` where positive, ``input * noise`` elsewhere: the draw is made by the caller."""
    floats_only("leaky_relu_cpu", input)
    return jnp.where(input <= 0, input * (noise if getattr(noise, "ndim", 0) else num(noise, input)), input)


@op("threshold(Tensor input, Scalar threshold, Scalar value)", where="torch", inplace=True, expanded=True, elementwise=True, guard=written_values, second="zeros")
def threshold(input, threshold, value):
    """``input`` where it exceeds ``threshold``, ``value`` elsewhere."""
    floats_only("threshold_cpu", input, ints_too=True)
    x = accumulate_in(input)
    return jnp.where(x <= num(threshold, x), num(value, input), input)


def _cpp(value: float) -> str:
    """A number as C++ streams print it."""
    return f"{value:g}"
