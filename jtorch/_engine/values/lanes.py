"""Values inside ``torch.vmap``: one lane is seen, all of them are computed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import jax

from jtorch._engine.values.placed import Placed
from jtorch._engine.values.symbols import Symbol
from jtorch._engine.values.values import Value, aval

newest = itertools.count(1).__next__
"""Numbers the transformations in the order in which they were entered."""

__all__ = ["ESCAPED", "LOOKED_AT", "Lanes", "Level", "bare", "innermost", "lanes_of", "newest", "unknown", "within"]

LOOKED_AT = (
    "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, please try to rewrite what you're doing "
    "with other operations. If error is occurring somewhere inside PyTorch internals, please file a bug report."
)

ESCAPED = (
    "Either your tensor may have escaped from inside a function being vmapped and this is a user error (see https://pytorch.org/functorch/stable/ux_limitations.html), "
    "or there is an internal functorch error in `gen_vmap_plumbing` Please file an issue if it looks like the latter"
)


class Level:
    """One ``vmap`` that is under way. ``began``: the thread's trace then, and how many outputs it had. The level that was entered last is the innermost."""

    __slots__ = ("size", "depth", "randomness", "began", "since", "shared", "under_way")
    shown: Any = None  # which lane is seen by who looks; None: none, it is an error

    def __init__(self, size: int, randomness: str, began: tuple[Any, int], since: int = 0) -> None:
        self.size, self.randomness, self.began = size, randomness, began
        self.since = since  # the number of the first node of the tape that is inside
        self.under_way = 0  # how often it was entered and not left: its function, and the passes backward through what that did
        self.shared = False  # whether something left before the end, so that several passes backward go through what is inside
        self.enter()

    def enter(self) -> None:
        """The innermost from now on: for the backward pass through a level that was left."""
        self.depth = newest()

    def __enter__(self) -> Level:
        self.under_way += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.under_way -= 1

    def made_here(self, v: Value) -> bool:
        """Whether a value is known to have been recorded since the level began."""
        tr, count = self.began
        return v.trace is not None and (v.trace is not tr or v.pos >= count)


class Lanes:
    """Stands for the array of a value: ``value`` has all lanes along a first dim of its own. It may itself be of a level further out.

    ``dim``: where the caller of ``vmap`` had that dim."""

    __slots__ = ("value", "level", "dim")

    def __init__(self, value: Value, level: Level, dim: int = 0) -> None:
        self.value, self.level, self.dim = value, level, dim

    def __array__(self, *_: Any, **__: Any) -> Any:
        if self.level.shown is None:
            raise RuntimeError(LOOKED_AT if self.level.under_way else ESCAPED)
        return self.level.shown(self.value)


def bare(v: Any) -> Any:
    """What lies behind a value on a grid of devices or of all lanes, however deep: an array, or pending."""
    while v.array.__class__ is Placed or v.array.__class__ is Lanes:
        v = v.array.value
    return v


def unknown(array: Any) -> bool:
    """Whether what stands for an array cannot be looked at: a JAX tracer, all lanes of a vmap, or any value."""
    return array.__class__ is Lanes or array.__class__ is Symbol or isinstance(array, jax.core.Tracer)


def within(v: Value, level: Level, dim: int = 0) -> Value:
    """One lane of ``v``, whose first dim is the level's lanes; ``dim``: where the caller had them."""
    a = v.aval
    out = Value()
    out.aval, out.array, out.trace, out.pos = aval(a.shape[1:], a.dtype, a.device), Lanes(v, level, dim), None, -1
    return out


def lanes_of(v: Value, level: Level) -> Value | None:
    """All lanes of ``v``, along a first dim; None if it is the same in every lane of this level."""
    x = v.array
    return x.value if x.__class__ is Lanes and x.level is level else None


def innermost(values: Iterable[Value]) -> Level | None:
    """The level entered last among those that values have lanes of."""
    levels = [v.array.level for v in values if v.array.__class__ is Lanes]
    return max(levels, key=lambda level: level.depth) if levels else None
