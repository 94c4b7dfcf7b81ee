"""``torch._higher_order_ops.scan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._core.backward.control_flow import scanned
from jtorch._public import torch
from jtorch.utils._pytree import tree_flatten, tree_unflatten

from ._functions import called, mismatch, refuse
from ._turns import dimension, one_turn

__all__ = ["scan"]

Tensor = torch.Tensor
_NAME = "torch.ops.higher_order.scan"


def scan(combine_fn: Callable[..., Any], init: Any, xs: Any, *, dim: int = 0, reverse: bool = False) -> tuple[Any, Any]:
    """``carry, y = combine_fn(carry, x)`` for each ``x`` of ``xs`` along ``dim``, from ``init`` on: the last carry, and the ys stacked along ``dim``. One compiled loop, with gradients.

    ``init`` and ``xs``: tensors, or trees of them. A carry keeps its shape and type. RuntimeError for other arguments; torch._dynamo.exc.UncapturedHigherOrderOpError, a
    RuntimeError, for functions that write their inputs, return one of them, or change the carry. Source: torch._higher_order_ops.scan.
    """
    carries, spec_init = tree_flatten(init)
    leaves, spec_xs = tree_flatten(xs)
    if not leaves:
        return init, []
    dim = dimension(leaves[0].ndim, dim)
    if not callable(combine_fn):
        raise RuntimeError(f"Combine_fn must be a callable, but got {combine_fn}")
    if not isinstance(dim, int):
        raise RuntimeError("Dim must be an int, but got " + str(type(dim)))
    if not isinstance(reverse, bool):
        raise RuntimeError("Reverse must be a bool, but got " + str(type(reverse)))
    if not carries:
        raise RuntimeError("scan() operator requires init leaves.")
    for x in carries:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"All init leaves must be a Tensor but got {x}")
    for x in leaves:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"All xs leaves must be a Tensor but got {x}")
    if any(x.ndim <= dim or x.shape[dim] == 0 for x in leaves):
        raise RuntimeError("All xs leaves must at least have 'dim' number of dimensions and scan dimension > 0")
    if dim:
        leaves = [torch.movedim(x, dim, 0) for x in leaves]
    if reverse:
        leaves = [torch.flip(x, [0]) for x in leaves]
    specs: list[Any] = []

    def turn(given: list[Any], elements: list[Any]) -> Any:
        out = called(combine_fn, tree_unflatten(given, spec_init), tree_unflatten(elements, spec_xs))
        if not isinstance(out, (tuple, list)) or len(out) != 2:
            raise refuse("torch.scan: improper combine_fn number of returns", _NAME, f"Expect combine_fn to return a tuple (next_carry, y) but got {type(out).__name__}.")
        carry, y = out
        specs[:] = [tree_flatten(carry)[1], tree_flatten(y)[1]]
        return [*tree_flatten(carry)[0], *tree_flatten(y)[0]]

    region, elements = one_turn(_NAME, turn, carries, leaves)
    if region.tensors != [*range(len(region.leaves))]:
        raise refuse("HOP body output unsupported", _NAME, "HigherOrderOperator body's output must consist of tensors only.")
    if specs[0].num_leaves != len(carries):
        raise refuse("torch.scan: differing carry structure", _NAME, f"Expected init and carry to have the same number of leaves, got {len(carries)} and {specs[0].num_leaves}.")
    mismatch(_NAME, "init and carry", carries, region.outs[: len(carries)])
    last, ys = scanned(region, carries, elements, "ScanAutogradOpBackward")
    if reverse:
        ys = [torch.flip(y, [0]) for y in ys]
    if dim:
        ys = [torch.movedim(y, 0, dim) if dim < y.ndim else y for y in ys]
    return tree_unflatten(last, specs[0]), tree_unflatten(ys, specs[1])


scan.__module__ = "torch._higher_order_ops"
