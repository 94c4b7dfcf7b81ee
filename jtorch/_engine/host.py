"""Running operators on the host with numpy alone, for processes that must not touch XLA.

XLA's threads do not survive a fork: in the child every compilation and most executions hang. A forked process (a DataLoader's worker) therefore runs its
traces here: each operator's function is traced to a jaxpr, as everywhere, and the jaxpr's primitives are looked up in ``host_rules.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from .entry import Entry
from .host_rules import RULES

__all__ = ["execute_on_host", "function_on_host", "run_jaxpr"]

_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_functions: dict[Entry, Callable[..., list[np.ndarray]]] = {}


def execute_on_host(tr: Any, why: str) -> None:
    """What ``executor.execute`` does, without XLA: compute the outputs of a trace that are still held."""
    from .executor import _needed
    from .trace import SCALAR

    live, held = [], []
    for i, w in enumerate(tr.outputs):
        v = w()
        if v is not None:
            live.append(i)
            held.append(v)
    arrays = [host_array(v.array) for v in tr.inputs]
    needed = set(_needed(tr.nodes, live))
    made: list[Any] = []
    try:
        with np.errstate(all="ignore"):
            for k, (entry, *refs) in enumerate(tr.nodes):
                if k not in needed:
                    made.extend([None] * len(entry.outs))
                    continue
                given = [made[p] if p >= 0 else arrays[-1 - p] if p > SCALAR else np.asarray(tr.scalars[SCALAR - p]) for p in refs]
                made.extend(function_on_host(entry)(*given))
    except BaseException:
        for v in held:
            v.trace, v.array = None, None
        raise
    finally:
        tr.nodes, tr.outputs, tr.inputs = [], [], []
    for i, v in zip(live, held, strict=True):
        v.array, v.trace = made[i], None


def host_array(array: Any) -> np.ndarray:
    """An array of the parent process as numpy's. RuntimeError for one on an accelerator, which a forked process cannot reach."""
    if isinstance(array, np.ndarray):
        return array
    where = next(iter(array.devices()))
    if where.platform != "cpu":
        raise RuntimeError(
            "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method"
        )
    return np.asarray(array)


def function_on_host(entry: Entry) -> Callable[..., list[np.ndarray]]:
    """The operator of an entry as a function of numpy arrays."""
    found = _functions.get(entry)
    if found is None:
        closed = jax.make_jaxpr(entry.call.apply)(*entry.structs())
        found = _functions[entry] = lambda *arrays: run_jaxpr(closed, arrays)
    return found


def run_jaxpr(closed: ClosedJaxpr, arrays: Any) -> list[np.ndarray]:
    """Evaluate a closed jaxpr on numpy arrays."""
    jaxpr = closed.jaxpr
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, [np.asarray(c) for c in closed.consts], strict=True))
    known.update(zip(jaxpr.invars, arrays, strict=True))

    def read(v: Any) -> Any:
        return np.asarray(v.val, v.aval.dtype) if isinstance(v, Literal) else known[v]

    for eqn in jaxpr.eqns:
        outs = _apply(eqn, [read(v) for v in eqn.invars])
        for v, out in zip(eqn.outvars, outs, strict=True):
            kind = v.aval.dtype
            out = np.asarray(out)
            known[v] = out if out.dtype == kind else out.astype(kind)
    return [read(v) for v in jaxpr.outvars]


def _apply(eqn: Any, args: list[Any]) -> Any:
    name, params = eqn.primitive.name, eqn.params
    control = _CONTROL.get(name)
    if control is not None:
        return control(args, **params)
    fn = RULES.get(name)
    if fn is not None:
        out = fn(*args, **params)
        return out if eqn.primitive.multiple_results else (out,)
    for key in _INNER:
        if key in params:
            inner = params[key]
            return run_jaxpr(inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, ()), args)
    raise RuntimeError(
        f"the primitive {name!r} cannot be computed in a forked process, where XLA does not run. Do this in the main process, "
        "or start workers with multiprocessing_context='spawn'."
    )


def _while(args: list[Any], *, cond_jaxpr: Any, body_jaxpr: Any, cond_nconsts: int, body_nconsts: int, **params: Any) -> Any:
    cond, body = args[:cond_nconsts], args[cond_nconsts : cond_nconsts + body_nconsts]
    state = args[cond_nconsts + body_nconsts :]
    while bool(run_jaxpr(cond_jaxpr, [*cond, *state])[0]):
        state = run_jaxpr(body_jaxpr, [*body, *state])
    return state


def _cond(args: list[Any], *, branches: Any, **params: Any) -> Any:
    which = min(max(int(args[0]), 0), len(branches) - 1)
    return run_jaxpr(branches[which], args[1:])


def _scan(args: list[Any], *, jaxpr: Any, length: int, reverse: bool, num_consts: int, num_carry: int, **params: Any) -> Any:
    consts, carry, xs = args[:num_consts], args[num_consts : num_consts + num_carry], args[num_consts + num_carry :]
    stacks: list[list[Any]] = [[] for _ in jaxpr.jaxpr.outvars[num_carry:]]
    for i in reversed(range(length)) if reverse else range(length):
        out = run_jaxpr(jaxpr, [*consts, *carry, *(x[i] for x in xs)])
        carry = out[:num_carry]
        for stack, y in zip(stacks, out[num_carry:], strict=True):
            stack.append(y)
    shapes = [v.aval for v in jaxpr.jaxpr.outvars[num_carry:]]
    ys = [np.stack(s[::-1] if reverse else s) if s else np.zeros((0, *a.shape), a.dtype) for s, a in zip(stacks, shapes, strict=True)]
    return [*carry, *ys]


_CONTROL: dict[str, Callable[..., Any]] = {"while": _while, "cond": _cond, "scan": _scan}
