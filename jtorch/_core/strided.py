"""``as_strided``: a view of the memory itself, whatever view of it the tensor is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jtorch._engine.call import T, call_of, value
from jtorch._engine.state import GRAD, state
from jtorch._errors import not_implemented
from jtorch._ops.views import check_within, places
from jtorch._registry import lookup

from .dispatch import edge_of
from .inplace import check_writable
from .node import AccumulateGrad, Node, next_seq
from .tensor import Tensor, alias_of, meta_of
from .viewing import replay, take_view, view_edge
from .views import View, aval_of, chain, layout

__all__ = ["as_strided", "as_strided_", "as_strided_args", "outside_edge"]

_op = lookup("internal.as_strided")


def as_strided_args(t: Tensor, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """Arguments and call of ``as_strided`` for the memory of ``t``."""
    size, step, offset = args[0], args[1], args[2]
    sh, st, _ = layout(alias_of(t._s, None))
    order = _order(sh, st)
    full = (tuple(size), tuple(step), offset, st, order if order != tuple(range(len(sh))) else ())
    return full, call_of(_op, (T, *[value(a) for a in full]))


def _order(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(shape)), key=lambda d: (-strides[d], d)))


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the memory by strides, whatever view ``input`` is."""
    if len(size) != len(stride):
        raise RuntimeError(f"mismatch in length of strides and shape: {len(size)} vs {len(stride)}")
    size, stride = tuple(size), tuple(stride)
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
    check_writable(self)
    before = alias_of(self._s, self._view)
    before._edge, before._nr, before._meta = self._edge, self._nr, self._meta
    t = as_strided(before, size, stride, storage_offset)
    self._s.version += 1
    self._view, self._edge, self._nr, self._meta = t._view, t._edge, t._nr, t._meta
    if self._meta is not None:
        self._meta.attr_version = self._s.version
    return self


Tensor.as_strided = as_strided  # type: ignore[attr-defined]
Tensor.as_strided_ = as_strided_  # type: ignore[attr-defined]


class AsStridedBackward0(Node):
    """The gradient of a view of memory of which the tensor that needs it (a leaf made from a view) is another view: what lies outside of that is dropped."""

    __slots__ = ("view", "owner_view", "storage", "outs")

    def check(self) -> None:
        return None

    def release(self) -> None:
        return None

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        from jtorch._namespace import torch

        g = run.wrap(buffer[0])
        shape, strides, owner = self.storage
        size, step, offset = (d[2] for d in self.view.call.key[1:4])
        n = int(np.prod(shape))
        where = torch.from_numpy(places(size, step, offset).reshape(-1))
        flat = torch.zeros(n, dtype=g.dtype, device=g.device).index_add(0, where.to(g.device), g.reshape(-1))
        covered = np.bincount(places(*owner).reshape(-1), minlength=n)
        if covered.max(initial=0) > 1:  # elements that are one place in memory share its gradient
            flat = flat / torch.from_numpy(np.maximum(covered, 1)).to(device=g.device, dtype=g.dtype.to_real())
        order = _order(shape, strides)
        whole = flat.reshape([shape[d] for d in order]).permute([order.index(d) for d in range(len(shape))])
        return [run.unwrap(torch.Tensor.clone(replay(whole, chain(self.owner_view))))]


def outside_edge(view: View, owner: Tensor, edge: Any, nr: int) -> Any:
    """The node of an ``as_strided`` whose source is not ``owner``, but the memory that ``owner`` is a view of."""
    node = AsStridedBackward0.__new__(AsStridedBackward0)
    node.view, node.owner_view = view, owner._view
    sh, st, _ = layout(alias_of(owner._s, None))
    node.storage = (sh, st, layout(owner))
    node.outs = (view.aval,)
    node.edges, node.seq, node.hooks, node.extra = (edge, nr), next_seq(), None, None
    return node
