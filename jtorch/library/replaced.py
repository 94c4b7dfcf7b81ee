"""Kernels that a program registers for operators of torch's own: while there are any, every call is looked at, as by a mode below all others."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch import torch_function as functions

from . import dispatching as dispatching  # where calls of functions become operators
from .aten import KERNEL_KEYS
from .offering import MODE_STACK

__all__ = ["begin", "end"]


class _Replaced:
    """Runs a registered kernel in the place of an operator."""

    @staticmethod
    def __torch_dispatch__(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kernels = func._op.kernels
        kernel = next((kernels[key] for key in KERNEL_KEYS if key in kernels), func) if kernels else func
        return kernel(*args, **(kwargs or {}))


_MODE = _Replaced()
_count = [0]


def begin() -> None:
    """One more kernel is registered."""
    _count[0] += 1
    if _count[0] == 1:
        if not MODE_STACK:
            functions.enter_below()
        MODE_STACK.insert(0, _MODE)


def end() -> None:
    """One was taken back."""
    _count[0] -= 1
    if _count[0] == 0:
        MODE_STACK.remove(_MODE)
        if not MODE_STACK:
            functions.exit_below()
