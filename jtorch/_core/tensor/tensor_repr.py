"""``repr`` of tensors: the values come from the engine, the text from ``print_format.py``."""

from __future__ import annotations

from typing import Any

from jtorch import _device, _dtypes

from jtorch._engine.values.lanes import ESCAPED, Lanes
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._engine.values.thread_state import state

from jtorch._core.tensor import print_format
from jtorch._core.graph import sparse_values
from jtorch._core.graph.view_history import edge_of
from jtorch._core.graph.node import AccumulateGrad
from jtorch._core.storage.host_memory import numpy_of
from jtorch._core.storage.bare_tensor import PLAIN, Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read

__all__ = ["show"]


tangent_of: list[Any] = []  # what gives a dual tensor's (tangent, whether it has other history as well), None for the rest
parameters: list[type] = []  # what is said of tensors of these classes, unless they are plain
others: list[Any] = []  # functions that have a text for tensors of their own kind, None for the rest


def show(t: Tensor, contents: str | None = None) -> str:
    """The text of a tensor, as torch prints it; ``contents`` in the place of its elements."""
    import jax

    a = aval_of(t)
    for other in others:
        text: str | None = other(t)
        if text is not None:
            return text
    try:
        edge: Any = edge_of(t) if t._edge is not None else None
        grad_fn = None if edge is None or edge.__class__ is AccumulateGrad else _name_of(edge, t._nr).rsplit("::")[-1]
    except RuntimeError:  # a view that was written, or whose base was, where that is forbidden
        edge, grad_fn = t._edge, "Invalid"
    if a.__class__ is SparseAval:
        return _show_sparse(t, a, None if grad_fn == "AccumulateGrad" else grad_fn, edge is not None and grad_fn is None)
    try:
        v = read(t) if a.device.type != "meta" and contents is None else None
    except RuntimeError as error:
        if str(error) != ESCAPED:
            raise
        return f"BatchedTensor(<a view of a lane of a vmap that is over>, shape={list(a.shape)}, dtype={a.dtype})"
    if v is not None and v.trace is None and isinstance(v.array, jax.core.Tracer):
        return f"tensor(<traced by jax>, shape={list(a.shape)}, dtype={a.dtype})"
    if v is not None and (v.array.__class__ is Lanes or state.derivatives) and (text := _wrapped(t, v)) is not None:
        return text
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
        contents=contents,
        parameter=t.__class__ not in PLAIN and isinstance(t, tuple(parameters)),
        tangent=None if dual is None else f"{dual[0]}",
    )


def _wrapped(t: Tensor, v: Any) -> str | None:
    """The text of what a transformation under way wraps: the levels around the tensor beneath, numbered from the outermost; None for another tensor."""
    edge: Any = edge_of(t) if t._edge is not None else None
    seq = -1 if edge is None or edge.__class__ is AccumulateGrad else edge.seq
    around = [(number, "GradTrackingTensor", 0) for number, since in state.derivatives if seq >= since]
    while v.array.__class__ is Lanes and v.array.level.shown is None:
        around.append((v.array.level.depth, "BatchedTensor", v.array.dim))
        v = v.array.value
    if not around:
        return None
    under_way = sorted({number for number, _ in state.derivatives} | {level.depth for level in state.lanes} | {number for number, _, _ in around})
    beneath = new_tensor(v)
    beneath._edge, beneath._nr = t._edge, t._nr
    for since in [since for _, since in state.derivatives if seq >= since][::-1]:  # what is known of it outside
        edge = beneath._edge
        if edge is not None and edge.seq >= since:
            if edge.edges and edge.name() in ("Input", "End"):
                beneath._edge, beneath._nr = edge.edges[0], edge.edges[1]
            elif not _leads_out(edge, since):
                beneath._edge = None
    before, state.derivatives = state.derivatives, ()
    try:
        text = _moved(beneath, [dim for _, kind, dim in around if kind == "BatchedTensor"])
    finally:
        state.derivatives = before
    for number, kind, dim in sorted(around):
        inner = "\n".join("    " + line for line in text.splitlines())
        text = f"{kind}(lvl={under_way.index(number) + 1}, {f'bdim={dim}, ' if kind == 'BatchedTensor' else ''}value=\n{inner}\n)"
    return text


def _moved(t: Tensor, dims: list[int]) -> str:
    """The text of all lanes, each level's along the dim where its caller had them; the outermost comes first in ``t`` and last in ``dims``."""
    for k, dim in enumerate(dims):
        at = len(dims) - 1 - k
        t = t.movedim(at, at + dim) if dim else t  # type: ignore[attr-defined]
    return show(t)


def _leads_out(edge: Any, since: int) -> bool:
    stack, seen = [edge], {edge}
    while stack:
        node = stack.pop()
        if node.__class__ is AccumulateGrad or node.seq < since:
            return True
        for target in node.edges[::2]:
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return False


def _name_of(edge: Any, output: int) -> str:
    """The name of a node, as it is printed with one of its outputs."""
    entry = getattr(edge, "entry", None)
    by_output = getattr(entry.call.grad_name, "by_output", None) if entry is not None else None
    if by_output is None:
        return str(edge.name())
    call = entry.call  # type: ignore[union-attr]
    return str(by_output({p.name: d[2] for d, p in zip(call.key, call.op.fn_params, strict=True) if d[0] == "V"}, entry.outs)[output])  # type: ignore[union-attr]


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
