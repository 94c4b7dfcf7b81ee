"""Uses of ``Function`` besides ``apply(x, y)``: arguments by name, and an instance."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["INSTANTIATED", "in_their_places"]

INSTANTIATED = (
    "should not be instantiated. Methods on autograd functions are all static, so you should invoke them on the class itself. "
    "Instantiating an autograd function will raise an error in a future version of PyTorch."
)

_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def in_their_places(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """What follows ``args`` in a call of ``forward(ctx, ...)``, which takes all in their places: each is an input, with a gradient of its own.

    TypeError in torch's words for a name that ``forward`` has no place for, that is there already, or before which one is missing.
    """
    names = [p.name for p in inspect.signature(forward).parameters.values() if p.kind in _PLACED][1:]
    for name in kwargs:
        if name not in names:
            raise TypeError(f"forward() got an unexpected keyword argument '{name}'")
        if name in names[: len(args)]:
            raise TypeError(f"forward() got multiple values for argument '{name}'")
    rest = names[len(args) : 1 + max(map(names.index, kwargs))]
    for place, name in enumerate(rest, len(args)):
        if name not in kwargs:
            raise TypeError(f"forward() missing required argument: '{name}' (position {place})")
    return [kwargs[name] for name in rest]
