"""One turn of a loop, recorded."""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.view_steps import aval_of
from jtorch._engine.values.values import aval
from jtorch._public import torch

from ._functions import Draws, keys, recorded

__all__ = ["KEY", "dimension", "floating", "one_turn"]

KEY = torch.int64


def floating(t: Any) -> bool:
    return t.is_floating_point() or t.is_complex()  # type: ignore[no-any-return]


def one_turn(name: str, fn: Any, init: list[Any], xs: list[Any]) -> tuple[Any, list[Any]]:
    """The region of one turn, ``fn(carries, elements)``, and the xs; with a key for each turn if it draws random numbers."""
    grad = torch.is_grad_enabled()
    drawn: list[bool] = []
    n, m = len(init), len(xs)

    def turn(*given: Any) -> Any:
        with Draws(given[n + m]) as draws:
            out = fn(list(given[:n]), list(given[n : n + m]))
        drawn.append(draws.used)
        return out

    key = aval((2,), KEY, aval_of((*init, *xs)[0]).device)
    avals = [*map(aval_of, init), *[aval(a.shape[1:], a.dtype, a.device) for a in map(aval_of, xs)], key]
    region = recorded(name, turn, avals, [*[grad and floating(t) for t in init], *[grad and x.requires_grad for x in xs], False])
    if drawn[-1]:
        return region, [*xs, keys(len(xs[0]))]
    del region.inputs[-1]
    return region, xs


def dimension(rank: int, dim: Any) -> Any:
    rank = max(rank, 1)
    found = dim + rank if dim < 0 else dim
    if found < 0 or found >= rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    return found
