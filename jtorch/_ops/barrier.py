"""A wall that XLA's optimizations do not see through."""

from __future__ import annotations

from jax import lax

from jtorch._registry import op


@op("barrier(Tensor[] inputs)", where="internal", out=False)
def barrier(inputs):
    """The inputs themselves; but what is computed from them is neither merged with an equal computation nor started before all are there."""
    return tuple(lax.optimization_barrier(tuple(inputs)))


@op("barrier_of_parts(Tensor[] inputs)", where="internal", out=False)
def barrier_of_parts(inputs):
    """As ``barrier``, before what is gathered from several devices: XLA merges no collectives of one program, so a program of its own is needed for the sake of memory alone."""
    return tuple(lax.optimization_barrier(tuple(inputs)))
