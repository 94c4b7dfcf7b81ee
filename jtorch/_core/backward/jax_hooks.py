"""Hooks on tensors inside JAX's transformations: what JAX brings back along a tensor goes through them, as through an identity of its own backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from jtorch._core.backward.replaced import replaced
from jtorch._core.graph.grad_modes import no_grad
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._engine.recording.trace import force
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.values import value_of
from jtorch._errors import not_implemented

__all__ = ["by_its_rule", "hooked_by_jax", "is_followed_by_jax", "traced_by"]


@contextmanager
def by_its_rule() -> Iterator[None]:
    """Within, gradients are off because there is a rule for them: JAX follows what is computed."""
    before, state.stops = state.stops, False
    try:
        yield
    finally:
        state.stops = before


def is_followed_by_jax(t: Tensor) -> bool:
    """Whether JAX traces the value of a tensor that is not on the tape, or what it is still to be computed from: its gradient, where it has one, is JAX's."""
    if t._edge is not None or aval_of(t).dtype.category < 2:
        return False
    v = t._s.value
    waits_for = v.trace
    if waits_for is None:
        return isinstance(v.array, jax.core.Tracer)
    return not waits_for.symbolic and any([isinstance(i.array, jax.core.Tracer) for i in waits_for.inputs])


def traced_by(t: Any) -> Any:
    """JAX's trace that a tensor's value is in; None where there is none."""
    return getattr(force(read(t)), "_trace", None) if isinstance(t, Tensor) else None


def hooked_by_jax(t: Tensor, hooks: Mapping[int, Any]) -> None:
    """From here on, what reads ``t`` reads it through ``hooks`` (those in the table when JAX goes backward). NotImplementedError for a view."""
    if t._view is not None:
        not_implemented("a hook on a view inside JAX's transformations", "put it on what is viewed, or on a clone()")

    kind = aval_of(t).dtype

    @jax.custom_vjp  # type: ignore[untyped-decorator]  # jax is not followed
    def through(array: Any) -> Any:
        return array

    def backward(_: Any, cotangent: Any) -> Any:
        with by_its_rule(), no_grad():
            g = new_tensor(value_of(cotangent, kind=kind))
            for hook in list(hooks.values()):
                g = replaced(hook, hook(g), g)
            return (force(g._s.value),)

    through.defvjp(lambda array: (array, None), backward)
    t._s.value = value_of(through(force(t._s.value)), kind=kind)
