"""The sums in backward programs: those of half types are taken in float32, those over rows of many columns as products.

The transpose of a broadcast is a sum, which JAX takes in the type it finds. XLA then rounds the running sum to the half type after every
addition, so that the gradient of a bias over a batch of 200 is off by ten times what torch's is, which adds in float32 and rounds once.
Sums over rows of many columns are products there (``column_sums``), as they are where a program asks for the sum itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from jtorch import _dtypes
from jtorch._ops._lib import column_sums

__all__ = ["summed"]

_LARGE = 1 << 14
_HALF = frozenset(d.np for d in (_dtypes.float16, _dtypes.bfloat16))


def summed(fn: Callable[..., Any], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """``tuple(fn(*arrays))`` for a function of and to arrays, with its sums taken so."""
    if not any(getattr(a, "dtype", None) in _HALF or _large(a) for a in arrays):  # a constant is a Python number
        return tuple(fn(*arrays))
    return tuple(jaxpr_as_fun(_rewritten(jax.make_jaxpr(fn)(*arrays)))(*arrays))


def _large(a: Any) -> bool:
    """Whether it could be rows of many columns, which is looked into then. (Sizes that are symbols are not.)"""
    return all(isinstance(s, int) for s in getattr(a, "shape", (None,))) and math.prod(a.shape) >= _LARGE


def _rewritten(closed: ClosedJaxpr) -> ClosedJaxpr:
    return closed.replace(jaxpr=closed.jaxpr.replace(eqns=[new for eqn in closed.jaxpr.eqns for new in _equations(eqn)]))


def _equations(eqn: Any) -> Iterator[Any]:
    if eqn.primitive.name == "jit":
        yield eqn.replace(params={**eqn.params, "jaxpr": _rewritten(eqn.params["jaxpr"])})
    elif eqn.primitive is lax.reduce_sum_p and (eqn.outvars[0].aval.dtype in _HALF or _large(eqn.invars[0].aval)):
        x = eqn.invars[0].aval
        program = jax.make_jaxpr(lambda a: _sum(a.astype(np.float32) if x.dtype in _HALF else a, eqn.params).astype(x.dtype))(x).jaxpr
        names = {program.invars[0]: eqn.invars[0], program.outvars[0]: eqn.outvars[0]}
        for step in program.eqns:
            yield step.replace(invars=[v if isinstance(v, Literal) else names.get(v, v) for v in step.invars], outvars=[names.get(v, v) for v in step.outvars])
    else:
        yield eqn


def _sum(x: Any, params: dict[str, Any]) -> Any:
    found = column_sums(x, params["axes"])
    return lax.reduce_sum_p.bind(x, **params) if found is None else found
