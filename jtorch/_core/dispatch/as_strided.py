"""``as_strided``: a view of the memory itself, whatever view of it the tensor is."""

from __future__ import annotations

import math
from typing import Any

from jtorch._engine.recording.call import T, call_of
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._errors import not_implemented
from jtorch._ops.views import check_within
from jtorch._registry import lookup

from jtorch._core.dispatch.signature_binding import sizes_given
from jtorch._core.graph.node import AccumulateGrad
from jtorch._core.storage.bare_tensor import Tensor, alias_of, meta_of
from jtorch._core.dispatch.inplace import become_view
from jtorch._core.graph.view_history import as_strided_args, edge_of, take_view, view_edge
from jtorch._core.storage.view_steps import aval_of, flips_of, layout

__all__ = ["as_strided", "as_strided_"]

_op = lookup("internal.as_strided")


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the memory by strides, whatever view ``input`` is."""
    size, stride = (x if x.__class__ is tuple and all([n.__class__ is int for n in x]) else sizes_given("as_strided", name, x, alone=False) for name, x in (("size", size), ("stride", stride)))
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if flips := flips_of(input):  # the memory's, and what is read there is flipped as the input's elements are
        steps = [call_of(lookup(f"internal.{name}"), (T,)) for bit, name in ((1, "conj_view"), (2, "neg_view")) if flips & bit]
        for call in steps:
            input = take_view(call.op, call, input, (), ())
        out = as_strided(input, size, stride, storage_offset)
        for call in steps:
            out = take_view(call.op, call, out, (), ())
        return out
    if any(s < 0 for s in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    offset = layout(input)[2] if storage_offset is None else storage_offset
    whole = alias_of(input._s, None)
    if aval_of(whole).dtype is not aval_of(input).dtype:
        not_implemented("as_strided of a view as another type", f"clone() the view as {aval_of(input).dtype} first")
    check_within(math.prod(aval_of(whole).shape), aval_of(whole).dtype.itemsize, size, stride, offset)
    m = input._meta
    root = m.base if m is not None and m.base is not None and input._edge.__class__ is not AccumulateGrad else input
    if root._view is None:
        full, call = as_strided_args(root, (size, stride, offset))
        return take_view(_op, call, root, full, ())
    full, call = as_strided_args(whole, (size, stride, offset))
    out = take_view(_op, call, whole, full, ())
    if state.mode & GRAD and root._edge is not None:
        om = meta_of(out)
        om.base, om.attr_version = root, root._s.version
        out._edge = view_edge(out._view, root._view, root, edge_of(root), root._nr)
    return out


def as_strided_(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """:func:`as_strided` of this very tensor; it counts as a write."""
    made: list[Tensor] = []

    def view_of(before: Tensor) -> Tensor:
        made.append(as_strided(before, size, stride, storage_offset))
        return made[0]

    m = self._meta
    become_view(self, view_of, "as_strided_")
    if (m is None or m.base is None) and made[0]._meta is not None:  # what it no longer shows has a history, too
        self._meta = made[0]._meta
        self._meta.creation, self._meta.attr_version = "", self._s.version
    return self


Tensor.as_strided = as_strided  # type: ignore[method-assign,assignment]
Tensor.as_strided_ = as_strided_  # type: ignore[method-assign]
