"""``torch._subclasses.functional_tensor``: values that torch's compiler traces with. Nothing is traced with them here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jtorch._errors import not_implemented
from jtorch._public import torch

__all__ = ["FunctionalTensor", "FunctionalTensorMode", "disable_functional_mode", "mb_unwrap_functional_tensor"]


class FunctionalTensor(torch.Tensor):  # type: ignore[name-defined,misc]
    """A tensor whose writes are recorded as new values."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        not_implemented("torch._subclasses.FunctionalTensor", "writes in place are recorded as new values of every tensor")


class FunctionalTensorMode:
    """Inside, tensors are such."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        not_implemented("torch._subclasses.FunctionalTensorMode", "writes in place are recorded as new values of every tensor")


def mb_unwrap_functional_tensor(tensor: Any) -> Any:
    """What is inside: ``tensor``."""
    return tensor


@contextlib.contextmanager
def disable_functional_mode() -> Iterator[None]:
    """Inside, no such mode is on."""
    yield
