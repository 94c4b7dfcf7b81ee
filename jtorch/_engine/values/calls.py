"""Equations of a jaxpr that only call: the one place that knows JAX's names for them."""

from __future__ import annotations

from typing import Any

import jax
from jax.extend.core import ClosedJaxpr

__all__ = ["CALLS", "called"]

CALLS = frozenset("pjit jit closed_call core_call remat remat2 checkpoint custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr custom_lin call_hi_primitive".split())


def called(eqn: Any) -> ClosedJaxpr | None:
    """The program that an equation calls once on its operands; None if it is no such call."""
    if eqn.primitive.name not in CALLS:
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        found = eqn.params.get(name)
        if found is not None:
            return found if isinstance(found, ClosedJaxpr) else ClosedJaxpr(found, ())
    written = next((p for p in eqn.params.values() if hasattr(p, "expand")), None)  # JAX 0.12: a primitive that says by others what it computes, as searchsorted's
    return None if written is None else jax.make_jaxpr(written.expand)(*[jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars])
