"""Pointwise arithmetic: + - * / and its roundings, remainders, fused multiply-adds, interpolation.

The rules of torch's division family: https://docs.pytorch.org/docs/stable/generated/torch.div.html
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from jtorch import _dtypes
from jtorch._dtypes import C_NAMES
from jtorch._ops import _value_guards
from jtorch._ops._lib import accumulate_in, dtype_of, is_complex, is_float, num, quotient
from jtorch._ops._pointwise import default_float, flat, is_bool, is_half, is_int, refuse, refuse_with, wide, with_slope
from jtorch._registry import op


def no_bools(a: _dtypes.dtype, b: _dtypes.dtype) -> None:
    """What subtraction asks of its operands."""
    if a is _dtypes.bool_ and b is _dtypes.bool_:
        raise RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead.")
    if a is _dtypes.bool_ or b is _dtypes.bool_:
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )


def _is_one(alpha: Any) -> bool:
    return type(alpha) is int and alpha == 1


def _check_alpha(alpha: Any, common: Any) -> None:
    kind = _dtypes.of_python(type(alpha)) if isinstance(alpha, (bool, int, float, complex)) else dtype_of(alpha)
    if kind is _dtypes.bool_ and not is_bool(common):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if kind.category >= 2 and (is_int(common) or is_bool(common)):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if kind.is_complex and is_float(common):
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")


def _alpha(alpha: Any, like: Any) -> Any:
    """torch rounds alpha to the half type before it computes in float32."""
    _check_alpha(alpha, like)
    return num(alpha, like) if is_half(like) else alpha


def _scaled(other: Any, alpha: Any) -> Any:
    _check_alpha(alpha, other)
    return other & num(alpha, other) if is_bool(other) else other * num(alpha, other)


@op("add(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1)", numbers_first=("add(Tensor|Scalar input, Scalar alpha, Tensor|Scalar other)", "add(Tensor input, Scalar other, Scalar alpha)"), promote="default", promoted=("input", "other"), inplace=True)
def add(input: Any, other: Any, alpha: Any) -> Any:
    """``input + alpha * other``; logical or for bools."""
    if _is_one(alpha):
        return jnp.add(input, other)
    return _add_scaled(input, other, _alpha(alpha, other))


@wide
def _add_scaled(input: Any, other: Any, alpha: Any) -> Any:
    return jnp.add(input, _scaled(other, alpha))


@wide
def _sub_scaled(input: Any, other: Any, alpha: Any) -> Any:
    return input - _scaled(other, alpha)


@op("sub(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1)", numbers_first=("sub(Tensor|Scalar input, Scalar alpha, Tensor|Scalar other)", "sub(Tensor input, Scalar other, Scalar alpha)"), promote="default", promoted=("input", "other"), inplace=True, types=no_bools,
    aliases="subtract")  # fmt: skip
def sub(input: Any, other: Any, alpha: Any) -> Any:
    """``input - alpha * other``. RuntimeError for bools."""
    return input - other if _is_one(alpha) else _sub_scaled(input, other, _alpha(alpha, other))


@op("rsub(Tensor input, Tensor other, *, Scalar alpha=1)", promote="default", promoted=("input", "other"), types=no_bools, out=False, where="torch")
def rsub(input: Any, other: Any, alpha: Any) -> Any:
    """``other - alpha * input``."""
    return other - input if _is_one(alpha) else _sub_scaled(other, input, _alpha(alpha, input))


@op("rsub(Tensor input, Tensor|Scalar other, Scalar alpha=1)", promote="default", promoted=("input", "other"), types=no_bools, out=False,
    grad_name="RsubBackward1", where="torch")  # fmt: skip
def rsub_scalar(input: Any, other: Any, alpha: Any) -> Any:
    """``other - alpha * input`` for a Python number."""
    return rsub.fn(input, other, alpha)


@op("mul(Tensor|Scalar input, Tensor|Scalar other)", promote="default", opmath=True, inplace=True, aliases="multiply")
def mul(input: Any, other: Any) -> Any:
    """``input * other``; logical and for bools."""
    return jnp.logical_and(input, other) if is_bool(input) else lax_mul(input, other)


def lax_mul(a: Any, b: Any) -> Any:
    return jnp.multiply(a, b)


@op("div(Tensor|Scalar input, Tensor|Scalar other)", promote="int_to_float", opmath=True, inplace=True, aliases="divide true_divide")
def div(input: Any, other: Any) -> Any:
    """``input / other``; integers divide in the default float."""
    return quotient(input, other)


@flat
def _floor_float(a: Any, b: Any) -> Any:
    """Python's floor division: the exact remainder decides, so that (a // b) * b <= a."""
    modulus = lax.rem(a, b)
    quotient = (a - modulus) / b
    quotient = jnp.where((modulus != 0) & ((b < 0) != (modulus < 0)), quotient - 1, quotient)
    down = jnp.floor(quotient)
    down = jnp.where(quotient - down > 0.5, down + 1, down)
    down = jnp.where(quotient == 0, jnp.copysign(jnp.zeros_like(quotient), a / b), down)
    return jnp.where(b == 0, a / b, down)


