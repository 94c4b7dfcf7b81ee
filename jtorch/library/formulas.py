"""Derivatives of registered operators: one autograd Function for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._core.graph.grad_modes import no_grad
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._engine.values.thread_state import GRAD, state
from jtorch.autograd.function import Function

from .operators import _KEY, OpOverload, below_autograd, device_of, run_kernel, tensors_in

__all__ = ["autograd_of"]


class _Context:
    """What a formula sees as ``ctx``: the node, with needs_input_grad in the arguments' own structure."""

    def __init__(self, node: Any, needs: Any = None) -> None:
        self.__dict__["_node"] = node
        if needs is not None:
            self.__dict__["needs_input_grad"] = needs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._node, name, value)


def _flat(values: Any) -> tuple[list[Any], list[int | None]]:
    """Arguments with lists of tensors taken apart, and how long each list was."""
    leaves: list[Any] = []
    lengths: list[int | None] = []
    for v in values:
        if isinstance(v, list) and v and all(x is None or isinstance(x, Tensor) for x in v):
            leaves += v
            lengths.append(len(v))
        else:
            leaves.append(v)
            lengths.append(None)
    return leaves, lengths


def _unflat(leaves: Any, lengths: list[int | None]) -> list[Any]:
    rest = iter(leaves)
    return [next(rest) if n is None else [next(rest) for _ in range(n)] for n in lengths]


def autograd_of(overload: OpOverload, backward_of: Callable[[], Any], setup_of: Callable[[], Any]) -> Callable[..., Any]:
    """How to call an operator where gradients are recorded, with the formula that is registered at the time."""
    schema = overload._schema
    keyword_only = any(a.kwarg_only for a in schema.arguments)

    def kernel(args: Any, kwargs: dict[str, Any]) -> Any:
        given = tensors_in(args, kwargs)
        with below_autograd():
            return run_kernel(overload._op, _KEY.get(device_of(args, kwargs, given), "CPU"), tuple(args), kwargs, given)

    def forward(ctx: Any, call: dict[str, Any], *leaves: Any) -> Any:
        args = _unflat(leaves, call["lengths"])
        result = kernel(args, call["kwargs"])
        setup = setup_of()
        if setup is not None:
            more = {"keyword_only_inputs": call["kwargs"]} if keyword_only else {}
            setup(ctx=_Context(ctx), inputs=tuple(args), output=result, **more)
        call["single"] = not isinstance(result, tuple)
        flat, call["outs"] = _flat((result,) if call["single"] else result)
        ctx._lengths = call["lengths"], call["outs"]
        return tuple(flat)

    def backward(ctx: Any, *grads: Any) -> Any:
        formula = backward_of()
        if formula is None:
            raise RuntimeError(f"Trying to backward through {overload} but no autograd formula was registered. Please use register_autograd to add one.")
        lengths, outs = ctx._lengths
        found = formula(_Context(ctx, tuple(_unflat(ctx.needs_input_grad[1:], lengths))), *_unflat(grads, outs))
        found = found if isinstance(found, tuple) else (found,)
        if [isinstance(g, (list, tuple)) for g in found] != [n is not None for n in lengths]:
            shown = ["list" if n is not None else "tensor" for n in lengths]
            raise RuntimeError(f"Expected the return from backward to be of the same structure as the inputs. Got: {found} (return from backward), {shown} (inputs)")
        flat: list[Any] = []
        for g, n in zip(found, lengths, strict=True):
            flat += list(g) if n is not None else [g]
        return (None, *flat)

    name = f"GeneratedBackwardFor_{overload.namespace}_{overload._opname}_{overload._overloadname}"
    generated = type(name, (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward), "generate_vmap_rule": True})

    def record(_: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not (state.mode & GRAD and any(t._edge is not None for t in tensors_in(args, {}))):
            with no_grad():
                return kernel(args, kwargs)
        leaves, lengths = _flat(args)
        call = {"lengths": lengths, "kwargs": kwargs, "single": False, "outs": []}
        result = _unflat(generated.apply(call, *leaves), call["outs"])  # type: ignore[attr-defined,arg-type]
        return result[0] if call["single"] else tuple(result)

    return record
