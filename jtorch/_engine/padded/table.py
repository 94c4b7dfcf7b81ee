"""The table of rules, one for each primitive, and the evaluation of a jaxpr by it.

A rule is ``rule(frame, equation, values) -> value or list of values``. It may rely on nothing about the padding of its inputs and need not care for that of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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


def evaluate(f: Frame, closed: ClosedJaxpr, values: Sequence[Padded]) -> list[Padded]:
    """A jaxpr's results. :class:`NoRule` names what stands in the way."""
    jaxpr = closed.jaxpr
    known: dict[Any, Padded] = {}
    for v, c in zip(jaxpr.constvars, closed.consts, strict=True):
        known[v] = Padded(jnp.asarray(c), single(np.shape(c)))
    known.update(zip(jaxpr.invars, values, strict=True))

    def read(v: Any) -> Padded:
        if isinstance(v, Literal):
            shape, value = f.dims(v.aval.shape), jnp.asarray(v.val, v.aval.dtype)
            return Padded(jnp.broadcast_to(value, [f.pad(d) for d in shape]) if shape and not value.ndim else value, single(shape))
        return known[v]

    for eqn in jaxpr.eqns:
        apply = RULES.get(eqn.primitive.name)
        if apply is None:
            raise NoRule(eqn.primitive.name)
        out = apply(f, eqn, [read(v) for v in eqn.invars])
        known.update(zip(eqn.outvars, out if isinstance(out, list) else [out], strict=True))
    return [read(v) for v in jaxpr.outvars]
