"""``torch.autograd.functional``: jacobian, hessian, vjp, jvp, vhp, hvp of functions of tensors."""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch

from ._passes import grad

__all__ = ["vjp", "jvp", "vhp", "hvp", "jacobian", "hessian"]


_RETURNED = "outputs of the user-provided function"


def _tuple(x: Any, what: str, function: str) -> tuple[bool, tuple[Any, ...]]:
    """Whether it is a tuple, and the tuple that it is or the one of it alone. TypeError for what is no tensor."""
    many = isinstance(x, tuple)
    xs = x if many else (x,)
    for i, one in enumerate(xs):
        if not isinstance(one, Tensor):
            found = f"the value at index {i} has type {type(one)}" if many else f"the given {what} has type {type(one)}"
            raise TypeError(f"The {what} given to {function} must be either a Tensor or a tuple of Tensors but {found}.")
    return many, xs


def _vector(v: Any, like: tuple[Any, ...], many: bool, function: str, single: str) -> tuple[Any, ...]:
    """What is multiplied with: ``v``, in the shapes of ``like``, or ones for a single element. RuntimeError for others."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if {single} a single Tensor with a single element.")
        return (torch.ones_like(like[0]),)
    vs = _tuple(v, "v", function)[1]
    if len(vs) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(vs)}." if many else "The given v should contain a single Tensor.")
    for i, (one, other) in enumerate(zip(vs, like, strict=True)):
        if one.size() != other.size():
            raise RuntimeError(f"{f'Entry {i} in ' if many else ''}v has invalid size: should be {other.size()} but got {one.size()}.")
    return vs


_ONE_INPUT, _ONE_OUTPUT = "the input to the user-provided function is", "the user-provided function returns"


def _inputs(inputs: Any, create_graph: bool, function: str) -> tuple[bool, tuple[Tensor, ...]]:
    many, ins = _tuple(inputs, "inputs", function)
    return many, tuple(x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in ins)


def _grad(outputs: Any, inputs: Any, seeds: Any, create_graph: bool, strict: bool = False, which: str = "The output") -> tuple[Any, ...]:
    pairs = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
    if strict and len(pairs) < len(outputs):
        at = next(i for i, o in enumerate(outputs) if not o.requires_grad)
        raise RuntimeError(
            f"Output {at} of the user-provided function does not require gradients. The outputs must be computed in a differentiable manner from the input when running in strict mode."
        )
    if not pairs:
        return tuple(torch.zeros_like(x) for x in inputs)
    found = grad([o for o, _ in pairs], inputs, [s for _, s in pairs], allow_unused=True, create_graph=create_graph, retain_graph=True)
    if strict and None in found:
        raise RuntimeError(f"{which} of the user-provided function is independent of input {found.index(None)}. This is not allowed in strict mode.")
    return tuple(torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True))


def _out(many: bool, values: tuple[Any, ...], create_graph: bool) -> Any:
    values = values if create_graph else tuple(v.detach() for v in values)
    return values if many else values[0]


def vjp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), v . J)."""
    with torch.enable_grad():
        many, ins = _inputs(inputs, create_graph, "vjp")
        many_out, outs = _tuple(func(*ins), _RETURNED, "vjp")
        seeds = _vector(v, outs, many_out, "vjp", _ONE_OUTPUT)
        g = _grad(outs, ins, seeds, create_graph, strict)
    return _out(many_out, outs, create_graph), _out(many, g, create_graph)


def jvp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), J . v), by two backward passes."""
    with torch.enable_grad():
        many, ins = _inputs(inputs, create_graph, "jvp")
        tangents = _vector(v, ins, many, "jvp", _ONE_INPUT)
        many_out, outs = _tuple(func(*ins), _RETURNED, "jvp")
        dummies = tuple(torch.zeros_like(o, requires_grad=True) for o in outs)
        g = _grad(outs, ins, dummies, True, strict)
        forward = _grad(g, dummies, tangents, create_graph)
    return _out(many_out, outs, create_graph), _out(many_out, forward, create_graph)


def jacobian(func: Any, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False, strategy: str = "reverse-mode") -> Any:
    """The Jacobian of each output by each input, shaped (*output.shape, *input.shape)."""
    with torch.enable_grad():
        many, ins = _inputs(inputs, create_graph, "jacobian")
        many_out, outs = _tuple(func(*ins), _RETURNED, "jacobian")
        rows = []
        for i, o in enumerate(outs):
            columns: list[list[Any]] = [[] for _ in ins]
            flat = o.reshape(-1)
            for k in range(o.numel()):
                g = _grad((flat[k],), ins, (torch.ones_like(flat[k]),), create_graph, strict, f"Output {i}")
                for c, x in zip(columns, g, strict=True):
                    c.append(x)
            rows.append(tuple(
                torch.stack(c).reshape((*o.shape, *x.shape)) if c else torch.zeros((*o.shape, *x.shape)) for c, x in zip(columns, ins, strict=True)
            ))  # fmt: skip
    rows = [tuple(x if create_graph else x.detach() for x in r) for r in rows]
    out = tuple(r if many else r[0] for r in rows)
    return out if many_out else out[0]


def _scalar(func: Any, ins: Any, function: str = "hessian") -> Any:
    out = func(*ins)
    if _tuple(out, _RETURNED, function)[0]:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if out.numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {function} should contain a single element")
    return out.squeeze()


def hessian(func: Any, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """The second derivatives of a scalar function."""
    many, ins = _tuple(inputs, "inputs", "hessian")

    def first(*xs: Any) -> Any:
        g = jacobian(lambda *ys: _scalar(func, ys), tuple(xs), create_graph=True)
        return g

    out = jacobian(first, ins, create_graph=create_graph, strict=strict)
    return out if many else out[0][0]


def vhp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), v . Hessian)."""
    return _product("vhp", func, inputs, v, create_graph, strict)


def _product(function: str, func: Any, inputs: Any, v: Any, create_graph: bool, strict: bool) -> tuple[Any, Any]:
    with torch.enable_grad():
        many, ins = _inputs(inputs, create_graph, function)
        seeds = _vector(v, ins, many, function, _ONE_INPUT)
        out = _scalar(func, ins, function)
        g = _grad((out,), ins, (torch.ones_like(out),), True, strict)
        second = _grad(g, ins, seeds, create_graph)
    return (out if create_graph else out.detach()), _out(many, second, create_graph)


def hvp(func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), Hessian . v); the Hessian is symmetric."""
    return _product("hvp", func, inputs, v, create_graph, strict)
