"""Sums of half types in backward programs, taken in float32.

The transpose of a broadcast is a sum, which JAX takes in the type it finds. XLA then rounds the running sum to the half type after every
addition, so that the gradient of a bias over a batch of 200 is off by ten times what torch's is, which adds in float32 and rounds once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jtorch import _dtypes

__all__ = ["wide_sums"]

_HALF = frozenset(d.np for d in (_dtypes.float16, _dtypes.bfloat16))


def wide_sums(fn: Callable[..., Any], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """``tuple(fn(*arrays))`` for a function of and to arrays, with its sums over half types taken in float32."""
    if not any(getattr(a, "dtype", None) in _HALF for a in arrays):  # a constant is a Python number
        return tuple(fn(*arrays))
    return tuple(jaxpr_as_fun(_rewritten(jax.make_jaxpr(fn)(*arrays)))(*arrays))


def _rewritten(closed: ClosedJaxpr) -> ClosedJaxpr:
    return closed.replace(jaxpr=closed.jaxpr.replace(eqns=[new for eqn in closed.jaxpr.eqns for new in _equations(eqn)]))


def _equations(eqn: Any) -> Iterator[Any]:
    if eqn.primitive.name == "jit":
        yield eqn.replace(params={**eqn.params, "jaxpr": _rewritten(eqn.params["jaxpr"])})
    elif eqn.primitive is lax.reduce_sum_p and eqn.outvars[0].aval.dtype in _HALF:
        x = eqn.invars[0].aval
        program = jax.make_jaxpr(lambda a: lax.reduce_sum_p.bind(a.astype(np.float32), **eqn.params).astype(x.dtype))(x).jaxpr
        names = {program.invars[0]: eqn.invars[0], program.outvars[0]: eqn.outvars[0]}
        for step in program.eqns:
            yield step.replace(invars=[names.get(v, v) for v in step.invars], outvars=[names.get(v, v) for v in step.outvars])
    else:
        yield eqn
