"""Signs, absolute values and roundings."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._ops._lib import dtype_of, is_complex, is_float, joined, quotient, sign_of
from jtorch._ops._pointwise import constant, flat, is_bool, kernel_error, refuse, wide, with_slope
from jtorch._registry import op

# d|x| = sgn(x), which is 0 at 0 and at nan.
_abs_real = with_slope(jnp.abs, lambda _, x: sign_of(x))


@jax.custom_jvp
def _abs_complex(x: Any) -> Any:
    return jnp.abs(x)


@_abs_complex.defjvp
def _abs_rule(primals: Any, tangents: Any) -> Any:
    (z,), (t,) = primals, tangents
    unit = _sgn_complex(z)
    return _abs_complex(z), unit.real * t.real + unit.imag * t.imag


@op("abs(Tensor input)", elementwise=True, inplace="In-place abs is not supported for complex tensors.", aliases="absolute", second="MulBackward0")
def abs(input: Any) -> Any:
    """Absolute value; the modulus (real) of complex numbers."""
    refuse("abs_cpu", input, "b")
    return _abs_complex(input) if is_complex(input) else _abs_real(input)


@op("sign(Tensor input)", elementwise=True, inplace=True)
def sign(input: Any) -> Any:
    """-1, 0 or 1; nan has sign 0 (torch's convention)."""
    if is_complex(input):
        raise NotImplementedError(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead."
        )
    return input if is_bool(input) else _sign(input)


_sign = flat(lambda x: (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype))


@jax.custom_jvp
def _sgn_complex(z: Any) -> Any:
    size = jnp.abs(z)
    zero = size == 0
    return jnp.where(zero, jnp.zeros_like(z), z / jnp.where(zero, jnp.ones_like(size), size))


@_sgn_complex.defjvp
def _sgn_rule(primals: Any, tangents: Any) -> Any:
    (z,), (t,) = primals, tangents
    unit, size = _sgn_complex(z), _abs_complex(z)
    zero = size == 0
    along = unit.real * t.real + unit.imag * t.imag
    moved = (t - along * unit) / jnp.where(zero, jnp.ones_like(size), size)
    return unit, jnp.where(zero, jnp.zeros_like(z), moved)


@op("sgn(Tensor input)", elementwise=True, inplace=True, kept="input result")
def sgn(input: Any) -> Any:
    """``sign`` for reals, ``z / |z|`` (0 at 0) for complex numbers."""
    if is_complex(input):
        return _sgn_complex(input)
    return input if is_bool(input) else _sign(input)


def _round_off(name: str, fn: Any, input: Any) -> Any:
    refuse(f"{name}_vml_cpu", input, "b")
    if is_complex(input):
        if name == "round":
            kernel_error("round_vml_cpu", input)
        raise NotImplementedError(f"{name} is not supported for complex inputs")
    return fn(input) if is_float(input) else input


_floor, _ceil, _trunc, _round = (flat(f) for f in (lambda x: lax.floor(x), lambda x: lax.ceil(x), lambda x: jnp.trunc(x),
                                                   lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)))  # fmt: skip


@op("floor(Tensor input)", elementwise=True, inplace=True)
def floor(input: Any) -> Any:
    """Rounded down; integers as they are."""
    return _round_off("floor", _floor, input)


@op("ceil(Tensor input)", elementwise=True, inplace=True)
def ceil(input: Any) -> Any:
    """Rounded up; integers as they are."""
    return _round_off("ceil", _ceil, input)


@op("trunc(Tensor input)", elementwise=True, inplace=True, aliases="fix")
def trunc(input: Any) -> Any:
    """Rounded towards zero; integers as they are."""
    return _round_off("trunc", _trunc, input)


@op("frac(Tensor input)", elementwise=True, inplace=True)
def frac(input: Any) -> Any:
    """``input - trunc(input)``. Floating point only."""
    refuse("frac_cpu", input, "bic")
    return input - _trunc(input)


@op("round(Tensor input)", elementwise=True, inplace=True)
def round(input: Any) -> Any:
    """Rounded to the nearest integer, halves to even."""
    return _round_off("round", _round, input)


@op("round(Tensor input, *, int decimals)", elementwise=True, inplace=True, grad_name="RoundBackward1")
def round_decimals(input: Any, decimals: int) -> Any:
    """Rounded to so many decimals, halves to even."""
    refuse("round_vml_cpu" if decimals == 0 else "round_cpu", input, "bic")

    def compute(x: Any) -> Any:
        if decimals == 0:
            return _round(x)
        scale = constant(10.0 ** np.abs(decimals), x)
        return quotient(_round(x * scale), scale) if decimals > 0 else _round(quotient(x, scale)) * scale

    return wide(compute)(input)


@op("round(Tensor input, *, int decimals=0)", elementwise=True, where="special", grad_name="RoundBackward1")
def special_round(input: Any, decimals: int) -> Any:
    """Rounded to so many decimals, halves to even."""
    return round.fn(input) if decimals == 0 else round_decimals.fn(input, decimals)


@op("signbit(Tensor input)", elementwise=True)
def signbit(input: Any) -> Any:
    """True where the sign bit is set (-0.0 included)."""
    if is_complex(input):
        raise NotImplementedError("signbit is not implemented for complex tensors.")
    return jnp.signbit(input) if is_float(input) else input < 0 if not is_bool(input) else jnp.zeros(input.shape, bool)


