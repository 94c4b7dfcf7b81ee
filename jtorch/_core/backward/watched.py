"""A backward pass that somebody's ``__torch_dispatch__`` watches: what happens to gradients between the nodes, as torch's operators."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.torch_function import dispatches, heard_below
from jtorch._core.storage.bare_tensor import PLAIN, Tensor
from jtorch._core.storage.view_steps import read
from jtorch._engine.values.values import Value
from jtorch._types import CONSTANTS

__all__ = ["accumulate_watched", "add_watched", "shown_as_it_is", "watched", "watched_ones"]


def shown_as_it_is(t: Tensor) -> bool:
    """Whether a gradient is of a class that says itself what operators on it do: it stays that tensor on its way."""
    return t.__class__ not in PLAIN and dispatches(t.__class__)


def watched(g: Any) -> bool:
    """Whether somebody is to see what happens to a gradient, a value or a tensor."""
    return heard_below() if g.__class__ is Value else shown_as_it_is(g)


def watched_ones(t: Tensor, create: bool) -> Any:
    """The gradient that a pass begins with."""
    from jtorch._namespace import torch

    made = torch.ones_like(t, memory_format=CONSTANTS["preserve_format"])
    return made if create or shown_as_it_is(made) else read(made)


def add_watched(a: Tensor, b: Tensor) -> Tensor:
    """Two gradients that came to one tensor."""
    from jtorch._namespace import torch

    return torch.add(a, b)  # type: ignore[no-any-return]  # torch's namespace is filled at run time


def accumulate_watched(leaf: Tensor, g: Tensor, create: bool) -> None:
    """A first gradient is taken as it is if it lies well, the others are added in place."""
    old = leaf._grad
    if old is None:
        leaf._grad = g if create else g.detach() if g._view is None and g._s.strides is None else g.clone()
    elif create:
        leaf._grad = add_watched(old, g)
    else:
        old.add_(g)
