"""``torch._functorch.utils``: names that libraries take from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jtorch.utils._exposed_in import exposed_in

__all__ = ["argnums_t", "enable_single_level_autograd_function", "exposed_in", "unwrap_dead_wrappers"]

argnums_t = int | tuple[int, ...]


@contextlib.contextmanager
def enable_single_level_autograd_function() -> Iterator[None]:
    """Without effect: a Function has one form here."""
    yield


def unwrap_dead_wrappers(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments: there are no wrappers."""
    return args
