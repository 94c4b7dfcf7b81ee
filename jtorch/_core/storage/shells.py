"""Tensors without elements of their own: wrappers of others, whose class says what operators on them are."""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.bare_tensor import Tensor, alias_of, new_storage
from jtorch._engine.values.values import Value, aval

__all__ = ["is_shell", "make_shell"]


class _Nowhere:
    """In the place of a trace: the elements of a wrapper are what its class says."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(
            "Cannot access data pointer of Tensor that doesn't have storage: it wraps others, which the __torch_dispatch__ of its class knows"
        )


_NOWHERE = _Nowhere()


def make_shell(cls: type, shape: Any, kind: Any, where: Any, strides: Any = None) -> Any:
    """A tensor of a class that has a shape and a type, and no elements."""
    v = Value()
    v.aval, v.array, v.trace, v.pos = aval(tuple(shape), kind, where), None, _NOWHERE, 0
    return alias_of(new_storage(v, strides), None, cls)


def is_shell(t: Any) -> bool:
    """Whether a tensor is one of :func:`make_shell`, or a view of one."""
    return isinstance(t, Tensor) and t._s.value.trace is _NOWHERE
