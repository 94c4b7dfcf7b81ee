"""``torch.jit.frontend``: errors of the compiler of TorchScript, and defaults of functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["FrontendError", "FrontendTypeError", "NotSupportedError", "UnsupportedNodeError", "get_default_args", "get_default_args_for_class"]


class FrontendError(Exception):
    """What torch raises for Python that TorchScript does not have. Nothing is translated here, so that nothing raises it; a program may catch it."""

    def __init__(self, source_range: Any, msg: str) -> None:
        self.source_range, self.msg = source_range, msg

    def __str__(self) -> str:
        return self.msg


class NotSupportedError(FrontendError):
    """Of a statement or an expression."""


class UnsupportedNodeError(NotSupportedError):
    """Of a node of Python's syntax."""


class FrontendTypeError(FrontendError):
    """Of a type."""


def get_default_args(fn: Callable[..., Any] | None) -> dict[str, Any]:
    """By name, the defaults of a function's arguments."""
    parameters = inspect.signature(fn).parameters if fn is not None else {}
    return {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}


def get_default_args_for_class(cls: type) -> dict[str, dict[str, Any]]:
    """By method, the defaults of its arguments."""
    methods = inspect.getmembers(cls, predicate=lambda m: (inspect.ismethod(m) or inspect.isfunction(m)) and m.__name__ in cls.__dict__)
    return {method: get_default_args(fn) for method, fn in methods}
