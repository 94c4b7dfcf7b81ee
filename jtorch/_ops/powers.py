"""pow, float_power, exponentials, logarithms and roots."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._ops._complex_values import complex_exp, complex_log, mirrored
from jtorch._ops._fitting import check_fits
from jtorch._ops._lib import dtype_of, is_complex, is_float, is_inexact
from jtorch._ops._pointwise import constant, is_bool, is_half, is_int, kernel_error, promote_number, wide, with_slope
from jtorch._registry import op


def _int_power(base: Any, exponent: Any) -> Any:
    """Integer powers that wrap; a negative exponent gives 0 except for bases 1 and -1, as C code does it."""
    shape = jnp.broadcast_shapes(base.shape, exponent.shape)
    base, exponent = jnp.broadcast_to(base, shape), jnp.broadcast_to(exponent, shape)
    one, zero = jnp.ones_like(base), jnp.zeros_like(base)

    def step(_: Any, state: Any) -> Any:
        result, factor, left = state
        return jnp.where((left & one) != 0, result * factor, result), factor * factor, lax.shift_right_logical(left, one)

    result = lax.fori_loop(0, base.dtype.itemsize * 8, step, (one, base, exponent))[0]
    if jnp.issubdtype(base.dtype, jnp.unsignedinteger):
        return result
    odd = (exponent & one) != 0
    unit = jnp.where(base == 1, one, jnp.where(base == -1, jnp.where(odd, -one, one), zero))
    return jnp.where(exponent < 0, unit, result)


def _raw_power(x: Any, y: Any) -> Any:
    if not is_complex(x):
        return lax.pow(x, y)
    if x.dtype == np.complex64:  # exp(y log x) loses y log x's digits: take it in double
        return _raw_power(x.astype(np.complex128), y.astype(np.complex128)).astype(np.complex64)
    # x ** 0 is 1 and 0 ** y is 0 in the right half plane, where exp(y log x) would give nan.
    zero_base = x == 0
    out = jnp.exp(y * jnp.log(jnp.where(zero_base, jnp.ones_like(x), x)))
    at_zero = jnp.where(y == 0, jnp.ones_like(x), jnp.where(y.real > 0, jnp.zeros_like(x), jnp.full_like(x, complex("nan+nanj"))))
    return jnp.where(zero_base, at_zero, jnp.where(y == 0, jnp.ones_like(out), out))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _fixed_power(x: Any, exponent: Any) -> Any:
    """``x`` to a structural exponent, through the cheap forms where there is one."""
    if exponent == 0:
        return jnp.ones_like(x)
    if exponent == 1:
        return x
    if exponent in (2, 3, -1, -2):
        return lax.integer_pow(x, int(exponent.real))
    if exponent == 0.5 and not is_complex(x):
        return jnp.sqrt(x)
    if exponent == -0.5 and not is_complex(x):
        return lax.rsqrt(x)
    if is_complex(x) and exponent.imag == 0 and float(exponent.real).is_integer() and abs(exponent.real) <= 64:
        return lax.integer_pow(x, int(exponent.real))
    return _raw_power(x, jnp.full(x.shape, constant(exponent, x)))


@_fixed_power.defjvp
def _fixed_power_rule(exponent: Any, primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    if exponent == 0:  # torch: exactly zero, even where x is 0 or inf
        return _fixed_power(x, exponent), jnp.zeros_like(x)
    slope = constant(exponent, x) * _fixed_power(x, exponent - 1)
    return _fixed_power(x, exponent), t * slope


def _power_by_base(_: Any, x: Any, y: Any) -> Any:
    return jnp.where(y == 0, jnp.zeros_like(x), y * _power(x, y - jnp.ones_like(y)))


def _power_by_exponent(ans: Any, x: Any, y: Any) -> Any:
    # 0 ** y is flat for y >= 0, where log(0) would give nan.
    still = (x == 0) & (y.real >= 0 if is_complex(y) else y >= 0)
    safe = jnp.where(still, jnp.ones_like(x), x)
    return jnp.where(still, jnp.zeros_like(ans), ans * jnp.log(safe))


def _full_power(x: Any, y: Any) -> Any:
    shape = jnp.broadcast_shapes(x.shape, y.shape)
    return _raw_power(jnp.broadcast_to(x, shape), jnp.broadcast_to(y, shape))


_power = with_slope(_full_power, _power_by_base, _power_by_exponent)


def _tensor_power(x: Any, y: Any) -> Any:
    if is_bool(x):
        kernel_error("pow", x)
    return wide(_power)(x, y) if is_inexact(x) else _int_power(x, y)


def _number_power(x: Any, exponent: Any) -> Any:
    if is_int(x):
        if exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        return lax.integer_pow(x, int(exponent))
    if is_bool(x):
        if isinstance(exponent, bool):  # nothing is computed for powers 0 and 1
            return x if exponent else jnp.ones_like(x)
        kernel_error("pow", x)
    if is_half(x):
        if x.dtype == jnp.bfloat16 and exponent in (3, -2):  # rounded at every step, unlike float16
            return x * x * x if exponent == 3 else 1 / (x * x)
        exponent = float(np.asarray(exponent).astype(x.dtype))
    return wide(lambda a: _fixed_power(a, exponent))(x)


@op("pow(Tensor input, Tensor exponent)", promote="default", inplace=True, grad_name="PowBackward1")
def pow(input: Any, exponent: Any) -> Any:
    """``input ** exponent`` element by element. Integers wrap."""
    return _tensor_power(input, exponent)


@op("pow(Scalar self, Tensor exponent)", promote="default", promoted=("self", "exponent"), where="torch", numbers="program", grad_name="PowBackward2")
def pow_of_number(self: Any, exponent: Any) -> Any:
    """A number to tensor powers."""
    return _tensor_power(self, exponent)


@op("pow(Tensor input, Number exponent)", inplace=True, elementwise=True, grad_name="PowBackward0")
def pow_by_number(input: Any, exponent: Any) -> Any:
    """``input`` to the power of a number, which is part of the program (squares and roots have short forms)."""
    if exponent.__class__ is int and exponent > 0 and input.dtype.kind in "iu":
        check_fits(exponent, dtype_of(input))
    return _number_power(promote_number(input, exponent), exponent)


def _double(x: Any) -> Any:
    return x.astype(np.complex128 if is_complex(x) else np.float64)


def _copied_wider(structure: dict[str, Any], inputs: Any) -> str:
    """What torch brings to double precision first, and then keeps the copies of."""
    return "" if any(not isinstance(x, type) and x.dtype.name in ("float64", "complex128") for x in inputs) else "input exponent"


@op("float_power(Tensor input, Tensor exponent)", promote="default", grad_name="PowBackward1", unsaved=_copied_wider)
def float_power(input: Any, exponent: Any) -> Any:
    """``input ** exponent`` in float64 (complex128)."""
    return _tensor_power(_double(input), _double(exponent))


@op("float_power(Scalar self, Tensor exponent)", promote="default", promoted=("self", "exponent"), where="torch",
    grad_name="PowBackward2", unsaved=_copied_wider)  # fmt: skip
def float_power_of_number(self: Any, exponent: Any) -> Any:
    """A number to tensor powers in float64 (complex128)."""
    return _tensor_power(_double(self), _double(exponent))


@op("float_power(Tensor input, Number exponent)", elementwise=True, grad_name="PowBackward0", unsaved=_copied_wider)
def float_power_by_number(input: Any, exponent: Any) -> Any:
    """``input`` to the power of a number in float64 (complex128)."""
    return _number_power(promote_number(_double(input), exponent), exponent)


# The exponentials and logarithms that jax.numpy has with torch's meaning.


@op("exp(Tensor input)", promote="int_to_float", inplace=True)
def exp(input: Any) -> Any:
    """e to the input."""
    return complex_exp(input)


@op("exp2(Tensor input)", promote="int_to_float", inplace=True, aliases="special.exp2")
def exp2(input: Any) -> Any:
    """2 to the input."""
    return wide(_exp2)(input)


def _power_of_two(n: Any, kind: Any) -> Any:
    """2 ** n for an int32 n, exact down to the subnormals: two factors, each a bit pattern."""
    bias, shift, word = (127, 23, np.int32) if kind == np.float32 else (1023, 52, np.int64)
    half = n // 2
    parts = (jnp.clip(m, -bias + 1, bias + 1).astype(word) + word(bias) for m in (half, n - half))
    a, b = (lax.bitcast_convert_type(lax.shift_left(m, word(shift)), kind) for m in parts)
    return a * b


def _exp2_values(x: Any) -> Any:
    # exp(x log 2) would lose digits of large x, and 2 ** 3 would not be 8.
    limit = 400.0 if x.dtype == np.float32 else 2400.0
    whole = jnp.round(jnp.clip(x, -limit, limit))
    whole = jnp.where(jnp.isnan(whole), jnp.zeros_like(whole), whole)
    out = jnp.exp((x - whole) * constant(math.log(2.0), x)) * _power_of_two(whole.astype(np.int32), x.dtype)
    return jnp.where(x >= limit, jnp.full_like(x, math.inf), out)


_exp2_real = with_slope(_exp2_values, lambda ans, x: ans * constant(math.log(2.0), x))


def _exp2(x: Any) -> Any:
    return jnp.exp(x * constant(math.log(2.0), x)) if is_complex(x) else _exp2_real(x)


@op("expm1(Tensor input)", promote="int_to_float", inplace=True, aliases="special.expm1")
def expm1(input: Any) -> Any:
    """``exp(input) - 1`` without cancellation near 0."""
    return jnp.expm1(input)


@op("log(Tensor input)", promote="int_to_float", inplace=True)
def log(input: Any) -> Any:
    """Natural logarithm."""
    return complex_log(input)


def _scaled_parts(x: Any, factor: float) -> Any:
    """Times a real number, which no infinite part meets as 0."""
    return lax.complex(x.real * constant(factor, x.real), x.imag * constant(factor, x.imag)) if is_complex(x) else x * constant(factor, x)


def _log_in_base(base: float) -> Any:
    inverse = 1.0 / math.log(base)
    return with_slope(
        lambda x: _scaled_parts(complex_log(x), inverse),
        lambda _, x: 1 / (x * constant(math.log(base), x)),
    )


_log2, _log10 = _log_in_base(2.0), _log_in_base(10.0)


def _real_log(x: Any, base: float, rule: Any) -> Any:
    """In float64 for float32 inputs: powers of the base come out exact."""
    if x.dtype == np.float32:
        return rule(x.astype(np.float64)).astype(np.float32)
    return wide(rule)(x)


@op("log2(Tensor input)", promote="int_to_float", inplace=True)
def log2(input: Any) -> Any:
    """Logarithm in base 2."""
    return _real_log(input, 2.0, _log2)


@op("log10(Tensor input)", promote="int_to_float", inplace=True)
def log10(input: Any) -> Any:
    """Logarithm in base 10."""
    return _real_log(input, 10.0, _log10)


@op("log1p(Tensor input)", promote="int_to_float", inplace=True, grad_name="Log1PBackward0", aliases="special.log1p")
def log1p(input: Any) -> Any:
    """``log(1 + input)`` without cancellation near 0."""
    return jnp.log1p(input)


_sqrt = mirrored(jnp.sqrt)


@op("sqrt(Tensor input)", promote="int_to_float", inplace=True)
def sqrt(input: Any) -> Any:
    """Square root; nan for negative reals."""
    return _sqrt(input)


_rsqrt = with_slope(
    lambda x: 1 / _sqrt(x) if is_complex(x) else lax.rsqrt(x),
    lambda ans, x: constant(-0.5, x) * ans * ans * ans,
)


@op("rsqrt(Tensor input)", promote="int_to_float", inplace=True)
def rsqrt(input: Any) -> Any:
    """``1 / sqrt(input)``."""
    return wide(_rsqrt)(input)


def _times_power_of_two(x: Any, n: Any) -> Any:
    """``x * 2 ** n`` of integers, cast to int32 as C does: three factors in one direction, so that none leaves the type's range where the result is in it."""
    limit = 378 if x.dtype == np.float32 else 3066
    n = jnp.clip(n.astype(np.int32), -limit, limit)
    first = n // 3
    second = (n - first) // 2
    for m in (first, second, n - first - second):
        x = x * _power_of_two(m, x.dtype)
    return x


