"""clamp, maximum, minimum and their kin: where several inputs compete for a place, torch says who gets the gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._dtypes import C_NAMES
from jtorch._ops._complex_values import complex_exp, complex_log
from jtorch._ops._fitting import tensor_value, written_value
from jtorch._ops._lib import broadcast_shape, cast, dtype_of, is_complex, is_float, num
from jtorch._ops._pointwise import constant, is_bool, refuse, refuse_with, wide, with_slope
from jtorch._registry import Says, op


# Equal values share the gradient; next to a nan both get all of it (torch's masks).
def _max_slopes(flip: bool) -> tuple[Any, Any]:
    def lost(a: Any, b: Any) -> Any:
        return a > b if flip else a < b

    def slope(a: Any, b: Any) -> Any:
        return ~lost(a, b), jnp.where(a == b, constant(0.5, a), constant(1, a))

    return (lambda _, a, b: slope(a, b)), (lambda _, a, b: slope(b, a))


_maximum = with_slope(lax.max, *_max_slopes(False))
_minimum = with_slope(lax.min, *_max_slopes(True))


def _broadcast(fn: Any) -> Any:
    return lambda a, b: fn(*jnp.broadcast_arrays(a, b))


_maximum_values, _minimum_values = _broadcast(_maximum), _broadcast(_minimum)


@op("maximum(Tensor input, Tensor other)", promote="default", aliases="max")
def maximum(input: Any, other: Any) -> Any:
    """The larger of two, nan if either is."""
    refuse_with("maximum not implemented for complex tensors.", input, "c")
    return _maximum_values(input, other)


@op("minimum(Tensor input, Tensor other)", promote="default", aliases="min")
def minimum(input: Any, other: Any) -> Any:
    """The smaller of two, nan if either is."""
    refuse_with("minimum not implemented for complex tensors.", input, "c")
    return _minimum_values(input, other)


def _fmax_values(a: Any, b: Any) -> Any:
    return jnp.where((a >= b) | jnp.isnan(b), a, b)


def _fmin_values(a: Any, b: Any) -> Any:
    return jnp.where((a <= b) | jnp.isnan(b), a, b)


# The first of two equal values gets the gradient.
_fmax = with_slope(_fmax_values, lambda _, a, b: (a >= b) | jnp.isnan(b), lambda _, a, b: ~((a >= b) | jnp.isnan(b)))
_fmin = with_slope(_fmin_values, lambda _, a, b: (a <= b) | jnp.isnan(b), lambda _, a, b: ~((a <= b) | jnp.isnan(b)))


@op("fmax(Tensor input, Tensor other)", promote="default")
def fmax(input: Any, other: Any) -> Any:
    """The larger of two, ignoring nan."""
    refuse_with("fmax not implemented for complex tensors.", input, "c")
    return _fmax(input, other) if is_float(input) else jnp.maximum(input, other)


@op("fmin(Tensor input, Tensor other)", promote="default")
def fmin(input: Any, other: Any) -> Any:
    """The smaller of two, ignoring nan."""
    refuse_with("fmin not implemented for complex tensors.", input, "c")
    return _fmin(input, other) if is_float(input) else jnp.minimum(input, other)


def _not_below(x: Any, low: Any) -> Any:
    """The larger of two, nan if either is; ``x`` where they are equal, so that -0 stays."""
    return jnp.where((x < low) | (low != low), low, x) if is_float(x) else lax.max(x, low)


def _not_above(x: Any, high: Any) -> Any:
    return jnp.where((x > high) | (high != high), high, x) if is_float(x) else lax.min(x, high)


# clamp, as torch has it: on a bound the gradient goes to the input, so that what has come to lie there can leave it again; a bound gets it only where the input lies strictly beyond.
_clamp_low = with_slope(_broadcast(_not_below), lambda _, x, low: x >= low, lambda _, x, low: x < low)
_clamp_high = with_slope(_broadcast(_not_above), lambda _, x, high: x <= high, lambda _, x, high: x > high)

def _clamp_both_values(x: Any, low: Any, high: Any) -> Any:
    shape = jnp.broadcast_shapes(x.shape, low.shape, high.shape)
    x, low, high = (jnp.broadcast_to(a, shape) for a in (x, low, high))
    return _not_above(_not_below(x, low), high)


clamp_between = with_slope(
    _clamp_both_values,
    lambda _, x, low, high: (x >= low) & (x <= high),
    lambda _, x, low, high: (low < high) & (x < low),
    lambda _, x, low, high: (x > high) | (high < low),
)


def _check_clamp(input: Any) -> None:
    if is_complex(input):
        raise NotImplementedError("clamp is not supported for complex types")
    refuse("clamp_cpu", input, "b")


def _clamp(input: Any, min: Any, max: Any) -> Any:
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    _check_clamp(input)
    if min is None:
        return _clamp_high(input, max)
    return _clamp_low(input, min) if max is None else clamp_between(input, min, max)


def _bounds_fit(input: Any, *bounds: Any) -> Sequence[Any]:
    """A guard: bounds are numbers of the input's type, which must hold them. Of wider floats it is not looked at: most calls are such, and would take the long way."""
    kind = np.dtype(input.dtype)
    if kind.kind == "f" and kind.itemsize > 2:
        return ()
    return [wrong for b in bounds if b is not None and not (kind.kind in "iu" and np.dtype(getattr(b, "dtype", np.int64)).kind == "f") for wrong in written_value(input, b)]


