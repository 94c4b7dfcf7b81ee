"""``torch.utils._exposed_in``: the name under which a function shows itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["exposed_in"]

F = TypeVar("F", bound=Callable[..., object])


def exposed_in(module: str) -> Callable[[F], F]:
    """A decorator: the function says that it is of that module."""

    def wrapper(fn: F) -> F:
        fn.__module__ = module
        return fn

    return wrapper
