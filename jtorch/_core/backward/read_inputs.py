"""What a gradient's own gradient leads to. Here one node has the gradients of all of an operator's inputs, torch has one for each: that leads to what its formula reads."""

from __future__ import annotations

from typing import Any

from jtorch._core.graph.flat import hang_flat
from jtorch._core.graph.node import OpNode, forward_mode
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._engine.recording.call import structure_of
from jtorch._engine.recording.vjp import ONE_CALL, Plan, derived

__all__ = ["of_flat_derivative", "without_needless_history", "without_unread"]


def without_unread(node: OpNode, cts: list[Any], results: Any) -> Any:
    """``results`` with None for the inputs that the outputs with a gradient do not read."""
    plan = node.plan
    reached = plan.reached(tuple([cts[i] is not None for i in plan.wanted_outs]))
    return results if reached is None else [g if there else None for g, there in zip(results, reached, strict=True)]


def without_needless_history(plan: Plan, gradients: list[Tensor]) -> list[Tensor]:
    """Several inputs' gradients, each of which requires grad if what it reads does."""
    if plan.name not in ONE_CALL:
        for k, t in enumerate(gradients):
            node = t._edge
            if isinstance(node, OpNode) and (there := node.plan.reached(tuple([i == k for i in node.plan.wanted_outs]))) is not None and True not in there:
                t._edge = None
    return gradients


def of_flat_derivative(node: OpNode, gradients: list[Any]) -> list[Any]:
    """``gradients`` with the history that they have in torch, where the operator's declaration says (``second``) that its inputs are read by a derivative that is flat in them."""
    if node.undefined:
        return [None] * len(gradients)
    call = node.entry.call
    if call.op is None and call.origin is not None and call.origin[0] is derived and call.origin[1][3] is None:  # the forward with hidden outputs
        call = call.origin[1][0].call
    if call.op is None or not call.op.second:
        return gradients
    said = call.op.second
    if not isinstance(said, str):
        said = said(structure_of(call))
        if not said:
            return gradients
    if said == "of nothing":
        if not any([not isinstance(a, type) and 0 in a.shape for a in node.entry.inputs]):
            return gradients
        said = call.grad_name
    if " " in said and forward_mode.on:  # the pass is the transposed of one forward, which torch has
        return gradients
    for t in gradients:
        if isinstance(t, Tensor):
            hang_flat(t, said, node.edges, [node.entry.inputs[i] for i in node.plan.targets])
    return gradients
