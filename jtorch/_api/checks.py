"""``torch._check``: conditions that a program states, with torch's types of errors and texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._namespace import torch

_UNSAID = "Expected cond to be True, but got False. (Could this error message be improved? If so, please report an enhancement request to PyTorch.)"
Message = Callable[[], Any] | None


def _check_with(error_type: type[Exception], cond: Any, message: Message) -> None:
    """Raises ``error_type`` with what ``message()`` gives, unless ``cond``."""
    if isinstance(cond, Tensor):
        raise TypeError("cond must be a bool, but got a Tensor. For tensor conditions, use torch._check_tensor_all() to assert that all elements are true.")
    if not isinstance(cond, bool):
        raise TypeError(f"cond must be a bool, but got {type(cond)}")
    if cond:
        return
    if message is None:
        raise error_type(_UNSAID)
    if not callable(message):
        raise TypeError("message must be a callable")
    raise error_type(str(message()))


def _check(cond: Any, message: Message = None) -> None:
    """RuntimeError unless ``cond``."""
    _check_with(RuntimeError, cond, message)


def _check_index(cond: Any, message: Message = None) -> None:
    """IndexError unless ``cond``."""
    _check_with(IndexError, cond, message)


def _check_value(cond: Any, message: Message = None) -> None:
    """ValueError unless ``cond``."""
    _check_with(ValueError, cond, message)


def _check_type(cond: Any, message: Message = None) -> None:
    """TypeError unless ``cond``."""
    _check_with(TypeError, cond, message)


def _check_not_implemented(cond: Any, message: Message = None) -> None:
    """NotImplementedError unless ``cond``."""
    _check_with(NotImplementedError, cond, message)


def _check_tensor_all_with(error_type: type[Exception], cond: Any, message: Message = None) -> None:
    """``error_type`` unless every element is true."""
    if not isinstance(cond, Tensor):
        raise TypeError(f"cond must be a tensor, but got {type(cond)}")
    if cond.dtype != torch.bool:  # type: ignore[attr-defined]
        raise TypeError(f"cond tensor must have dtype torch.bool, but got {cond.dtype}")  # type: ignore[attr-defined]
    _check_with(error_type, bool(cond.all().item()), message)  # type: ignore[attr-defined]


def _check_tensor_all(cond: Any, message: Message = None) -> None:
    """RuntimeError unless every element is true."""
    _check_tensor_all_with(RuntimeError, cond, message)


def _check_is_size(i: int, message: Message = None, *, max: int | None = None) -> None:
    """RuntimeError unless ``i`` may be a size: not negative, and at most ``max``."""
    _check(i >= 0, message)
    if max is not None:
        _check(i <= max, message)


for _fn in (_check_with, _check, _check_index, _check_value, _check_type, _check_not_implemented, _check_tensor_all_with, _check_tensor_all, _check_is_size):
    setattr(torch, _fn.__name__, _fn)
