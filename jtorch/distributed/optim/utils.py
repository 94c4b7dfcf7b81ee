"""Optimizers that are given their gradients, by the class that they are of otherwise."""

from __future__ import annotations

from typing import Any

from ._functional import FUNCTIONAL as functional_optim_map

__all__ = ["as_functional_optim", "register_functional_optim"]


def register_functional_optim(key: Any, optim: Any) -> None:
    """What :func:`as_functional_optim` makes for ``key``, where nothing is known."""
    functional_optim_map.setdefault(key, optim)


def as_functional_optim(optim_cls: type, *args: Any, **kwargs: Any) -> Any:
    """An optimizer of the class that is given parameters and gradients one by one. ValueError for a class that has none."""
    try:
        found = functional_optim_map[optim_cls]
    except KeyError as error:
        raise ValueError(f"Optimizer {optim_cls} does not have a functional counterpart!") from error
    return found([], *args, **kwargs, _allow_empty_param_list=True)
