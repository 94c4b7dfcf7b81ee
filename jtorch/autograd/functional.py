"""``torch.autograd.functional``: jacobian, hessian, vjp, jvp, vhp, hvp of functions of tensors."""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch

from ._passes import grad

__all__ = ["vjp", "jvp", "vhp", "hvp", "jacobian", "hessian"]


def _tuple(x: Any) -> tuple[bool, tuple[Any, ...]]:
    return (False, (x,)) if isinstance(x, Tensor) else (True, tuple(x))


def _inputs(inputs: Any, create_graph: bool) -> tuple[bool, tuple[Tensor, ...]]:
    many, ins = _tuple(inputs)
    for x in ins:
        if not isinstance(x, Tensor):
            raise TypeError(f"The inputs given must be either a Tensor or a tuple of Tensors but got {type(x)}.")
    return many, tuple(x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in ins)


def _grad(outputs: Any, inputs: Any, seeds: Any, create_graph: bool, strict: bool = False) -> tuple[Any, ...]:
    pairs = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
    if not pairs:
        if strict:
            raise RuntimeError("The outputs do not depend on the inputs, which strict=True does not allow.")
        return tuple(torch.zeros_like(x) for x in inputs)
    found = grad([o for o, _ in pairs], inputs, [s for _, s in pairs], allow_unused=True, create_graph=create_graph, retain_graph=True)
    return tuple(torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True))


def _out(many: bool, values: tuple[Any, ...], create_graph: bool) -> Any:
    values = values if create_graph else tuple(v.detach() for v in values)
    return values if many else values[0]


def vjp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), v . J)."""
    with torch.enable_grad():
        many, ins = _inputs(inputs, create_graph)
        many_out, outs = _tuple(func(*ins))
        seeds = tuple(torch.ones_like(o) for o in outs) if v is None else _tuple(v)[1]
        g = _grad(outs, ins, seeds, create_graph, strict)
    return _out(many_out, outs, create_graph), _out(many, g, create_graph)


def jvp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), J . v), by two backward passes."""
    with torch.enable_grad():
        many, ins = _inputs(inputs, create_graph)
        tangents = tuple(torch.ones_like(x) for x in ins) if v is None else _tuple(v)[1]
        many_out, outs = _tuple(func(*ins))
        dummies = tuple(torch.zeros_like(o, requires_grad=True) for o in outs)
        g = _grad(outs, ins, dummies, True, strict)
        forward = _grad(g, dummies, tangents, create_graph)
    return _out(many_out, outs, create_graph), _out(many_out, forward, create_graph)


def jacobian(func: Any, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False, strategy: str = "reverse-mode") -> Any:
    """The Jacobian of each output by each input, shaped (*output.shape, *input.shape)."""
    with torch.enable_grad():
        many, ins = _inputs(inputs, create_graph)
        many_out, outs = _tuple(func(*ins))
        rows = []
        for o in outs:
            columns: list[list[Any]] = [[] for _ in ins]
            flat = o.reshape(-1)
            for k in range(o.numel()):
                g = _grad((flat[k],), ins, (torch.ones_like(flat[k]),), create_graph, strict)
                for c, x in zip(columns, g, strict=True):
                    c.append(x)
            rows.append(tuple(
                torch.stack(c).reshape((*o.shape, *x.shape)) if c else torch.zeros((*o.shape, *x.shape)) for c, x in zip(columns, ins, strict=True)
            ))  # fmt: skip
    rows = [tuple(x if create_graph else x.detach() for x in r) for r in rows]
    out = tuple(r if many else r[0] for r in rows)
    return out if many_out else out[0]


def _scalar(func: Any, ins: Any) -> Any:
    out = func(*ins)
    if not isinstance(out, Tensor) or out.numel() != 1:
        raise RuntimeError("The Tensor returned by the function given to hessian should contain a single element")
    return out.squeeze()


def hessian(func: Any, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """The second derivatives of a scalar function."""
    many, ins = _tuple(inputs)

    def first(*xs: Any) -> Any:
        g = jacobian(lambda *ys: _scalar(func, ys), tuple(xs), create_graph=True)
        return g

    out = jacobian(first, ins, create_graph=create_graph, strict=strict)
    return out if many else out[0][0]


def vhp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), v . Hessian)."""
    with torch.enable_grad():
        many, ins = _inputs(inputs, create_graph)
        out = _scalar(func, ins)
        seeds = tuple(torch.ones_like(x) for x in ins) if v is None else _tuple(v)[1]
        g = _grad((out,), ins, (torch.ones_like(out),), True, strict)
        second = _grad(g, ins, seeds, create_graph)
    return (out if create_graph else out.detach()), _out(many, second, create_graph)


def hvp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), Hessian . v); the Hessian is symmetric."""
    return vhp(func, inputs, v, create_graph, strict)