_trunc_float = flat(lambda a, b: jnp.trunc(quotient(accumulate_in(a), accumulate_in(b), inside=True).astype(a.dtype)))


def _together(a: Any, b: Any) -> tuple[Any, Any]:
    shape = jnp.broadcast_shapes(a.shape, b.shape)
    return jnp.broadcast_to(a, shape), jnp.broadcast_to(b, shape)


def _divide_rounded(input: Any, other: Any, mode: str) -> Any:
    refuse("div_floor_cpu" if mode == "floor" else "div_trunc_cpu", input, "bc")
    if is_float(input):  # half types are rounded at every step
        return _trunc_float(input, other) if mode == "trunc" else _floor_float(*_together(input, other))
    a, b = _together(input, other)
    whole = lax.div(a, b)
    if mode == "trunc" or jnp.issubdtype(a.dtype, jnp.unsignedinteger):
        return whole
    inexact = (lax.rem(a, b) != 0) & ((a < 0) != (b < 0))
    return whole - inexact.astype(a.dtype)


@op("div(Tensor|Scalar input, Tensor|Scalar other, *, str? rounding_mode)", promote="default", opmath=True, inplace=True, aliases="divide",
    grad_name="DivBackward2", guard=_value_guards.divisors, kept="input:other other")  # fmt: skip
def div_mode(input: Any, other: Any, rounding_mode: str | None) -> Any:
    """Division rounded towards zero ("trunc"), down ("floor") or not at all (None)."""
    if rounding_mode is None:
        return div.fn(default_float(input), default_float(other))
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")
    return _divide_rounded(input, other, rounding_mode)


@op("floor_divide(Tensor|Scalar input, Tensor|Scalar other)", promote="default", opmath=True, inplace=True, grad_name="torch::autograd::NotImplemented",
    guard=_value_guards.divisors)  # fmt: skip
def floor_divide(input: Any, other: Any) -> Any:
    """Division rounded down, in the inputs' common type."""
    return _divide_rounded(input, other, "floor")


def _remainder_values(a: Any, b: Any) -> Any:
    r = lax.rem(a, b)
    if jnp.issubdtype(a.dtype, jnp.unsignedinteger):
        return r
    return jnp.where((r != 0) & ((b < 0) != (r < 0)), r + b, r)


# The slope by the divisor is what the division of the inputs' own type gives, of half types rounded at every step.
_remainder = with_slope(wide(_remainder_values), lambda _, a, b: jnp.ones_like(a), lambda _, a, b: -_floor_float(a, b))
_fmod = with_slope(wide(lax.rem), lambda _, a, b: jnp.ones_like(a), lambda _, a, b: -_trunc_float(a, b))


def _modulo(fn: Any, kernel: str, input: Any, other: Any) -> Any:
    refuse(kernel, input, "bc")
    return fn(*_together(input, other))


@op("remainder(Tensor input, Tensor other)", promote="default", inplace=True, grad_name="RemainderBackward1", guard=_value_guards.divisors)
def remainder(input: Any, other: Any) -> Any:
    """``input - other * floor(input / other)``: the sign follows the divisor."""
    return _modulo(_remainder, "remainder_cpu", input, other)


@op("remainder(Scalar self, Tensor other)", promote="default", promoted=("self", "other"), where="torch", out=False,
    grad_name="torch::autograd::NotImplemented", guard=_value_guards.divisors)  # fmt: skip
def remainder_of_number(self: Any, other: Any) -> Any:
    """The remainder of a number by each element."""
    return _modulo(_remainder, "remainder_cpu", self, other)


@op("remainder(Tensor input, Scalar other)", promote="default", promoted=("input", "other"), inplace=True, guard=_value_guards.divisors)
def remainder_by_number(input: Any, other: Any) -> Any:
    """The remainder by a number."""
    return _modulo(_remainder, "remainder_cpu", input, other)


@op("fmod(Tensor input, Tensor other)", promote="default", inplace=True, grad_name="FmodBackward1", guard=_value_guards.divisors)
def fmod(input: Any, other: Any) -> Any:
    """C's remainder: the sign follows the dividend."""
    return _modulo(_fmod, "fmod_cpu", input, other)


