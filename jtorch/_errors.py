"""Errors that belong to jtorch itself; everything else raises the Python exception type that torch raises."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["not_implemented"]


def not_implemented(name: str, instead: str = "") -> NoReturn:
    """Raise ``NotImplementedError`` naming what is missing and, if there is one, what to use instead."""
    raise NotImplementedError(f"jtorch does not implement {name}" + (f": {instead}" if instead else ""))
