"""Elementwise primitives: nothing is masked, since each element depends on those at its own place alone."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from .dims import Frame
from .table import NoRule, rule
from .value import Padded, unified

__all__: list[str] = []

_NAMES = """
abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clz complex conj convert_element_type copy copy_p cos cosh
digamma div eq eq_to erf erf_inv erfc exp exp2 expm1 floor ge gt igamma igamma_grad_a igammac imag integer_pow is_finite le le_to lgamma log log1p log2 logistic lt lt_to
max min mul ne neg nextafter not one_minus_square optimization_barrier or polygamma polynomial population_count pow real reduce_precision regularized_incomplete_beta rem
round rsqrt shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor zeta
""".split()


@rule(*_NAMES)
def _elementwise(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    if eqn.primitive.multiple_results:  # optimization_barrier: each of its own shape
        return [Padded(a, p.dims) for a, p in zip(eqn.primitive.bind(*[p.array for p in ps], **eqn.params), ps, strict=True)]
    ps, dims = unified(f, ps, f.out(eqn))
    return Padded(eqn.primitive.bind(*_alike(ps), **eqn.params), dims)


def _alike(ps: list[Padded]) -> list[Any]:
    """Arrays of one shape: a scalar among others is broadcast."""
    shape = next((p.array.shape for p in ps if p.dims), ())
    return [p.array if p.dims else jnp.broadcast_to(p.array, shape) for p in ps]


@rule("select_n")
def _select(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    ps, dims = unified(f, ps, f.out(eqn))
    return Padded(eqn.primitive.bind(*_alike(ps), **eqn.params), dims)


@rule("clamp")
def _clamp(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    ps, dims = unified(f, ps, f.out(eqn))
    return Padded(eqn.primitive.bind(*_alike(ps), **eqn.params), dims)


@rule("bitcast_convert_type")
def _bitcast(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    if len(eqn.outvars[0].aval.shape) != len(eqn.invars[0].aval.shape):
        raise NoRule("bitcast_convert_type to another width")
    return Padded(eqn.primitive.bind(ps[0].array, **eqn.params), ps[0].dims)
