"""Who counts what moves between devices (``CommDebugMode``): is told the name of each collective, as torch's operators are called, while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["as_one", "listeners", "moves", "tell", "tell_operator"]

listeners: list[Callable[[str], None]] = []
_within: list[str] = []  # what others are a part of


def tell(name: str) -> None:
    """A collective begins."""
    if not _within:
        for listener in list(listeners):
            listener(name)


@contextmanager
def as_one(*names: str) -> Iterator[None]:
    """What is done within counts as these."""
    for name in names:
        tell(name)
    _within.append("")
    try:
        yield
    finally:
        _within.pop()


def moves(shape: Sequence[int], before: Sequence[Any], after: Sequence[Any], on_cpu: bool) -> list[str]:
    """The collectives that it takes: one along each dim of the grid in which it does not lie as it did. (What is cut along another dim is gathered and cut between cpus, as torch counts it.)"""
    found = []
    for n, p, q in zip(shape, before, after, strict=True):
        if p == q or p is None or n == 1:
            continue
        if isinstance(p, str):
            found.append("c10d_functional.reduce_scatter_tensor" if isinstance(q, int) and p in ("sum", "avg") else "c10d_functional.all_reduce")
        else:
            found.append("c10d_functional.all_gather_into_tensor" if q is None or on_cpu else "c10d_functional.all_to_all_single")
    return found


def tell_operator(shape: Sequence[int], inputs: Sequence[Any], ins: Sequence[Sequence[Any]], on_cpu: bool) -> None:
    """An operator whose ``inputs`` (their places, None for what is no placed value) are to lie as ``ins`` says, where XLA moves them."""
    for places, wanted in zip(inputs, ins, strict=True):
        if places is not None:
            for name in moves(shape, places, wanted, on_cpu):
                tell(name)