# torch's derivative is the power as the integers have it: 0 where the exponent is negative, wrapped where it is large.
_by_power_of_two = with_slope(_times_power_of_two, lambda _, x, n: jnp.where(n < 0, jnp.zeros_like(n), lax.shift_left(jnp.ones_like(n), n)), None)


@op("ldexp(Tensor input, Tensor other)", inplace=True, elementwise=True, grad_name="LdexpBackward0", unsaved="input", kept="result")
def ldexp(input: Any, other: Any) -> Any:
    """``input * 2 ** other``: of floats by integers exactly, in their own type."""
    kinds = [(_dtypes.from_np(np.dtype(a.dtype)), _dtypes.DIMENSIONED if a.ndim else _dtypes.ZERO_DIM) for a in (input, other)]
    if is_float(input) and kinds[1][0].category < 2:
        if is_bool(other):
            raise NotImplementedError("\"ldexp_cpu_exp\" not implemented for 'Bool'")
        return wide(lambda x: _by_power_of_two(x, other))(input)
    power_kind = _dtypes.default if kinds[1][0].category < 2 else kinds[1][0]
    common = _dtypes.result_type([kinds[0], (power_kind, kinds[1][1])])
    x, power = input.astype(common.np), other.astype(power_kind.np)
    return wide(lambda a, b: a * _exp2(b))(x, power.astype(common.np))


@op("frexp(Tensor input) -> (mantissa, exponent)", elementwise=True)
def frexp(input: Any) -> Any:
    """Mantissa in [0.5, 1) and int32 exponent, ``input = mantissa * 2 ** exponent``. RuntimeError unless floating point."""
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    x = input.astype(np.float32) if input.dtype.itemsize == 2 else input
    exponent = jnp.frexp(lax.stop_gradient(x))[1].astype(np.int32)
    return _mantissa(x, exponent).astype(input.dtype), exponent


_mantissa = with_slope(
    lambda x, exponent: jnp.frexp(x)[0].astype(x.dtype), lambda _, x, exponent: _power_of_two(-exponent, x.dtype), None
)
