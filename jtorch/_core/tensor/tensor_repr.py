"""``repr`` of tensors: the values come from the engine, the text from ``print_format.py``."""

from __future__ import annotations

from typing import Any

from jtorch import _device, _dtypes

from jtorch._engine.values.lanes import Lanes
from jtorch._engine.values.sparse_values import SparseAval

from jtorch._core.tensor import print_format
from jtorch._core.graph import sparse_values
from jtorch._core.graph.view_history import edge_of
from jtorch._core.graph.node import AccumulateGrad
from jtorch._core.storage.host_memory import numpy_of
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read

__all__ = ["show"]


tangent_of: list[Any] = []  # what gives a dual tensor's (tangent, whether it has other history as well), None for the rest
others: list[Any] = []  # functions that have a text for tensors of their own kind, None for the rest


def show(t: Tensor) -> str:
    """The text of a tensor, as torch prints it."""
    import jax

    a = aval_of(t)
    for other in others:
        text: str | None = other(t)
        if text is not None:
            return text
    try:
        edge: Any = edge_of(t) if t._edge is not None else None
        grad_fn = None if edge is None or edge.__class__ is AccumulateGrad else edge.name().rsplit("::")[-1]
    except RuntimeError:  # a view that was written, or whose base was, where that is forbidden
        edge, grad_fn = t._edge, "Invalid"
    if a.__class__ is SparseAval:
        return _show_sparse(t, a, None if grad_fn == "AccumulateGrad" else grad_fn, edge is not None and grad_fn is None)
    v = read(t) if a.device.type != "meta" else None
    if v is not None and v.trace is None and isinstance(v.array, jax.core.Tracer):
        return f"tensor(<traced by jax>, shape={list(a.shape)}, dtype={a.dtype})"
    if v is not None and v.array.__class__ is Lanes and v.array.level.shown is None:
        return f"BatchedTensor(lvl={v.array.level.depth}, bdim=0, value=\n{show(new_tensor(v.array.value))}\n)"
    dual = tangent_of[0](t) if tangent_of and edge is not None else None
    if dual is not None and not dual[1]:
        edge = grad_fn = None
    return print_format.tensor_repr(
        None if v is None else numpy_of(v),
        a.dtype,
        None if a.device is _device.CPU else str(a.device),
        grad_fn,
        edge is not None and grad_fn is None,
        _dtypes.default,
        shape=a.shape,
        class_name="tensor" if t.__class__.__name__ in ("Tensor", "Parameter", "Buffer") else t.__class__.__name__,
        tangent=None if dual is None else f"{dual[0]}",
    )


def _show_sparse(t: Tensor, a: Any, grad_fn: str | None, requires_grad: bool) -> str:
    v: Any = read(t)
    names = sparse_values.PART_NAMES[a.layout.name]
    return print_format.sparse_repr(
        [(name, numpy_of(read(part))) for name, part in zip(names, v.parts, strict=True)],
        a.shape,
        sparse_values.nnz(v),
        a.dtype,
        None if a.device is _device.CPU else str(a.device),
        grad_fn,
        requires_grad,
        _dtypes.default,
        layout=str(a.layout),
    )
