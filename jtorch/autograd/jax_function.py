"""A custom ``autograd.Function`` inside JAX's transformations: its backward is the rule that ``jax.grad`` takes."""

from __future__ import annotations

from typing import Any

import jax

from jtorch._core.backward.backward_pass import call_node
from jtorch._core.backward.jax_hooks import by_its_rule
from jtorch._core.dispatch.inplace import assign
from jtorch._core.graph.grad_modes import enable_grad, no_grad
from jtorch._core.storage.bare_tensor import Tensor, alias_of
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.tensor.attributes import to_jax
from jtorch._core.tensor.autograd_methods import with_grad
from jtorch._core.tensor.creation import from_jax

__all__ = ["apply_to_tracers"]


def _array(t: Tensor) -> Any:
    return to_jax(alias_of(t._s, t._view))


def apply_to_tracers(cls: Any, args: tuple[Any, ...]) -> Any:
    """``cls.apply(*args)`` as a ``jax.custom_vjp`` of the Function's own forward and backward. The tape is off, or no argument is on it."""
    at = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
    smooth = [aval_of(args[i]).dtype.category >= 2 for i in at]
    box: dict[str, Any] = {}  # what is no array. JAX traces forward before backward

    def run(arrays: tuple[Any, ...], grad: bool) -> tuple[list[Any], list[Any]]:
        inputs = list(args)
        for i, array, s in zip(at, arrays, smooth, strict=True):
            t = from_jax(array)
            inputs[i] = with_grad(t).view_as(t) if grad and s else t
        with by_its_rule(), enable_grad() if grad else no_grad():
            out = cls._apply(*inputs)
        outs = list(out) if isinstance(out, tuple) else [out]
        box["single"], box["outs"] = not isinstance(out, tuple), [None if isinstance(o, Tensor) else o for o in outs]
        box["tensors"] = [i for i, o in enumerate(outs) if isinstance(o, Tensor)]
        written = {id(inputs[i]): i for i in at}
        box["dirty"] = [written.get(id(o)) for o in outs if isinstance(o, Tensor)]
        return outs, [_array(o) for o in outs if isinstance(o, Tensor)]

    @jax.custom_vjp  # type: ignore[untyped-decorator]  # jax is not followed
    def function(*arrays: Any) -> Any:
        return run(arrays, False)[1]

    def forward(*arrays: Any) -> Any:
        outs, found = run(arrays, True)
        ctx = next((o._edge for o in outs if isinstance(o, Tensor) and isinstance(o._edge, cls._backward_cls)), None)
        box["ctx"] = ctx
        if ctx is None:
            return found, []
        box["kept"] = names = [k for k, v in ctx.__dict__.items() if isinstance(v, Tensor)]
        return found, [None if t is None else _array(t) for t in [*ctx.saved_tensors, *[ctx.__dict__[k] for k in names]]]

    def backward(residuals: Any, cotangents: Any) -> Any:
        ctx = box["ctx"]
        if ctx is None:
            return (None,) * len(at)
        tensors = [None if r is None else from_jax(r) for r in residuals]
        names = box["kept"]
        ctx._saved = tuple((t, 0, None) for t in tensors[: len(tensors) - len(names)])
        ctx.__dict__.update(zip(names, tensors[len(tensors) - len(names) :], strict=True))
        grads: list[Any] = [None] * len(box["outs"])
        for i, ct in zip(box["tensors"], cotangents, strict=True):
            a = ctx._out_avals[i]
            grads[i] = from_jax(ct) if a.dtype.category >= 2 else None
        with by_its_rule(), no_grad():
            results = call_node(ctx, *[g for g, a in zip(grads, ctx.outs, strict=True) if a.dtype.category >= 2])  # those that have gradients
        results = results if isinstance(results, tuple) else (results,)
        return tuple(None if g is None else to_jax(g) for g in results)

    function.defvjp(forward, backward)
    found = function(*[to_jax(args[i]) for i in at])
    outs = box["outs"]
    for i, array, dirty in zip(box["tensors"], found, box["dirty"], strict=True):
        t = from_jax(array)
        outs[i] = t if dirty is None else assign(args[dirty], t)
    return outs[0] if box["single"] else tuple(outs)
