"""Writes into tensors several of whose elements are one place in memory (``expand``), for the operators that torch lets do it."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.conversion import cast
from jtorch._core.dispatch.inplace import assign, check_writable
from jtorch._core.dispatch.record import calln
from jtorch._core.graph.view_history import take_view
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._engine.recording.call import T, call_of, slot, value
from jtorch._registry import lookup

__all__ = ["shared_dims", "write_shared"]

_slice, _settle = lookup("internal.slice"), lookup("internal.settle")
_I = slot(int)


def shared_dims(t: Tensor) -> tuple[int, ...]:
    """The dims along which the elements of ``t`` are the same places; () if there are none."""
    view = t._view
    strides = t._s.strides if view is None else view.strides
    if strides is None or 0 not in strides:
        return ()
    return tuple([d for d, (n, s) in enumerate(zip(aval_of(t).shape, strides, strict=True)) if s == 0 and n > 1])


def write_shared(t: Tensor, new: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Make the elements of ``t`` those of ``new``; of elements that are one place, the last that changes stays."""
    part = t
    for d in dims:
        call = call_of(_slice, (T, value(d), _I, value(1), value(1)))
        part = take_view(_slice, call, part, (d, 0, 1, 1), (0,))
    check_writable(part)
    settled: Any = calln(call_of(_settle, (T, T, value(dims))), (t, cast(new, aval_of(t).dtype)))
    assign(part, settled)
    return t
