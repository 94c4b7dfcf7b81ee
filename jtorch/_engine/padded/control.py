"""Calls, loops and branches. A loop over a changing dim turns as often as the true size says."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr

from jtorch._engine.values.calls import CALLS, called
from jtorch._ops._lib import ROOMY

from .dims import Frame, is_symbolic
from .layout import index
from .table import NoRule, evaluate, rule
from .value import Padded, single, standard, whole

__all__: list[str] = []


@rule(*CALLS)
def _call(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    better = ROOMY.get(eqn.params.get("name"))
    if better is not None:
        shapes = [f.dims(v.aval.shape) for v in eqn.invars]
        out = better([[f.true(d) if is_symbolic(d) else d for d in shape] for shape in shapes], *[standard(f, p, shape).array for p, shape in zip(ps, shapes, strict=True)])
        if out is not None:
            return [standard(f, Padded(x, single(shape)), shape) for i, x in enumerate(out) for shape in (f.out(eqn, i),)]
    inner = called(eqn)
    if inner is None:
        raise NoRule(eqn.primitive.name)
    return evaluate(f, inner, ps)


def _standards(f: Frame, values: list[Padded], avals: Any) -> list[Padded]:
    return [standard(f, p, f.dims(v.aval.shape)) for p, v in zip(values, avals, strict=True)]


@rule("scan")
def _scan(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    q, inner = eqn.params, eqn.params["jaxpr"]
    if "num_carry" in q:
        n_consts, n_carry = q["num_consts"], q["num_carry"]
    else:  # jax 0.11 says it by three trees: constants, carry, what is scanned
        n_consts, n_carry = (len(list(tree)) for tree in q["ft_in"].unpack()[:2])
    length = f.dim(q["length"])
    variables = inner.jaxpr.invars
    constants, carry, xs = ps[:n_consts], ps[n_consts : n_consts + n_carry], ps[n_consts + n_carry :]
    carry = _standards(f, carry, variables[n_consts : n_consts + n_carry])
    xs = [whole(f, x, [0]) for x in xs]
    results = inner.jaxpr.outvars[n_carry:]
    shapes = [f.dims(v.aval.shape) for v in results]
    ys = [jnp.zeros([f.pad(length), *[f.pad(d) for d in shape]], v.aval.dtype) for shape, v in zip(shapes, results, strict=True)]
    dims, count = [c.dims for c in carry], f.true(length)

    def body(i: Any, state: Any) -> Any:
        values, stacks = state
        k = count - 1 - i if q["reverse"] else i
        rows = [Padded(lax.dynamic_index_in_dim(x.array, k, 0, False), x.dims[1:]) for x in xs]
        out = evaluate(f, inner, [*constants, *[Padded(c, d) for c, d in zip(values, dims, strict=True)], *rows])
        new = _standards(f, out[:n_carry], inner.jaxpr.outvars[:n_carry])
        parts = [standard(f, y, shape) for y, shape in zip(out[n_carry:], shapes, strict=True)]
        return [c.array for c in new], [lax.dynamic_update_index_in_dim(s, y.array, k, 0) for s, y in zip(stacks, parts, strict=True)]

    values, ys = lax.fori_loop(np.int64(0), index(count), body, ([c.array for c in carry], ys))
    return [Padded(c, d) for c, d in zip(values, dims, strict=True)] + [Padded(y, single((length, *shape))) for y, shape in zip(ys, shapes, strict=True)]


@rule("while")
def _while(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    q = eqn.params
    n_cond, n_body = q["cond_nconsts"], q["body_nconsts"]
    known, constants = ps[:n_cond], ps[n_cond : n_cond + n_body]
    carry = _standards(f, ps[n_cond + n_body :], eqn.outvars)
    dims = [c.dims for c in carry]

    def values(arrays: Any) -> list[Padded]:
        return [Padded(a, d) for a, d in zip(arrays, dims, strict=True)]

    def test(arrays: Any) -> Any:
        return evaluate(f, q["cond_jaxpr"], [*known, *values(arrays)])[0].array

    def body(arrays: Any) -> Any:
        return [p.array for p in _standards(f, evaluate(f, q["body_jaxpr"], [*constants, *values(arrays)]), eqn.outvars)]

    return values(lax.while_loop(test, body, [c.array for c in carry]))


@rule("custom_linear_solve")
def _linear_solve(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    counts, programs = eqn.params["const_lengths"], eqn.params["jaxprs"]
    before, every = counts.matvec + counts.vecmat, counts.matvec + counts.vecmat + counts.solve + counts.transpose_solve
    return evaluate(f, programs.solve, [*ps[before : before + counts.solve], *ps[every:]])


@rule("platform_index")
def _platform(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    return Padded(eqn.primitive.bind(**eqn.params), ())


@rule("cond")
def _cond(f: Frame, eqn: Any, ps: list[Padded]) -> Any:
    shapes = [f.out(eqn, k) for k in range(len(eqn.outvars))]
    dims = [p.dims for p in ps[1:]]

    def branch(closed: ClosedJaxpr) -> Any:
        def run(arrays: Any) -> Any:
            out = evaluate(f, closed, [Padded(a, d) for a, d in zip(arrays, dims, strict=True)])
            return [standard(f, p, shape).array for p, shape in zip(out, shapes, strict=True)]

        return run

    platforms = eqn.params.get("branches_platforms")
    if platforms is not None:  # which branch it is the compiler knows
        by_name = {name: branch(b) for b, names in zip(eqn.params["branches"], platforms, strict=True) for name in names or ("default",)}
        out = lax.platform_dependent([p.array for p in ps[1:]], **by_name)
        return [Padded(a, single(shape)) for a, shape in zip(out, shapes, strict=True)]
    out = lax.switch(ps[0].array.astype(np.int32), [branch(b) for b in eqn.params["branches"]], [p.array for p in ps[1:]])
    return [Padded(a, single(shape)) for a, shape in zip(out, shapes, strict=True)]
