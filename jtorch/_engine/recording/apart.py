"""What keeps two operators of a program two: XLA would compute them together, and otherwise than one after the other.

It takes ``log(exp(x))`` for ``x`` and ``exp(a) * exp(b)`` for ``exp(a + b)``, which are finite where torch's are not; ``a / b / c`` for ``a / (b * c)`` and ``a / sqrt(b)`` for ``a * rsqrt(b)``,
which are rounded otherwise. A value that is read so is multiplied by a one that XLA's algebra does not know to be one, and that is gone when loops are made of it.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._engine.padded import Padded

__all__ = ["label", "readers", "separate"]

_EXP = frozenset(("exp", "exp2"))
_POWERS = _EXP | {"pow", "square"}
_ROOTS = _POWERS | {"sqrt", "rsqrt"}
_QUOTIENTS = frozenset("div reciprocal sigmoid softmax mean rsqrt DivBackward0 LogBackward0 MeanBackward1".split())
_DIVISORS = _ROOTS | _QUOTIENTS
_NONE: frozenset[str] = frozenset()
# A reader's name to what may not stand at its places, by who made it.
_READERS: dict[str, tuple[frozenset[str], ...]] = {
    "log": (_ROOTS,), "log2": (_ROOTS,), "log10": (_ROOTS,), "sqrt": (_POWERS | {"mul"},), "pow": (_POWERS,), "mul": (_NONE, _EXP), "div": (_QUOTIENTS, _DIVISORS),
    "DivBackward0": (_DIVISORS,) * 3, "LogBackward0": (_DIVISORS, _QUOTIENTS),
}  # fmt: skip


def readers(entry: Any, inputs: int) -> tuple[frozenset[str], ...]:
    """For each of an operator's inputs: whose results are kept apart from it."""
    found = _READERS.get(entry.call.name, ())
    return (*found[:inputs], *(_NONE,) * (inputs - len(found)))


def label(entry: Any, labels: list[str], refs: list[Any]) -> str:
    """Who made an operator's results, as far as it matters: a view has what it shows."""
    general = getattr(entry.call, "general", None)  # of what stands for an operator in a program for many sizes
    op = entry.call.op if general is None else general.entry.call.op
    if op is not None and op.view and refs and refs[0].__class__ is int and refs[0] >= 0:
        return labels[refs[0]]
    return str(entry.call.name)


def separate(x: Any) -> Any:
    """The same values, which XLA does not see through."""
    if x.__class__ is Padded:
        return Padded(separate(x.array), x.dims)
    return x * lax.optimization_barrier(np.ones((), x.dtype)) if jnp.issubdtype(x.dtype, jnp.floating) else x
