"""``torch.cond``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from jtorch._compile.errors import TorchRuntimeError
from jtorch._core.backward.control_flow import branched
from jtorch._core.state.generator import known
from jtorch._core.storage.view_steps import aval_of
from jtorch._engine.values.symbols import NotKnown
from jtorch._engine.values.thread_state import state
from jtorch._public import torch
from jtorch.utils._pytree import tree_flatten, tree_unflatten

from ._functions import called, recorded, refuse

__all__ = ["cond"]

Tensor = torch.Tensor


def cond(pred: bool | int | float | Tensor, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: tuple[Any, ...] | list[Any] = ()) -> Any:
    """``true_fn(*operands)`` where ``pred`` holds, else ``false_fn(*operands)``: one program with both branches, of which one runs; gradients go through it.

    ``pred`` is a tensor of one element, which is not looked at, or a number. ``operands`` are tensors, in tuples, lists and dicts; the branches may read others, and return equal structures
    of tensors with equal shapes and types, not their inputs themselves. RuntimeError for other arguments; torch._dynamo.exc.UncapturedHigherOrderOpError and TorchRuntimeError,
    which are RuntimeErrors, for branches that write their inputs, return them, or do not match. Source: https://docs.pytorch.org/docs/stable/generated/torch.cond.html
    """
    if isinstance(pred, (bool, int, float)):
        if torch.compiler.is_exporting():
            warnings.warn(
                "Pred is a Python constant. When used with torch.cond, it specializes on one of the branches."
                " If you want torch.cond to preserve two branches, please make the predicate a boolean tensor or a SymBool.",
                UserWarning, stacklevel=2,
            )  # fmt: skip
        return called(true_fn if pred else false_fn, *operands)
    if not isinstance(pred, Tensor):
        raise RuntimeError(f"Expected pred to be bool or tensor, but got {pred}.")
    if pred.numel() != 1:
        raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {pred}.")
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("Expect both branches to be callable.")
    flat, spec = tree_flatten(operands)
    if not isinstance(operands, (tuple, list)) or not all(isinstance(t, Tensor) for t in flat):
        raise RuntimeError(
            f"Expect operands to be a tuple of possibly nested dict/list/tuple that only consists of tensor leaves, but got {operands}."
        )
    grad = torch.is_grad_enabled()
    followed = [grad and t.requires_grad for t in flat]
    avals = [aval_of(t) for t in flat]
    branch = lambda fn: recorded("torch.cond", lambda *given: called(fn, *tree_unflatten(list(given), spec)), avals, followed)
    try:
        regions = [branch(true_fn), branch(false_fn)]
    except NotKnown:
        if state.observed is not None or not known(pred):
            raise
        return (true_fn if pred else false_fn)(*operands)  # it looks at values, and they may be there
    first, second = regions
    for region in regions:
        odd = next((x for x in region.leaves if x is not None and not isinstance(x, int)), None)
        if odd is not None:
            raise refuse("HOP body output unsupported", "torch.cond", f"HigherOrderOperator body's output must consist of tensors or ints/bools only but got {type(odd)}.")
    if len(first.leaves) != len(second.leaves) or first.tensors != second.tensors:
        raise TorchRuntimeError(f"Unmatched output spec from torch.cond branches: true branch tree_spec {first.spec} vs false branch tree_spec {second.spec}.")
    if first.spec != second.spec:
        raise refuse("torch.cond: differing branch outputs", "torch.cond", "Expected branches to return the same pytree structure.")
    for a, b in zip(first.values, second.values, strict=True):
        if a.aval.dtype is not b.aval.dtype or a.aval.device is not b.aval.device:
            raise TorchRuntimeError(f"When merging two branches' output in torch.cond, they have different dtypes: torch.{a.aval.dtype.name} and torch.{b.aval.dtype.name}")
    unlike = [(a, b) for a, b in zip(first.values, second.values, strict=True) if a.aval.shape != b.aval.shape]
    if unlike or first.leaves != second.leaves:
        if known(pred):  # sizes and numbers may differ where it is known which they are
            return called(true_fn if pred else false_fn, *operands)
        what = f"{tuple(unlike[0][0].aval.shape)} and {tuple(unlike[0][1].aval.shape)}" if unlike else f"{first.leaves} and {second.leaves}"
        raise TorchRuntimeError(f"the branches of torch.cond give {what}; where the predicate is not known when the program is compiled they must be equal")
    outs = iter(branched(pred, regions, flat))
    return tree_unflatten([next(outs) if i in first.tensors else x for i, x in enumerate(first.leaves)], first.spec)


cond.__module__ = "torch"