@op("clamp(Tensor input, Tensor? min=None, Tensor? max=None)", promote="default", inplace=True, aliases="clip")
def clamp(input: Any, min: Any, max: Any) -> Any:
    """Bounded below by ``min`` and above by ``max`` (which wins where they cross)."""
    return _clamp(input, min, max)


@op("clamp(Tensor input, Scalar? min=None, Scalar? max=None)", promote="default", promoted=("input", "min", "max"), inplace=True,
    aliases="clip", grad_name="ClampBackward1", guard=_bounds_fit)  # fmt: skip
def clamp_numbers(input: Any, min: Any, max: Any) -> Any:
    """Bounded by numbers."""
    return _clamp(input, min, max)


@op("clamp_min(Tensor input, Tensor min)", promote="default", inplace=True, grad_name="ClampMinBackward1")
def clamp_min(input: Any, min: Any) -> Any:
    """Bounded below."""
    refuse("maximum_cpu", input, "c")
    return _clamp_low(input, min) if is_float(input) else jnp.maximum(input, min)


@op("clamp_min(Tensor input, Scalar min)", promote="default", promoted=("input", "min"), inplace=True, grad_name="ClampMinBackward0", guard=_bounds_fit)
def clamp_min_number(input: Any, min: Any) -> Any:
    """Bounded below by a number."""
    if is_complex(input):
        raise NotImplementedError("clamp is not supported for complex types")
    refuse("clamp_min_scalar_cpu", input, "b")
    return _clamp_low(input, min)


@op("clamp_max(Tensor input, Tensor max)", promote="default", inplace=True, grad_name="ClampMaxBackward1")
def clamp_max(input: Any, max: Any) -> Any:
    """Bounded above."""
    refuse("minimum_cpu", input, "c")
    return _clamp_high(input, max) if is_float(input) else jnp.minimum(input, max)


@op("clamp_max(Tensor input, Scalar max)", promote="default", promoted=("input", "max"), inplace=True, grad_name="ClampMaxBackward0", guard=_bounds_fit)
def clamp_max_number(input: Any, max: Any) -> Any:
    """Bounded above by a number."""
    if is_complex(input):
        raise NotImplementedError("clamp is not supported for complex types")
    refuse("clamp_max_scalar_cpu", input, "b")
    return _clamp_high(input, max)


