"""``torch.autograd.backward`` and ``grad``: their arguments looked at, then the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jtorch._core.backward import backward_pass as _engine
from jtorch._core.backward.seeds import seed_of
from jtorch._core.graph.node import Node
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._errors import warn
from jtorch._public import torch

__all__ = ["backward", "grad"]


def _sequence(x: Any) -> list[Any]:
    """One tensor (None, a node, the edge of a graph) or several, as a list. TypeError for what is neither."""
    if isinstance(x, (Tensor, Node)) or x is None or hasattr(x, "node"):
        return [x]
    return list(x)


def _outputs(x: Any) -> list[Any]:
    """What is differentiated. AssertionError for what is neither a tensor nor the edge of a graph."""
    found = _sequence(x)
    if not all([isinstance(t, Tensor) or hasattr(t, "node") for t in found]):
        raise AssertionError("Expected output to be a torch.Tensor")
    return found


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False, grad_variables: Any = None, inputs: Any = None
) -> None:
    """Accumulate into the leaves the gradients of ``tensors``, each weighted by its ``grad_tensors`` (1 for a scalar)."""
    if grad_variables is not None and grad_tensors is not None:
        raise RuntimeError("`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only use `grad_tensors`.")
    if grad_variables is not None:
        warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning)
    roots = _outputs(tensors)
    grads = _sequence(grad_tensors if grad_tensors is not None else grad_variables) if grad_tensors is not None or grad_variables is not None else [None] * len(roots)
    if len(grads) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(grads)} gradients")
    if inputs is not None:
        inputs = _sequence(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    _engine.backward(roots, grads, retain_graph, create_graph, inputs)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of ``outputs`` with respect to ``inputs``; nothing is accumulated.

    Of a dict of inputs it is a dict with the same keys. RuntimeError if an input was not used and neither ``allow_unused`` nor ``materialize_grads`` says that this is fine.
    """
    if type(inputs) is dict:
        found = grad(outputs, tuple(inputs.values()), grad_outputs, retain_graph, create_graph, only_inputs, allow_unused, is_grads_batched, materialize_grads)
        return dict(zip(inputs, found, strict=True))
    if isinstance(inputs, Mapping):
        raise TypeError(f"`inputs` argument to `grad()` must be a dict, not {type(inputs).__name__}. Other Mapping types are not supported.")
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.")
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    roots, targets = _outputs(outputs), _sequence(inputs)
    if not targets:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    seeds = _sequence(grad_outputs) if grad_outputs is not None else [None] * len(roots)
    if len(seeds) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(seeds)} gradients")
    if is_grads_batched:
        return _batched(roots, targets, seeds, bool(create_graph if retain_graph is None else retain_graph), create_graph, allow_unused, materialize_grads)
    for t in targets:
        if not isinstance(t, (Tensor, Node)) and not hasattr(t, "node"):
            raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {type(t).__name__}")
    where = []
    for t in targets:
        if isinstance(t, Tensor):
            if t._edge is None:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
            where.append((edge_of(t), t._nr))
        else:
            where.append((t.node, t.output_nr))
    starts = [_engine._root(t, i) for i, t in enumerate(roots)]
    values = [seed_of(t, g, create_graph) for t, g in zip(roots, seeds, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    found = _engine.run_backward(starts, values, retain, create_graph, where, False)
    for i, g in enumerate(found):
        if g is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior."
            )
        if g is None and materialize_grads:
            found[i] = torch.zeros_like(targets[i], requires_grad=create_graph)
    return tuple(found)


def _batched(roots: Any, targets: Any, seeds: Any, retain: bool, create: bool, allow_unused: bool, materialize: bool) -> tuple[Any, ...]:
    """Several cotangents in one call: the first dim of each ``grad_outputs`` counts them."""
    for i, (root, s) in enumerate(zip(roots, seeds, strict=True)):
        if s is not None and isinstance(root, Tensor) and (not s.shape or s.shape[1:] != root.shape):
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. The sizes of the remaining dimensions are expected to match "
                f"the shape of corresponding output, but a mismatch was detected: grad_output[{i}] has a shape of {s.shape[2:]} and output[{i}] has a shape of {root.shape}. "
                "If you only want some tensors in `grad_output` to be considered batched, consider using vmap."
            )
    given = [s for s in seeds if s is not None]
    if not given:
        raise ValueError(
            "vmap(vjp, in_dims=0, ...)(<inputs>): Got in_dim=0 for some input, but that input is a Tensor of dimensionality 0 so expected in_dim to satisfy 0 <= in_dim < 0."
        )
    n = aval_of(given[0]).shape[0]
    rows = []
    for k in range(n):
        one = [None if s is None else s[k] for s in seeds]
        rows.append(grad(roots, targets, one, True if k < n - 1 else retain, create, True, allow_unused, False, materialize))
    return tuple(None if column[0] is None else torch.stack(column) for column in zip(*rows, strict=True))
