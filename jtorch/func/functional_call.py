"""``torch.func.functional_call``: a module with other parameters, for one call."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from jtorch._engine.values.lanes import newest
from jtorch._engine.values.thread_state import state
from jtorch._public import torch
from jtorch.nn.utils.stateless import _functional_call

__all__ = ["functional_call", "functionalize", "stack_module_state"]


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True, strict: bool = False
) -> Any:
    """Call ``module`` with the tensors of a dict (or of several, later ones first) in place of its own parameters and buffers.

    ``args``: a tensor or a tuple. Nothing of the module is changed when the call returns or raises. Source: torch.func.functional_call.
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        named = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        dicts = list(parameter_and_buffer_dicts)
        if not all(isinstance(d, dict) for d in dicts):
            raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
        names = [k for d in dicts for k in d]
        twice = sorted({k for k in names if names.count(k) > 1})
        if twice:
            raise ValueError(f"{twice} appeared in multiple dictionaries; behavior of functional call is ambiguous")
        named = {k: v for d in dicts for k, v in d.items()}
    else:
        raise ValueError(f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(parameter_and_buffer_dicts)}")
    return _functional_call(module, named, args if args is not None else (), kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of equal modules, stacked along a new first dim."""
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    def stacked(named: list[dict[str, Any]], leaves: bool) -> dict[str, Any]:
        found = {}
        for k, first in named[0].items():
            if any(d[k].requires_grad is not first.requires_grad for d in named):
                raise RuntimeError(f"Expected {k} from each model to have the same .requires_grad")
            found[k] = torch.stack([d[k].detach() for d in named]).requires_grad_(first.requires_grad) if leaves else torch.stack([d[k] for d in named])
        return found

    return stacked([dict(m.named_parameters()) for m in models], True), stacked([dict(m.named_buffers()) for m in models], False)


def functionalize(func: Any, *, remove: str = "mutations") -> Any:
    """``func``, whose writes in place are recorded as new values in any case. RuntimeError for an unknown ``remove``. Source: torch.func.functionalize."""
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. Valid options are: 'mutations', 'mutations_and_views'")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before, state.derivative = state.derivative, newest()
        try:
            return func(*args, **kwargs)
        finally:
            state.derivative = before

    return wrapped