@op("nan_to_num(Tensor input, float? nan=None, float? posinf=None, float? neginf=None)", elementwise=True, inplace=True)
def nan_to_num(input: Any, nan: float | None, posinf: float | None, neginf: float | None) -> Any:
    """nan replaced by 0, infinities by the largest finite numbers, or by those given."""
    if is_complex(input):
        return lax.complex(*(nan_to_num.fn(part, nan, posinf, neginf) for part in (input.real, input.imag)))
    if not is_float(input):
        return input
    info = jnp.finfo(input.dtype)
    zero, high, low = (
        constant(given if given is not None else fallback, input)
        for given, fallback in ((nan, 0.0), (posinf, float(info.max)), (neginf, float(info.min)))
    )
    out = jnp.where(jnp.isnan(input), zero, input)
    out = jnp.where(input == math.inf, high, out)
    return jnp.where(input == -math.inf, low, out)


def _says_of_bytes(condition: Any, *rest: Any) -> Sequence[Says]:
    if condition.dtype != np.uint8:
        return ()
    return (Says("where received a uint8 condition tensor. This behavior is deprecated and will be removed in a future version of PyTorch. Use a boolean condition instead.", once=True),)


def _number_fits(condition: Any, input: Any, other: Any) -> Sequence[Any]:
    """A guard: what ``_says_of_bytes`` says, and an integer type must hold the number beside it. (Halves take every one, as infinity.)"""
    found: list[Any] = list(_says_of_bytes(condition))
    for beside, number in ((input, other), (other, input)):
        if np.dtype(beside.dtype).kind in "iu":
            found += _bounds_fit(beside, number)
    return found


@op("where(Tensor condition, Tensor|Scalar input, Tensor|Scalar other)", promote="default", promoted=("input", "other"), where="torch", guard=_number_fits)
def where(condition: Any, input: Any, other: Any) -> Any:
    """``input`` where the condition holds, ``other`` elsewhere. RuntimeError unless the condition is bool (or uint8)."""
    if not is_bool(condition):
        if condition.dtype != jnp.uint8:
            raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {dtype_of(condition).legacy}")
        condition = condition != 0
    return jnp.where(condition, input, other)


@op("where(Tensor input, Tensor condition, Tensor|Scalar other)", promote="default", promoted=("input", "other"), where="Tensor", guard=lambda input, condition, other: _number_fits(condition, input, other))
def where_method(input: Any, condition: Any, other: Any) -> Any:
    """The tensor where the condition holds, ``other`` elsewhere."""
    return where.fn(condition, input, other)


@op("where(Tensor condition)", data_dependent=True, where="torch", out=False)
def where_true(condition: Any) -> Any:
    """The positions of the nonzero elements: one int64 vector for each dim."""
    return tuple(i.astype(np.int64) for i in np.nonzero(np.atleast_1d(condition)))


def _fill(input: Any, mask: Any, value: Any) -> Any:
    if not is_bool(mask):
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {C_NAMES[dtype_of(mask).name]}")
    broadcast_shape(mask.shape, input.shape)  # raises in torch's words
    return jnp.where(mask, value, input)


