"""``torch._subclasses.fake_tensor``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jtorch._errors import not_implemented
from jtorch._public import torch

__all__ = ["FakeTensor", "FakeTensorConverter", "FakeTensorMode", "UnsupportedFakeTensorException", "is_fake", "maybe_get_fake_mode", "unset_fake_temporarily"]


class UnsupportedFakeTensorException(RuntimeError):
    """An operator cannot be asked for shapes alone."""


class FakeTensor(torch.Tensor):  # type: ignore[name-defined,misc]
    """A tensor without values that says that it is on another device."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        not_implemented("torch._subclasses.FakeTensor", "tensors on the device 'meta' have shapes and no values")


class FakeTensorMode:
    """Inside, tensors are made without values."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        not_implemented("torch._subclasses.FakeTensorMode", "torch.device('meta') as a context makes tensors that have shapes and no values")


class FakeTensorConverter:
    """Makes such tensors from others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        not_implemented("torch._subclasses.FakeTensorConverter", "tensor.to('meta') has the shape and no values")


def is_fake(x: Any) -> bool:
    """Whether ``x`` is such a tensor."""
    return isinstance(x, FakeTensor)


def maybe_get_fake_mode(t: Any) -> Any:
    """The mode that made it: None."""
    return None


@contextlib.contextmanager
def unset_fake_temporarily() -> Iterator[None]:
    """Inside, no such mode is on."""
    yield
