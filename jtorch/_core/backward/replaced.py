"""What a hook may make of a gradient."""

from __future__ import annotations

from typing import Any

from jtorch._core.graph.node import tensor_type
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of


def replaced(hook: Any, new: Any, old: Any) -> Any:
    """What a hook makes of a gradient: another one of the same kind, or the same."""
    if new is None:
        return old
    if not isinstance(new, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(new).__name__}'")
    if old is None:
        raise RuntimeError("can't replace a None gradient with a non-None value")
    a, b = aval_of(old), aval_of(new)
    name = getattr(hook, "__name__", type(hook).__name__)
    if a.dtype is not b.dtype or a.device is not b.device:
        raise RuntimeError(f"hook '{name}' has changed the type of value (was torch.{tensor_type(a)} got torch.{tensor_type(b)})")
    if a.shape != b.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    return new


def replaced_all(hook: Any, new: Any, old: tuple[Any, ...]) -> tuple[Any, ...]:
    """As :func:`replaced`, for a hook of a node, which is given and returns all of them."""
    if new is None:
        return old
    if not isinstance(new, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(new).__name__}'")
    if len(new) != len(old):
        name = getattr(hook, "__name__", type(hook).__name__)
        raise RuntimeError(f"hook '{name}' has returned an incorrect number of values (got {len(new)}, but expected {len(old)})")
    return tuple([replaced(hook, n, o) for n, o in zip(new, old, strict=True)])