@op("fmod(Tensor input, Scalar other)", promote="default", promoted=("input", "other"), inplace=True, guard=_value_guards.divisors)
def fmod_by_number(input: Any, other: Any) -> Any:
    """C's remainder by a number."""
    return _modulo(_fmod, "fmod_cpu", input, other)


@op("neg(Tensor input)", inplace=True, aliases="negative", elementwise=True)
def neg(input: Any) -> Any:
    """``-input``. RuntimeError for bool."""
    refuse_with(
        "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
        "`logical_not()` operator instead.",
        input,
        "b",
    )
    return -input


@op("reciprocal(Tensor input)", promote="int_to_float", inplace=True, unsaved="input", kept="result")
def reciprocal(input: Any) -> Any:
    """``1 / input``."""
    return jnp.reciprocal(input)


@op("square(Tensor input)", promote="default", inplace=True, grad_name="PowBackward0")
def square(input: Any) -> Any:
    """``input ** 2``; a bool is squared in int64."""
    x = input.astype(_dtypes.int64.np) if is_bool(input) else input
    return x * x


@op("addcmul(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1)", numbers_first=("addcmul(Tensor input, Scalar value, Tensor tensor1, Tensor tensor2)",), promote="default",
    promoted=("input", "tensor1", "tensor2"), inplace=True)  # fmt: skip
def addcmul(input: Any, tensor1: Any, tensor2: Any, value: Any) -> Any:
    """``input + value * tensor1 * tensor2``."""
    refuse("addcmul_cpu_out", input, "b")

    def compute(a: Any, b: Any, c: Any) -> Any:
        return a + (b * c if _is_one(value) else num(value, a) * b * c)

    return wide(compute)(input, tensor1, tensor2)


@op("addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1)", numbers_first=("addcdiv(Tensor input, Scalar value, Tensor tensor1, Tensor tensor2)",), promote="default",
    promoted=("input", "tensor1", "tensor2"), inplace=True)  # fmt: skip
def addcdiv(input: Any, tensor1: Any, tensor2: Any, value: Any) -> Any:
    """``input + value * tensor1 / tensor2``. RuntimeError for integers."""
    refuse_with(
        "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of "
        "tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / "
        "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float inputs. The future "
        "addcdiv behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all dtypes.",
        input,
        "bi",
    )

    def compute(a: Any, b: Any, c: Any) -> Any:
        return a + (b / c if _is_one(value) else num(value, a) * b / c)

    return wide(compute)(input, tensor1, tensor2)


@wide
def _lerp(start: Any, end: Any, weight: Any) -> Any:
    # From the nearer end, so that weight 1 gives `end` exactly.
    span = end - start
    near = jnp.abs(weight) < 0.5
    return jnp.where(near, start + weight * span, end - span * (1 - weight))


lerp_with_rule = with_slope(_lerp, lambda ans, start, end, weight: 1 - weight, lambda ans, start, end, weight: weight, lambda ans, start, end, weight: end - start)


def _check_lerp(input: Any, end: Any, kernel: str) -> None:
    if input.dtype != end.dtype:
        raise RuntimeError(f"expected dtype {_spelled(input)} for `end` but got dtype {_spelled(end)}")
    refuse(kernel, input, "bi")


def _spelled(x: Any) -> str:
    """C's name of an element type, which some of torch's messages use."""
    return C_NAMES.get(dtype_of(x).name, dtype_of(x).name)


@op("lerp(Tensor input, Tensor end, Tensor weight)", inplace=True, elementwise=True, grad_name="LerpBackward1")
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)``; the three have one type. RuntimeError otherwise."""
    _check_lerp(input, end, "lerp_kernel_tensor")
    if weight.dtype != input.dtype:
        if weight.ndim:
            raise RuntimeError(f"expected dtype {_spelled(input)} for `weight` but got dtype {_spelled(weight)}")
        weight = weight.astype(input.dtype)
    return lerp_with_rule(input, end, weight)


@op("lerp(Tensor input, Tensor end, Scalar weight)", inplace=True, elementwise=True, grad_name="LerpBackward0")
def lerp_by_number(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)`` with a number."""
    _check_lerp(input, end, "lerp_kernel_scalar")
    if is_half(input):
        return lerp_by_number.fn(input.astype("float32"), end.astype("float32"), weight).astype(input.dtype)
    if not is_complex(input) and isinstance(weight, complex):
        raise RuntimeError("value cannot be converted to type double without overflow")
    return lerp_with_rule(input, end, num(weight, input))
