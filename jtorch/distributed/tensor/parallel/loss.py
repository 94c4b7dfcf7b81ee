"""``loss_parallel``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["loss_parallel"]


@contextmanager
def loss_parallel() -> Iterator[None]:
    """Within, ``cross_entropy`` takes logits that are cut along the classes. (It does so outside too; how it is computed follows from how the logits lie.)"""
    yield
