"""``torch._higher_order_ops.associative_scan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._public import torch
from jtorch.utils._pytree import tree_flatten, tree_unflatten

from ._turns import dimension

__all__ = ["associative_scan"]

Tensor = torch.Tensor


def associative_scan(combine_fn: Callable[..., Any], xs: Any, dim: int, reverse: bool = False, combine_mode: str = "pointwise") -> Any:
    """What ``combine_fn(a, b)``, which must be associative, makes of the elements of ``xs`` along ``dim`` up to each: in a number of steps that grows with the logarithm of their
    number, with gradients. ``xs``: a tensor, or a tree of them of one size along ``dim``.

    ValueError for other arguments, and for ``combine_mode="pointwise"`` of tensors on the cpu. Source: torch._higher_order_ops.associative_scan.
    """
    leaves, spec = tree_flatten(xs)
    dim = dimension(leaves[0].ndim, dim)
    if not callable(combine_fn):
        raise ValueError(f"Combine_fn must be a callable, but got {combine_fn}")
    if not isinstance(dim, int):
        raise ValueError("Dim must be an int, but got " + str(type(dim)))
    if not isinstance(reverse, bool):
        raise RuntimeError("Reverse must be a bool, but got " + str(type(reverse)))
    if combine_mode not in ("pointwise", "generic"):
        raise ValueError(f"Combine_mode must either 'pointwise' or 'generic', but got {combine_mode}")
    if combine_mode == "pointwise" and not all(x.device.type in ("cuda", "xpu") for x in leaves):
        raise ValueError("For combine_mode='pointwise', all input tensors need to be on CUDA or XPU")
    if any(not isinstance(x, Tensor) for x in leaves):
        raise ValueError("xs leaves must be a Tensor")
    if any(x.is_sparse for x in leaves):
        raise ValueError("xs leaves must dense Tensors, consider using `to_dense()`")
    if any(x.ndim <= dim or x.shape[dim] == 0 for x in leaves):
        raise ValueError("All xs leaves must at least have 'dim' number of dimensions and scan dimension > 0")
    leaves = [torch.movedim(x, dim, 0) for x in leaves]
    if reverse:
        leaves = [torch.flip(x, [0]) for x in leaves]
    tree = tree_unflatten([0] * len(leaves), spec)
    both = torch.vmap(combine_fn, in_dims=(tree, tree), out_dims=0)

    def combined(a: list[Any], b: list[Any]) -> list[Any]:
        found = tree_flatten(both(tree_unflatten(a, spec), tree_unflatten(b, spec)))[0]
        if len(found) != len(leaves):
            raise AssertionError(f"Combine_fn received wrong number of arguments, expected {2 * len(leaves)}, but got {len(found) + len(leaves)}")
        return found

    outs = _scanned(combined, leaves)
    if reverse:
        outs = [torch.flip(x, [0]) for x in outs]
    return tree_unflatten([torch.movedim(x, 0, dim) for x in outs], spec)


def _scanned(combined: Callable[[list[Any], list[Any]], list[Any]], leaves: list[Any]) -> list[Any]:
    """Pairs are combined, the half as many scanned, and what lies between filled in."""
    size = leaves[0].shape[0]
    if size < 2:
        return leaves
    pairs = combined([x[:-1:2] for x in leaves], [x[1::2] for x in leaves])
    odd = _scanned(combined, pairs)
    even = combined([x[:-1] for x in odd] if size % 2 == 0 else odd, [x[2::2] for x in leaves]) if size > 2 else [x[:0] for x in leaves]
    even = [torch.cat([x[:1], e]) for x, e in zip(leaves, even, strict=True)]
    return [_interleaved(e, o) for e, o in zip(even, odd, strict=True)]


def _interleaved(a: Any, b: Any) -> Any:
    n = b.shape[0]
    both = torch.stack([a[:n], b], 1).flatten(0, 1)
    return both if a.shape[0] == n else torch.cat([both, a[n:]])


associative_scan.__module__ = "torch._higher_order_ops"
