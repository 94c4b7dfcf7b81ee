"""Errors that belong to jtorch itself; everything else raises the Python exception type that torch raises."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["LinAlgError", "not_implemented", "no_such_type"]


class LinAlgError(RuntimeError):
    """A decomposition or solver that could not be completed: a singular or not positive-definite matrix."""


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"
LinAlgError.__module__ = "torch._C"


def not_implemented(name: str, instead: str = "") -> NoReturn:
    """Raise ``NotImplementedError`` naming what is missing and, if there is one, what to use instead."""
    raise NotImplementedError(f"jtorch does not implement {name}" + (f": {instead}" if instead else ""))


def no_such_type(kind: Any) -> NoReturn:
    """Raise NotImplementedError for an element type that has a name and nothing to keep its elements in."""
    not_implemented(f"tensors of type {kind}", "XLA has no such element type")


def no_kernel(name: str, dtype: Any) -> Any:
    """torch's error for a type that a kernel does not take."""
    raise NotImplementedError(f'"{name}" not implemented for \'{dtype.legacy}\'')
