"""``torch.while_loop``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._core.backward.control_flow import looped
from jtorch._core.storage.view_steps import aval_of, is_traced
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.values import aval
from jtorch._public import torch
from jtorch.utils._pytree import tree_flatten, tree_unflatten

from ._functions import Draws, called, keys, mismatch, recorded, refuse
from ._turns import KEY, floating

__all__ = ["while_loop"]

Tensor = torch.Tensor
_NAME = "torch.while_loop"


def while_loop(cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any) -> Any:
    """``val = body_fn(*val)`` while ``cond_fn(*val)`` is True, from ``carried_inputs`` on. One compiled loop; gradients go through it, once.

    ``carried_inputs``: a tuple of tensors or ints, or of trees of them, whose shapes and types stay. Where an int is carried, the loop is Python's if all values are known,
    and a 0-dim int64 elsewhere. RuntimeError and AssertionError as torch for other arguments. Source: torch.while_loop.
    """
    if not callable(cond_fn) or not callable(body_fn):
        raise RuntimeError("Expect cond_fn and body_fn to be callable.")
    flat, spec = tree_flatten(carried_inputs)
    if not all(isinstance(x, (Tensor, int)) for x in flat):
        raise AssertionError(f"{flat} can only be of {(Tensor, int, torch.SymInt)} but got {tuple(type(x) for x in flat)}")
    ints = [i for i, x in enumerate(flat) if not isinstance(x, Tensor)]
    if ints and not any(isinstance(x, Tensor) and is_traced(x) for x in flat) and state.observed is None:
        return _in_python(cond_fn, body_fn, carried_inputs)
    init = [x if isinstance(x, Tensor) else torch.tensor(x) for x in flat]
    grad = torch.is_grad_enabled()
    specs: list[Any] = []
    drawn: list[bool] = []

    def turn(*given: Any) -> Any:
        with Draws(given[-1]) as draws:
            out = called(body_fn, *tree_unflatten(list(given[:-1]), spec))
        found, found_spec = tree_flatten(out)
        found = [torch.as_tensor(x) if i in ints else x for i, x in enumerate(found)]
        specs[:] = [found_spec]
        drawn.append(draws.used)
        return [*found, given[-1] + torch.tensor([0, 1])]

    avals = [*[aval_of(x) for x in init], aval((2,), KEY, aval_of(init[0]).device)]
    test = recorded(_NAME, lambda *given: called(cond_fn, *tree_unflatten(list(given[:-1]), spec)), avals, [False] * len(avals))
    if len(test.leaves) != 1 or (test.tensors and (test.values[0].aval.shape or test.values[0].aval.dtype is not torch.bool)) or not (test.tensors or isinstance(test.leaves[0], bool)):
        raise refuse("torch.while_loop: unsupported cond_fn return type", _NAME, f"Expected cond_fn to return a scalar tensor or a bool but got {test.spec}.")
    if not test.tensors:  # the same in each turn
        return _in_python(cond_fn, body_fn, carried_inputs)
    region = recorded(_NAME, turn, avals, [*[grad and floating(x) for x in init], False])
    if region.tensors != [*range(len(region.leaves))]:
        raise refuse("HOP body output unsupported", _NAME, "HigherOrderOperator body's output must consist of tensors or ints only.")
    mismatch(_NAME, "body_fn_output and carried_inputs", region.outs[:-1], init)
    if drawn[-1]:
        start = keys(1)[0]
    else:
        start = torch.zeros(2, dtype=torch.int64)
    outs = looped(test, region, [*init, start])[:-1]
    return tree_unflatten([outs[i] if i not in ints or is_traced(outs[i]) or state.observed is not None else int(outs[i]) for i in range(len(outs))], specs[0])


def _in_python(cond_fn: Any, body_fn: Any, val: Any) -> Any:
    while called(cond_fn, *val):
        val = called(body_fn, *val)
    return val


while_loop.__module__ = "torch"
