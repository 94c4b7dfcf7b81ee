"""``torch._custom_ops``: older names of what ``torch.library`` has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._public import torch

__all__ = ["custom_op", "get_ctx", "impl", "impl_abstract"]


def custom_op(qualname: str, func_or_schema: Any = None) -> Any:
    """An operator by its schema, or a decorator that makes one of a function."""
    if isinstance(func_or_schema, str):
        torch.library.define(qualname, func_or_schema)
        return None
    return torch.library.custom_op(qualname, func_or_schema, mutates_args=())


def impl(qualname: str, *, device_types: Any = ("cpu", "cuda"), func: Callable[..., Any] | None = None) -> Any:
    """What the operator does."""
    return torch.library.impl(qualname, device_types, func)


def impl_abstract(qualname: str, *, func: Callable[..., Any] | None = None) -> Any:
    """What shapes it gives."""
    return torch.library.register_fake(qualname, func)


def get_ctx() -> Any:
    """The context of such a function while it runs."""
    return torch.library.get_ctx()
