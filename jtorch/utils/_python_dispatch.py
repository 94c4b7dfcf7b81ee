"""``torch.utils._python_dispatch``: modes that see every operator of torch's library. Functions are seen by ``torch.overrides.TorchFunctionMode``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jtorch._errors import not_implemented

__all__ = ["TorchDispatchMode", "is_traceable_wrapper_subclass", "return_and_correct_aliasing"]


class TorchDispatchMode:
    """A context in which ``__torch_dispatch__`` is called for every operator. Subclasses can be declared; entering one is declined."""

    def __init__(self, _dispatch_key: Any = None) -> None:
        pass

    def __enter__(self) -> Any:
        not_implemented("torch.utils._python_dispatch.TorchDispatchMode", "torch.overrides.TorchFunctionMode sees the functions that a program calls")

    def __exit__(self, *error: object) -> None:
        pass


def _get_current_dispatch_mode() -> Any:
    """The innermost mode: None."""
    return None


def _get_current_dispatch_mode_stack() -> list[Any]:
    """All of them: none."""
    return []


@contextlib.contextmanager
def _disable_current_modes() -> Iterator[list[Any]]:
    """Inside, none is on."""
    yield []


@contextlib.contextmanager
def _pop_mode_temporarily(k: Any = None) -> Iterator[Any]:
    """Inside, the innermost is off."""
    yield None


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """Whether a tensor's class says how it wraps others (``__tensor_flatten__`` and ``__tensor_unflatten__``)."""
    return hasattr(t, "__tensor_flatten__") and hasattr(t, "__tensor_unflatten__")


is_traceable_wrapper_subclass_type = is_traceable_wrapper_subclass


def return_and_correct_aliasing(func: Any, args: Any, kwargs: Any, out: Any) -> Any:
    """What ``__torch_dispatch__`` gives back, sharing memory as the operator says."""
    return out
