"""What XLA makes of a call: how often each HLO operation stands in the optimized program, and which of them compute on int64."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.export

import jtorch as torch


def program(call: Callable[..., Any], *tensors: Any, grads: tuple[int, ...] = ()) -> str:
    """The optimized HLO of ``call``; with ``grads``, of its backward alone, by these arguments, from a given gradient of the result."""
    fn, arrays = _function(call, tensors, grads)
    return jax.jit(fn).lower(*arrays).compile().as_text()


def exported(platform: str, call: Callable[..., Any], *tensors: Any, grads: tuple[int, ...] = ()) -> str:
    """The same as it is handed to another platform's compiler (StableHLO), which need not be there."""
    fn, arrays = _function(call, tensors, grads)
    return jax.export.export(jax.jit(fn), platforms=[platform])(*arrays).mlir_module()


def _function(call: Callable[..., Any], tensors: Any, grads: tuple[int, ...]) -> tuple[Callable[..., Any], list[Any]]:
    """The function of arrays, and what it is given."""
    arrays = [torch.func.to_jax(t) for t in tensors]

    def forward(*xs: Any) -> Any:
        return torch.func.to_jax(call(*torch.func.to_torch(list(xs))))

    def backward(g: Any, *xs: Any) -> Any:
        g, *made = torch.func.to_torch([g, *xs])
        wanted = [made[i].requires_grad_() for i in grads]
        return torch.func.to_jax(list(torch.autograd.grad(call(*made), wanted, g)))

    return (backward, [jax.eval_shape(forward, *arrays), *arrays]) if grads else (forward, arrays)


_IDLE = frozenset(("parameter", "constant", "bitcast", "fusion", "tuple", "get-tuple-element", "broadcast", "iota", "convert", "call"))


def operations(text: str) -> dict[str, int]:
    """How often each operation stands there, those apart that only name, reshape or widen values."""
    found = collections.Counter(re.findall(r"= \S+ ([a-z][\w-]*)\(", text))
    return {k: n for k, n in sorted(found.items()) if k not in _IDLE}


def stable_operations(text: str) -> dict[str, int]:
    """How often each operation of StableHLO stands there."""
    return dict(collections.Counter(re.findall(r"= \"?stablehlo\.([a-z_]+)", text)))


def wide_integers(text: str) -> set[str]:
    """Operations whose result is an array of int64: arithmetic on indices that int32 would do."""
    return {w for w in re.findall(r"= s64\[\S* ([a-z][\w-]*)\(", text) if w not in _IDLE}
