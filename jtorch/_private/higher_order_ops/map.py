"""``torch._higher_order_ops.map``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._core.backward.control_flow import scanned
from jtorch._public import torch
from jtorch.utils._pytree import tree_flatten, tree_unflatten

from ._functions import called, refuse
from ._turns import one_turn

__all__ = ["map"]

Tensor = torch.Tensor
_NAME = "torch.ops.higher_order.map_impl"


def map(f: Callable[..., Any], xs: Any, *args: Any) -> Any:
    """``f(x, *args)`` for each ``x`` of ``xs`` along the first dim, stacked: one compiled loop, with gradients. ``xs``: a tensor, or a tree of them.

    RuntimeError for other arguments; torch._dynamo.exc.UncapturedHigherOrderOpError, a RuntimeError, for functions that write their inputs or return one of them.
    Source: torch._higher_order_ops.map.
    """
    leaves, spec = tree_flatten(xs)
    if not all(isinstance(t, Tensor) for t in leaves):
        raise RuntimeError(f"Mapped xs can only consist of tensors. Got xs {leaves}.")
    shapes = [x.shape for x in leaves]
    if shapes[0][0] == 0:
        raise RuntimeError("Leading dimensions of mapped xs cannot be 0.")
    if any(s[0] != shapes[0][0] for s in shapes):
        raise RuntimeError(f"Leading dimensions of mapped xs must be consistent. Got shapes {shapes}.")
    region, elements = one_turn(_NAME, lambda _, given: called(f, tree_unflatten(given, spec), *args), [], leaves)
    if region.tensors != [*range(len(region.leaves))]:
        raise refuse("HOP body output unsupported", _NAME, "HigherOrderOperator body's output must consist of tensors only.")
    _, ys = scanned(region, [], elements, "MapAutogradOpBackward")
    return tree_unflatten(ys, region.spec)


map.__module__ = "torch._higher_order_ops"
