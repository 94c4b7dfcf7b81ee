"""Collectives that give new tensors and have gradients, which are collectives again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtorch._public import torch
from jtorch.autograd.function import Function

from . import _collectives as c
from ._groups import ProcessGroup
from ._reduce_op import ReduceOp

__all__ = ["all_gather", "all_gather_one", "all_reduce", "broadcast", "exchange", "exchange_one", "gather", "reduce", "reduce_scatter", "reduce_scatter_one", "scatter"]


class Collective(Function):
    """``run`` of the tensors; ``back`` of the gradients gives those of the tensors."""

    generate_vmap_rule = True

    @staticmethod
    def forward(ctx: Any, run: Callable[..., Any], back: Callable[..., Any], *tensors: Any) -> Any:
        """Run it, outside of any graph."""
        ctx.back = back
        ctx.shapes = [(t.shape, t.dtype, t.device) for t in tensors]
        return run(*[t.detach() for t in tensors])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The other way round."""
        found = ctx.back(*gradients)
        return (None, None, *(found if isinstance(found, (list, tuple)) else (found,)))


def _apply(run: Callable[..., Any], back: Callable[..., Any], *tensors: Any) -> Any:
    return Collective.apply(run, back, *tensors)


def all_reduce(t: Any, op: Any, g: ProcessGroup) -> Any:
    """A new tensor with what all have, reduced. The gradient is the sum of all gradients."""

    def run(x: Any) -> Any:
        x = x.clone(memory_format=torch.contiguous_format)
        c.all_reduce(x, op, g)
        return x

    return _apply(run, lambda d: all_reduce(d, op, g), t)


def broadcast(t: Any, root: int, g: ProcessGroup) -> Any:
    """What process ``root`` of the group has."""

    def run(x: Any) -> Any:
        x = x.clone()
        c.broadcast(x, group=g, group_src=root)
        return x

    return _apply(run, lambda d: _at(root, g, reduce(d, root, ReduceOp.SUM, g)), t)


def _at(root: int, g: ProcessGroup, t: Any) -> Any:
    return t if g.rank() == root else torch.zeros_like(t)


def reduce(t: Any, root: int, op: Any, g: ProcessGroup) -> Any:
    """At ``root`` what all have, reduced; elsewhere the tensor as it is."""

    def run(x: Any) -> Any:
        x = x.clone()
        c.reduce(x, op=op, group=g, group_dst=root)
        return x

    return _apply(run, lambda d: broadcast(d, root, g), t)


def all_gather(t: Any, g: ProcessGroup) -> tuple[Any, ...]:
    """What each has. The gradient is the sum over all processes of theirs for this one's part."""

    def run(x: Any) -> Any:
        out = [torch.empty_like(x) for _ in g.ranks]
        c.all_gather(out, x.contiguous(), g)
        return tuple(out)

    return _apply(run, lambda *ds: reduce_scatter(ds, ReduceOp.SUM, g), t)  # type: ignore[no-any-return]


def all_gather_one(t: Any, g: ProcessGroup) -> Any:
    """What each has, joined along the first dim."""

    def run(x: Any) -> Any:
        out = x.new_empty((x.shape[0] * g.size(), *x.shape[1:]) if x.dim() else (g.size(),))
        c.all_gather_single(out, x.contiguous(), g)
        return out

    shape = t.shape
    return _apply(run, lambda d: reduce_scatter_one(d, ReduceOp.SUM, g).reshape(shape), t)


def reduce_scatter(ts: Sequence[Any], op: Any, g: ProcessGroup) -> Any:
    """This process's tensor of those that all have, reduced."""

    def run(*xs: Any) -> Any:
        out = torch.empty_like(xs[g.rank()])
        c.reduce_scatter(out, [x.contiguous() for x in xs], op, g)
        return out

    return _apply(run, lambda d: all_gather(d, g), *ts)


def reduce_scatter_one(t: Any, op: Any, g: ProcessGroup) -> Any:
    """This process's part along the first dim of what all have, reduced. The gradient of an average is one n-th of it."""

    def run(x: Any) -> Any:
        out = x.new_empty((x.shape[0] // g.size(), *x.shape[1:]))
        c.reduce_scatter_single(out, x.contiguous(), op, g)
        return out

    scale = 1.0 / g.size() if op is ReduceOp.AVG else None
    return _apply(run, lambda d: all_gather_one(d if scale is None else d * scale, g), t)


def gather(t: Any, root: int, g: ProcessGroup) -> tuple[Any, ...]:
    """At ``root`` what each has, elsewhere zeros."""

    def run(x: Any) -> Any:
        out = [torch.zeros_like(x) for _ in g.ranks]
        c.gather(x.contiguous(), out if g.rank() == root else None, group=g, group_dst=root)
        return tuple(out)

    return _apply(run, lambda *ds: scatter(ds, root, g), t)  # type: ignore[no-any-return]


def scatter(ts: Sequence[Any], root: int, g: ProcessGroup) -> Any:
    """This process's tensor of those of ``root``."""

    def run(*xs: Any) -> Any:
        out = torch.zeros_like(xs[0])
        c.scatter(out, [x.contiguous() for x in xs] if g.rank() == root else None, group=g, group_src=root)
        return out

    def back(d: Any) -> Any:
        return gather(d, root, g)

    return _apply(run, back, *ts)


def exchange(ts: Sequence[Any], like: Sequence[Any], g: ProcessGroup) -> tuple[Any, ...]:
    """The i-th tensor to process i; what comes is shaped as ``like``."""

    def run(*xs: Any) -> Any:
        out = [torch.empty_like(x) for x in like]
        c._exchange(g, [x.reshape(-1) for x in xs], [x.numel() for x in out], lambda got: list(map(c.put, out, got)), out, False, "all_to_all(gradients")
        return tuple(out)

    shapes = [t.detach() for t in ts]
    return _apply(run, lambda *ds: exchange([d.contiguous() for d in ds], shapes, g), *ts)  # type: ignore[no-any-return]


def exchange_one(t: Any, takes: Any, sends: Any, g: ProcessGroup) -> Any:
    """Parts along the first dim to the processes, theirs joined."""

    def run(x: Any) -> Any:
        rows = sum(takes) if takes else x.shape[0]
        out = x.new_empty((rows, *x.shape[1:]))
        c.all_to_all_single(out, x.contiguous(), takes, sends, g)
        return out

    return _apply(run, lambda d: exchange_one(d, sends, takes, g), t)