@op("masked_fill(Tensor input, Tensor mask, Tensor value)", inplace=True, expanded=True, out=False, grad_name="MaskedFillBackward1", guard=tensor_value)
def masked_fill_tensor(input: Any, mask: Any, value: Any) -> Any:
    """The same with a 0-dim tensor, which gets a gradient. RuntimeError when it has dims."""
    if value.ndim:
        raise RuntimeError(f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
    return _fill(input, mask, cast(value, dtype_of(input)))


@op("masked_fill(Tensor input, Tensor mask, Scalar value)", inplace=True, expanded=True, out=False, grad_name="MaskedFillBackward0", guard=written_value)
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``value`` where the bool mask is set, ``input`` elsewhere; the type is the input's."""
    return _fill(input, mask, num(value, input))


@op("heaviside(Tensor input, Tensor values)", inplace=True, elementwise=True, grad_name="torch::autograd::NotImplemented")
def heaviside(input: Any, values: Any) -> Any:
    """0 below 0, 1 above, ``values`` at 0. RuntimeError unless both have one type."""
    refuse_with("heaviside is not yet implemented for complex tensors.", input, "c")
    if input.dtype != values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    step = jnp.where(input > 0, jnp.ones_like(input), jnp.zeros_like(input)) if not is_bool(input) else input
    return jnp.where(input == 0, values, step)


def _log_add(exp: Any, log1p: Any) -> Any:
    def values(a: Any, b: Any) -> Any:
        top = jnp.maximum(a, b)
        gap = -jnp.abs(a - b)
        equal_inf = (a == b) & jnp.isinf(a)
        return jnp.where(equal_inf, a, top + log1p(exp(gap)))

    # The weight of a is exp(a) / (exp(a) + exp(b)), as torch computes it.
    return with_slope(values, lambda _, a, b: 1 / (1 + exp(b - a)), lambda _, a, b: 1 / (1 + exp(a - b)))


_LOG2 = math.log(2.0)
_logaddexp = _log_add(jnp.exp, jnp.log1p)
_logaddexp2 = _log_add(lambda x: jnp.exp2(x).astype(x.dtype), lambda x: jnp.log1p(x) * constant(1 / _LOG2, x))


def _share_values(d: Any) -> Any:
    small = jnp.exp(jnp.where(d.real > 0, -d, d))  # never overflows
    return jnp.where(d.real > 0, 1 / (1 + small), small / (1 + small))


# exp(a) / (exp(a) + exp(b)) for d = a - b; its own derivative would divide infinities.
_share = with_slope(_share_values, lambda ans, d: ans * _share(-d))


@jax.custom_jvp
def logaddexp_complex(a: Any, b: Any) -> Any:
    """``log(exp(a) + exp(b))``, the larger real part taken out first."""
    shape = jnp.broadcast_shapes(a.shape, b.shape)
    a, b = jnp.broadcast_to(a, shape), jnp.broadcast_to(b, shape)
    swap = b.real > a.real
    top, low = jnp.where(swap, b, a), jnp.where(swap, a, b)
    together = jnp.isinf(top.real) & (top.real == low.real)  # of two at -inf the second is taken; two at inf have an angle
    far = jnp.where(top.real < 0, b, complex_log(complex_exp(low) + complex_exp(top)))
    known = jnp.where(low.real == -math.inf, top, top + jnp.log1p(complex_exp(low - top)))
    unknown = jnp.isnan(a.real) | jnp.isnan(a.imag) | jnp.isnan(b.real) | jnp.isnan(b.imag)
    return jnp.where(unknown, np.array(complex(math.nan, math.nan), known.dtype), jnp.where(together, far, known))


@logaddexp_complex.defjvp
def logaddexp_complex_rule(primals: Any, tangents: Any) -> Any:
    (a, b), (ta, tb) = primals, tangents
    out = logaddexp_complex(a, b)
    return out, jnp.broadcast_to(ta * _share(a - b) + tb * _share(b - a), out.shape)


@op("logaddexp(Tensor input, Tensor other)", promote="default")
def logaddexp(input: Any, other: Any) -> Any:
    """``log(exp(input) + exp(other))`` without overflow."""
    refuse("logaddexp_cpu", input, "bi")
    return logaddexp_complex(input, other) if is_complex(input) else wide(_logaddexp)(input, other)


@op("logaddexp2(Tensor input, Tensor other)", promote="default", grad_name="Logaddexp2Backward0")
def logaddexp2(input: Any, other: Any) -> Any:
    """``log2(2 ** input + 2 ** other)`` without overflow."""
    refuse("logaddexp2_cpu", input, "bic")
    return wide(_logaddexp2)(input, other)