def _copysign_slope(ans: Any, x: Any, sign_from: Any) -> Any:
    return jnp.where(x == 0, jnp.zeros_like(ans), lax.stop_gradient(ans / jnp.where(x == 0, jnp.ones_like(x), x)))


_copysign = with_slope(jnp.copysign, _copysign_slope, None)


@op("copysign(Tensor input, Tensor other)", promote="int_to_float", inplace=True, second="MulBackward0")
def copysign(input: Any, other: Any) -> Any:
    """The size of ``input`` with the sign of ``other``."""
    refuse("copysign_cpu", input, "c")
    return _copysign(input, other)


@op("copysign(Tensor input, Scalar other)", promote="int_to_float", promoted=("input", "other"), inplace=True,
    grad_name="CopysignBackward1")  # fmt: skip
def copysign_number(input: Any, other: Any) -> Any:
    """The size of ``input`` with the sign of a number."""
    refuse("copysign_cpu", input, "c")
    return _copysign(input, other)


def _nextafter_values(x: Any, y: Any) -> Any:
    if x.dtype.itemsize > 2:
        return jnp.nextafter(x, y)
    # XLA has no 16-bit nextafter: step the bit pattern.
    shape = jnp.broadcast_shapes(x.shape, y.shape)
    x, y = jnp.broadcast_to(x, shape), jnp.broadcast_to(y, shape)
    bits = lax.bitcast_convert_type(x, np.int16)
    wide_x, wide_y = x.astype(np.float32), y.astype(np.float32)
    away = (wide_x > 0) == (wide_y > wide_x)
    step = jnp.where(away, bits + np.int16(1), bits - np.int16(1))
    from_zero = jnp.where(wide_y > 0, np.int16(1), np.int16(-0x7FFF))
    out = lax.bitcast_convert_type(jnp.where(wide_x == 0, from_zero, step), x.dtype)
    out = jnp.where(wide_x == wide_y, y, out)
    return jnp.where(jnp.isnan(wide_x) | jnp.isnan(wide_y), jnp.full_like(x, np.nan), out)


# The step is a constant where there is one, and copies ``other`` where both are equal.
_nextafter = with_slope(
    _nextafter_values, lambda _, x, y: (x != y).astype(x.dtype), lambda _, x, y: (x == y).astype(x.dtype)
)


@op("nextafter(Tensor input, Tensor other)", promote="default", inplace=True)
def nextafter(input: Any, other: Any) -> Any:
    """The next representable number from ``input`` towards ``other``."""
    refuse("nextafter_cpu", input, "bic")
    return _nextafter(input, other)


@jax.custom_jvp
def _angle_complex(z: Any) -> Any:
    return jnp.arctan2(z.imag, z.real)


@_angle_complex.defjvp
def _angle_rule(primals: Any, tangents: Any) -> Any:
    (z,), (t,) = primals, tangents
    square = z.real * z.real + z.imag * z.imag
    zero = square == 0
    moved = (z.real * t.imag - z.imag * t.real) / jnp.where(zero, jnp.ones_like(square), square)
    return _angle_complex(z), jnp.where(zero, jnp.zeros_like(square), moved)


def _angle_real_values(x: Any) -> Any:
    # -0.0 has angle 0 and nan has angle nan.
    return jnp.where(jnp.isnan(x), x, jnp.where(x < 0, constant(np.pi, x), jnp.zeros_like(x)))


_angle_real = flat(_angle_real_values)


@op("angle(Tensor input)", promote="int_to_float", kept="input")
def angle(input: Any) -> Any:
    """The argument in radians: pi for negative reals, 0 for the others."""
    return _angle_complex(input) if is_complex(input) else _angle_real(input)


@op("conj_physical(Tensor input)", elementwise=True, inplace=True)
def conj_physical(input: Any) -> Any:
    """Complex conjugate, computed."""
    return jnp.conj(input) if is_complex(input) else input


def _check_parts(real: Any, imag: Any) -> None:
    kinds = [dtype_of(x) for x in (real, imag)]
    if any(k.name not in ("float16", "float32", "float64") for k in kinds):
        raise RuntimeError(f"Expected both inputs to be Half, Float or Double tensors but got {kinds[0].legacy} and {kinds[1].legacy}")
    if kinds[0] is not kinds[1]:
        raise RuntimeError(f"Expected object of scalar type {kinds[0].legacy} but got scalar type {kinds[1].legacy} for second argument")


@op("complex(Tensor real, Tensor imag)", elementwise=True, where="torch",
    out="Expected object of scalar type {0} but got scalar type {1} for argument 'out'", kept="real:real imag:imag")  # fmt: skip
def complex(real: Any, imag: Any) -> Any:
    """Complex numbers from their parts, which have one floating type."""
    _check_parts(real, imag)
    return joined(*jnp.broadcast_arrays(real, imag))


@op("polar(Tensor abs, Tensor angle)", elementwise=True, where="torch", unsaved="abs angle", kept="result")
def polar(abs: Any, angle: Any) -> Any:
    """Complex numbers from modulus and argument."""
    _check_parts(abs, angle)
    refuse("polar_cpu", abs, "h")
    return lax.complex(*jnp.broadcast_arrays(abs * jnp.cos(angle), abs * jnp.sin(angle)))
