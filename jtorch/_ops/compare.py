"""Comparisons, logic, bits and predicates: results of type bool, or integers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops._lib import dtype_of, is_complex, is_float, is_inexact
from jtorch._ops._pointwise import is_bool, refuse, refuse_with
from jtorch._registry import op


@op("eq(Tensor input, Tensor|Scalar other)", promote="default", inplace=True)
def eq(input: Any, other: Any) -> Any:
    """Equal, as bool."""
    return input == other


@op("ne(Tensor input, Tensor|Scalar other)", promote="default", inplace=True, aliases="not_equal")
def ne(input: Any, other: Any) -> Any:
    """Not equal, as bool."""
    return input != other


@op("lt(Tensor input, Tensor|Scalar other)", promote="default", inplace=True, aliases="less")
def lt(input: Any, other: Any) -> Any:
    """Less than, as bool. Not for complex numbers."""
    refuse("lt_cpu", input, "c")
    return input < other


@op("le(Tensor input, Tensor|Scalar other)", promote="default", inplace=True, aliases="less_equal")
def le(input: Any, other: Any) -> Any:
    """At most, as bool. Not for complex numbers."""
    refuse("le_cpu", input, "c")
    return input <= other


@op("gt(Tensor input, Tensor|Scalar other)", promote="default", inplace=True, aliases="greater")
def gt(input: Any, other: Any) -> Any:
    """Greater than, as bool. Not for complex numbers."""
    refuse("gt_cpu", input, "c")
    return input > other


@op("ge(Tensor input, Tensor|Scalar other)", promote="default", inplace=True, aliases="greater_equal")
def ge(input: Any, other: Any) -> Any:
    """At least, as bool. Not for complex numbers."""
    refuse("ge_cpu", input, "c")
    return input >= other


def _truth(x: Any) -> Any:
    return x if is_bool(x) else x != 0


@op("logical_and(Tensor input, Tensor other)", inplace=True, elementwise=True, unlinked=True)
def logical_and(input: Any, other: Any) -> Any:
    """Both nonzero."""
    return _truth(input) & _truth(other)


@op("logical_or(Tensor input, Tensor other)", inplace=True, elementwise=True, unlinked=True)
def logical_or(input: Any, other: Any) -> Any:
    """Either nonzero."""
    return _truth(input) | _truth(other)


@op("logical_xor(Tensor input, Tensor other)", inplace=True, elementwise=True, unlinked=True)
def logical_xor(input: Any, other: Any) -> Any:
    """Exactly one nonzero."""
    return _truth(input) ^ _truth(other)


@op("logical_not(Tensor input)", inplace=True, elementwise=True, unlinked=True)
def logical_not(input: Any) -> Any:
    """Zero."""
    return ~_truth(input)


def _bitwise(name: str, input: Any, other: Any) -> tuple[Any, Any]:
    refuse(f"bitwise_{name}_cpu", input, "hfc")
    return input, other


@op("bitwise_and(Tensor input, Tensor|Scalar other)", promote="default", inplace=True)
def bitwise_and(input: Any, other: Any) -> Any:
    """Bits set in both; logical and for bool. Integers and bool only."""
    a, b = _bitwise("and", input, other)
    return a & b


@op("bitwise_and(Scalar self, Tensor other)", promote="default", promoted=("self", "other"), where="torch", out=False)
def bitwise_and_number(self: Any, other: Any) -> Any:
    """Bits set in a number and in each element."""
    return bitwise_and.fn(self, other)


@op("bitwise_or(Tensor input, Tensor|Scalar other)", promote="default", inplace=True)
def bitwise_or(input: Any, other: Any) -> Any:
    """Bits set in either. Integers and bool only."""
    a, b = _bitwise("or", input, other)
    return a | b


@op("bitwise_or(Scalar self, Tensor other)", promote="default", promoted=("self", "other"), where="torch", out=False)
def bitwise_or_number(self: Any, other: Any) -> Any:
    """Bits set in a number or in each element."""
    return bitwise_or.fn(self, other)


@op("bitwise_xor(Tensor input, Tensor|Scalar other)", promote="default", inplace=True)
def bitwise_xor(input: Any, other: Any) -> Any:
    """Bits set in exactly one. Integers and bool only."""
    a, b = _bitwise("xor", input, other)
    return a ^ b


@op("bitwise_xor(Scalar self, Tensor other)", promote="default", promoted=("self", "other"), where="torch", out=False)
def bitwise_xor_number(self: Any, other: Any) -> Any:
    """Bits set in exactly one of a number and each element."""
    return bitwise_xor.fn(self, other)


@op("bitwise_not(Tensor input)", inplace=True, elementwise=True)
def bitwise_not(input: Any) -> Any:
    """Every bit flipped; logical not for bool."""
    refuse("bitwise_not_cpu", input, "hfc")
    return ~input


def _shift(left: bool, a: Any, b: Any) -> Any:
    """Counts outside [0, bits) give 0 to the left and the sign to the right (torch's definition)."""
    refuse("lshift_cpu" if left else "rshift_cpu", a, "bhfc")
    a, b = jnp.broadcast_arrays(a, b)
    bits = a.dtype.itemsize * 8
    beyond = (b < 0) | (b >= bits)
    count = jnp.where(beyond, jnp.zeros_like(b), b)
    if left:
        return jnp.where(beyond, jnp.zeros_like(a), lax.shift_left(a, count))
    if jnp.issubdtype(a.dtype, jnp.unsignedinteger):
        return jnp.where(beyond, jnp.zeros_like(a), lax.shift_right_logical(a, count))
    return lax.shift_right_arithmetic(a, jnp.where(beyond, jnp.full_like(b, bits - 1), b))


@op("bitwise_left_shift(Tensor input, Tensor|Scalar other)", promote="default", inplace=True)
def bitwise_left_shift(input: Any, other: Any) -> Any:
    """Bits moved up. Integers only."""
    return _shift(True, input, other)


@op("bitwise_left_shift(Scalar self, Tensor other)", promote="default", promoted=("self", "other"), where="torch", out=False)
def bitwise_left_shift_number(self: Any, other: Any) -> Any:
    """A number's bits moved up by each element."""
    return _shift(True, self, other)


@op("bitwise_right_shift(Tensor input, Tensor|Scalar other)", promote="default", inplace=True)
def bitwise_right_shift(input: Any, other: Any) -> Any:
    """Bits moved down, the sign kept. Integers only."""
    return _shift(False, input, other)


@op("bitwise_right_shift(Scalar self, Tensor other)", promote="default", promoted=("self", "other"), where="torch", out=False)
def bitwise_right_shift_number(self: Any, other: Any) -> Any:
    """A number's bits moved down by each element."""
    return _shift(False, self, other)


@op("isnan(Tensor input)", elementwise=True, out=False)
def isnan(input: Any) -> Any:
    """True for nan (in either part of a complex number)."""
    return jnp.isnan(input) if is_inexact(input) else jnp.zeros(input.shape, bool)


@op("isinf(Tensor input)", elementwise=True, out=False)
def isinf(input: Any) -> Any:
    """True for infinities (in either part of a complex number)."""
    return jnp.isinf(input) if is_inexact(input) else jnp.zeros(input.shape, bool)


@op("isfinite(Tensor input)", elementwise=True, out=False)
def isfinite(input: Any) -> Any:
    """True for finite numbers."""
    return jnp.isfinite(input) if is_inexact(input) else jnp.ones(input.shape, bool)


@op("isposinf(Tensor input)", elementwise=True, out="isposinf does not support non-boolean outputs.")
def isposinf(input: Any) -> Any:
    """True for +inf. RuntimeError for complex numbers."""
    refuse_with("isposinf does not support complex inputs.", input, "c")
    return input == np.inf if is_float(input) else jnp.zeros(input.shape, bool)


@op("isneginf(Tensor input)", elementwise=True, out="isneginf does not support non-boolean outputs.")
def isneginf(input: Any) -> Any:
    """True for -inf. RuntimeError for complex numbers."""
    refuse_with("isneginf does not support complex inputs.", input, "c")
    return input == -np.inf if is_float(input) else jnp.zeros(input.shape, bool)


@op("isreal(Tensor input)", elementwise=True, out=False)
def isreal(input: Any) -> Any:
    """True where the imaginary part is 0."""
    return input.imag == 0 if is_complex(input) else jnp.ones(input.shape, bool)


@op("isclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False)", elementwise=True, out=False)
def isclose(input: Any, other: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    """``|input - other| <= atol + rtol * |other|``, or equal; infinities only equal themselves. RuntimeError for two types."""
    if input.dtype != other.dtype:
        raise RuntimeError(f"{dtype_of(input).legacy} did not match {dtype_of(other).legacy}")
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if not tolerance >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance:g}")
    close = input == other
    if equal_nan and is_inexact(input):
        close = close | (jnp.isnan(input) & jnp.isnan(other))
    if rtol == 0 and atol == 0:
        return close
    if is_inexact(input):
        a, b = (x.astype(np.float32) if x.dtype.itemsize == 2 else x for x in (input, other))
    else:
        a, b = (x.astype(np.float64) for x in (input, other))
    allowed = np.asarray(atol, jnp.abs(b).dtype) + jnp.abs(np.asarray(rtol, b.dtype) * b)
    error = jnp.abs(a - b)
    return close | (jnp.isfinite(error) & (error <= allowed))


def _gcd(a: Any, b: Any) -> Any:
    return jnp.gcd(*jnp.broadcast_arrays(a, b))


@op("gcd(Tensor input, Tensor other)", promote="default", inplace=True)
def gcd(input: Any, other: Any) -> Any:
    """Greatest common divisor, never negative. Integers only."""
    refuse("gcd_cpu", input, "bhfc")
    return _gcd(input, other)


@op("lcm(Tensor input, Tensor other)", promote="default", inplace=True)
def lcm(input: Any, other: Any) -> Any:
    """Least common multiple, never negative. Integers only."""
    refuse("lcm_cpu", input, "bhfc")
    divisor = _gcd(input, other)
    safe = jnp.where(divisor == 0, jnp.ones_like(divisor), divisor)
    return jnp.where(divisor == 0, jnp.zeros_like(divisor), jnp.abs(lax.div(jnp.broadcast_to(input, safe.shape), safe) * other))
