"""What XLA makes of a call: how often each HLO operation stands in the optimized program, and which of them compute on int64."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable
from typing import Any

import jax

import jtorch as torch


def program(call: Callable[..., Any], *tensors: Any, grads: tuple[int, ...] = ()) -> str:
    """The optimized HLO of ``call``; with ``grads``, of its backward alone, by these arguments, from a given gradient of the result."""
    arrays = [torch.func.to_jax(t) for t in tensors]

    def forward(*xs: Any) -> Any:
        return torch.func.to_jax(call(*torch.func.to_torch(list(xs))))

    def backward(g: Any, *xs: Any) -> Any:
        g, *made = torch.func.to_torch([g, *xs])
        wanted = [made[i].requires_grad_() for i in grads]
        return torch.func.to_jax(list(torch.autograd.grad(call(*made), wanted, g)))

    if grads:
        out = jax.eval_shape(forward, *arrays)
        return jax.jit(backward).lower(out, *arrays).compile().as_text()
    return jax.jit(forward).lower(*arrays).compile().as_text()


_IDLE = frozenset(("parameter", "constant", "bitcast", "fusion", "tuple", "get-tuple-element", "broadcast", "iota", "convert", "call"))


def operations(text: str) -> dict[str, int]:
    """How often each operation stands there, those apart that only name, reshape or widen values."""
    found = collections.Counter(re.findall(r"= \S+ ([a-z][\w-]*)\(", text))
    return {k: n for k, n in sorted(found.items()) if k not in _IDLE}


def wide_integers(text: str) -> set[str]:
    """Operations whose result is an array of int64: arithmetic on indices that int32 would do."""
    return {w for w in re.findall(r"= s64\[\S* ([a-z][\w-]*)\(", text) if w not in _IDLE}
