"""Errors that belong to jtorch itself; everything else raises the Python exception type that torch raises."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, NoReturn

__all__ = ["LinAlgError", "PACKAGE", "ValueUnknown", "not_implemented", "no_such_type", "warn", "warn_always", "warn_once"]

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
"""Where jtorch's own files lie: a folder above may have the name, too."""
warn_always = [False]
"""What ``torch.set_warn_always`` was given."""
_warned: set[str] = set()


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """A warning of torch's, said of the line of the program that called jtorch."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("jtorch", "jax"):  # jax: while an operator is traced
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)


def warn_once(text: str, category: type[Warning] = UserWarning) -> None:
    """The same of what torch says once in a process (or always, where ``torch.set_warn_always`` asks for it)."""
    if text not in _warned or warn_always[0]:
        _warned.add(text)
        warn(text, category)


class LinAlgError(RuntimeError):
    """A decomposition or solver that could not be completed: a singular or not positive-definite matrix."""


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"
LinAlgError.__module__ = "torch._C"


class ValueUnknown(RuntimeError):
    """A value was looked at that is not known while JAX traces the function."""


UNKNOWN = (
    "the value of this tensor is not known while jax traces the function: .item(), bool(), print, x[mask] and shapes that depend on values need one. "
    "Write torch.where(mask, x, 0) for x[mask], torch.where or jax.lax.cond for an if, jax.lax.while_loop or scan for a loop; or leave this part outside of jit"
)


def not_implemented(name: str, instead: str = "") -> NoReturn:
    """Raise ``NotImplementedError`` naming what is missing and, if there is one, what to use instead."""
    raise NotImplementedError(f"jtorch does not implement {name}" + (f": {instead}" if instead else ""))


def no_such_type(kind: Any) -> NoReturn:
    """Raise NotImplementedError for an element type that has a name and nothing to keep its elements in."""
    not_implemented(f"tensors of type {kind}", "XLA has no such element type")


def no_kernel(name: str, dtype: Any) -> Any:
    """torch's error for a type that a kernel does not take."""
    raise NotImplementedError(f'"{name}" not implemented for \'{dtype.legacy}\'')


def check_addressable(shape: tuple[int, ...], itemsize: int, strides: tuple[int, ...] | None = None) -> None:
    """RuntimeError in torch's words where strides or bytes of a tensor of this shape (contiguous, unless ``strides`` are given) do not fit 64 bits."""
    if strides is not None:
        if 0 not in shape and (sum([(n - 1) * step for n, step in zip(shape, strides, strict=True)]) + 1) * itemsize >= 2**63:
            raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)} and strides={list(strides)}")
        return
    step = 1
    for n in reversed(shape[1:]):
        step *= max(n, 1)
        if step >= 2**63:
            raise RuntimeError("Stride calculation overflowed")
    if 0 not in shape and step * (shape[0] if shape else 1) * itemsize >= 2**63:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)}")
