"""The sums in backward programs: those of half types are taken in float32, those over rows of many columns as products.

The transpose of a broadcast is a sum, which JAX takes in the type it finds. XLA then rounds the running sum to the half type after every
addition, so that the gradient of a bias over a batch of 200 is off by ten times what torch's is, which adds in float32 and rounds once.
Sums over rows of many columns are products there (``column_sums``), as they are where a program asks for the sum itself.
And many sums of products with one factor, as the gradient of a convolution's weights has them where each channel is by itself, are taken in one pass.
A gradient of weights with many more rows than columns is a product that sums over the rows of both factors: XLA's cpu library takes up to four times as long for it as for the same product of
factors that lie the other way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Literal, Var, jaxpr_as_fun

from jtorch import _dtypes
from jtorch._ops._lib import column_sums, on_cpu

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
    return closed.replace(jaxpr=closed.jaxpr.replace(eqns=[new for eqn in _gathered(closed.jaxpr.eqns) for new in _equations(eqn)]))


_MANY = 4  # sums from which on one pass for all pays: nine of 64 channels of 64 x 64, 16 images, 59 ms by themselves, 6 so


def _sums(axes: tuple[int, ...], *products: Any) -> list[Any]:
    """The sums of arrays of one shape over axes, the last among them: over that one for all at once, then over the others."""
    last = products[0].ndim - 1
    zero = np.zeros((), products[0].dtype)
    rows = lax.reduce(products, (zero,) * len(products), lambda a, b: tuple([x + y for x, y in zip(a, b, strict=True)]), (last,))
    rest = tuple([a for a in axes if a != last])
    return [jnp.sum(r, rest) if rest else r for r in rows]


def _rule(axes: tuple[int, ...], primals: Any, tangents: Any) -> Any:
    return _in_one_pass(axes, *primals), [jnp.sum(t, axes) for t in tangents]


_in_one_pass = jax.custom_jvp(_sums, nondiff_argnums=(0,))
_in_one_pass.defjvp(_rule)


def _gathered(eqns: list[Any]) -> list[Any]:
    """The equations, with many sums that could be taken in one pass as one of them."""
    made = {v: eqn for eqn in eqns for v in eqn.outvars if eqn.primitive is lax.mul_p}
    groups: dict[Any, list[Any]] = {}
    for eqn in eqns:
        if eqn.primitive is lax.reduce_sum_p and isinstance(eqn.invars[0], Var) and eqn.invars[0] in made:
            x = eqn.invars[0].aval
            if x.dtype == np.float32 and x.ndim - 1 in eqn.params["axes"] and _large(x):
                for factor in {v for v in made[eqn.invars[0]].invars if isinstance(v, Var)}:
                    groups.setdefault((x.shape, tuple(eqn.params["axes"]), factor), []).append(eqn)
    group = max(groups.values(), key=len, default=[])
    if len(group) < _MANY or not on_cpu():
        return eqns
    members, last = {id(eqn) for eqn in group}, group[-1]
    out: list[Any] = []
    waiting: list[Any] = []
    later = {v for eqn in group for v in eqn.outvars}  # what is not there before the last of them
    for eqn in eqns:
        if id(eqn) in members:
            if eqn.invars[0] in later:  # a sum of what another one has given
                return eqns
            if eqn is last:
                out += [*_one_pass(group), *waiting]
                later, waiting = set(), []
        elif any([not isinstance(v, Literal) and v in later for v in eqn.invars]):
            waiting.append(eqn)
            later.update(eqn.outvars)
        else:
            out.append(eqn)
    return out


def _one_pass(group: list[Any]) -> list[Any]:
    axes = tuple(group[0].params["axes"])
    program = jax.make_jaxpr(lambda *arrays: _in_one_pass(axes, *arrays))(*[eqn.invars[0].aval for eqn in group]).jaxpr
    names = {**dict(zip(program.invars, [eqn.invars[0] for eqn in group], strict=True)), **dict(zip(program.outvars, [eqn.outvars[0] for eqn in group], strict=True))}
    return [
        step.replace(invars=[v if isinstance(v, Literal) else names.get(v, v) for v in step.invars], outvars=[names.get(v, v) for v in step.outvars]) for step in program.eqns
    ]  # fmt: skip


def _equations(eqn: Any) -> Iterator[Any]:
    if eqn.primitive.name == "jit":
        yield eqn.replace(params={**eqn.params, "jaxpr": _rewritten(eqn.params["jaxpr"])})
    elif eqn.primitive is lax.reduce_sum_p and (eqn.outvars[0].aval.dtype in _HALF or _large(eqn.invars[0].aval)):
        x = eqn.invars[0].aval
        yield from _instead(eqn, lambda a: _sum(a.astype(np.float32) if x.dtype in _HALF else a, eqn.params).astype(x.dtype), x)
    elif eqn.primitive is lax.dot_general_p and _tall(eqn):
        yield from _instead(eqn, lambda a, b: _lying(a, b, eqn.params), *[v.aval for v in eqn.invars])
    else:
        yield eqn


_TALL, _NARROW = 256, 64


def _tall(eqn: Any) -> bool:
    """Whether it is a product of two matrices of float32, summed over the rows of both (which may be several dims), that is at least twice as high as it is wide."""
    (left, right), batch = eqn.params["dimension_numbers"]
    a, b = (v.aval for v in eqn.invars)
    rows = tuple(range(a.ndim - 1))
    if any(batch) or not rows or not (tuple(left) == tuple(right) == rows) or b.ndim != a.ndim or not (a.dtype == b.dtype == eqn.outvars[0].aval.dtype == np.float32):
        return False
    high, wide = a.shape[-1], b.shape[-1]
    return isinstance(high, int) and isinstance(wide, int) and high >= max(_TALL, 2 * wide) and on_cpu() and jax.device_count() == 1  # several devices may have a part of the rows each


def _lying(a: Any, b: Any, params: dict[str, Any]) -> Any:
    """``a.T @ b`` over all rows, ``a`` written out transposed; of few columns as ``(b.T @ a).T``.

    µs on two cores, as it is, by the first and by the second: 1,024 rows giving 1024 x 32 2233 934 646, 2,048 giving 1024 x 256 8616 6762 6438, 256 giving 512 x 128 530 395 325; as high as wide or wider, neither pays.
    """
    rest = {k: v for k, v in params.items() if k != "dimension_numbers"}
    if b.shape[-1] <= _NARROW:
        return lax.optimization_barrier(lax.dot_general_p.bind(b, a, dimension_numbers=params["dimension_numbers"], **rest)).T
    rows = a.ndim - 1
    turned = lax.optimization_barrier(lax.transpose(a, (rows, *range(rows))))
    return lax.dot_general_p.bind(turned, b, dimension_numbers=((tuple(range(1, a.ndim)), tuple(range(rows))), ((), ())), **rest)


def _instead(eqn: Any, fn: Callable[..., Any], *given: Any) -> Iterator[Any]:
    """The equations of a function of what an equation is given, with one result, in its place."""
    program = jax.make_jaxpr(fn)(*given).jaxpr
    names = {**dict(zip(program.invars, eqn.invars, strict=True)), program.outvars[0]: eqn.outvars[0]}
    for step in program.eqns:
        yield step.replace(invars=[v if isinstance(v, Literal) else names.get(v, v) for v in step.invars], outvars=[names.get(v, v) for v in step.outvars])


def _sum(x: Any, params: dict[str, Any]) -> Any:
    found = column_sums(x, params["axes"])
    return lax.reduce_sum_p.bind(x, **params) if found is None else found
