"""The table of rules, one for each primitive, and the evaluation of a jaxpr by it.

A rule is ``rule(frame, equation, values) -> value or list of values``. It may rely on nothing about the padding of its inputs and need not care for that of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from .dims import Frame
from .value import Padded, single

__all__ = ["NoRule", "RULES", "evaluate", "rule"]

RULES: dict[str, Callable[[Frame, Any, list[Padded]], Any]] = {}


class NoRule(NotImplementedError):
    """A primitive, or a use of one, that cannot be evaluated on padded values."""


def rule(*names: str) -> Callable[[Any], Any]:
    """Enter a function into the table. ValueError if a primitive has a rule already."""

    def enter(fn: Any) -> Any:
        for name in names:
            if name in RULES:
                raise ValueError(f"{name} has a rule already")
            RULES[name] = fn
        return fn

    return enter


# What positions are made with. XLA makes more of a position that is a constant than of operations on constants.
_COUNTING: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal, "select_n": lambda which, *cases: cases[int(which)], "convert_element_type": lambda x: x, "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
}  # fmt: skip


def number(value: Any, kind: Any) -> Padded | None:
    """An integer, or a truth value, that is known before the program runs; None for anything else."""
    if np.ndim(value) or isinstance(value, jax.core.Tracer) or np.dtype(kind).kind not in "iub":
        return None
    return Padded(np.asarray(value, kind), ())


def _counted(eqn: Any, ps: Sequence[Padded]) -> Padded | None:
    """The result, where it can be known."""
    if eqn.primitive.name not in _COUNTING or not all([p.array.__class__ is np.ndarray and not p.dims for p in ps]):
        return None
    return number(_COUNTING[eqn.primitive.name](*[p.array for p in ps]), eqn.outvars[0].aval.dtype)


def evaluate(f: Frame, closed: ClosedJaxpr, values: Sequence[Padded]) -> list[Padded]:
    """A jaxpr's results. :class:`NoRule` names what stands in the way."""
    jaxpr = closed.jaxpr
    known: dict[Any, Padded] = {}
    for v, c in zip(jaxpr.constvars, closed.consts, strict=True):
        known[v] = Padded(jnp.asarray(c), single(np.shape(c)))
    known.update(zip(jaxpr.invars, values, strict=True))

    def read(v: Any) -> Padded:
        if isinstance(v, Literal):
            shape = f.dims(v.aval.shape)
            known_number = None if shape else number(v.val, v.aval.dtype)
            if known_number is not None:
                return known_number
            value = jnp.asarray(v.val, v.aval.dtype)
            return Padded(jnp.broadcast_to(value, [f.pad(d) for d in shape]) if shape and not value.ndim else value, single(shape))
        return known[v]

    for eqn in jaxpr.eqns:
        apply = RULES.get(eqn.primitive.name)
        if apply is None:
            raise NoRule(eqn.primitive.name)
        ps = [read(v) for v in eqn.invars]
        out = _counted(eqn, ps) or apply(f, eqn, ps)
        known.update(zip(eqn.outvars, out if isinstance(out, list) else [out], strict=True))
    return [read(v) for v in jaxpr.outvars]
