"""An optimizer lent other parameters and another state for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jtorch._public import torch

__all__ = ["swap_in_optimizer_params_and_state"]

_NAME = "swap_in_optimizer_params_and_state"


def _checked_state(state: Any) -> dict[Any, Any]:
    if not isinstance(state, dict):
        raise RuntimeError(
            f"{_NAME} requires swapin_optim_state['state'] to be a dict mapping packed parameter ids to per-param state dicts, "
            f"got {type(state).__name__}."
        )
    if any(isinstance(k, torch.Tensor) for k in state):
        raise RuntimeError(f"{_NAME} requires optimizer.state_dict()-style state keyed by packed parameter ids.")
    if any(isinstance(k, int) and not isinstance(v, dict) for k, v in state.items()):
        raise RuntimeError(f"{_NAME} requires per-parameter optimizer state entries to be dictionaries.")
    return state


def _checked_ids(i: int, group: dict[str, Any], other: Any) -> list[int]:
    if not isinstance(other, dict):
        raise RuntimeError(f"{_NAME} requires each optimizer param group to be a dictionary.")
    ids = other.get("params")
    if not isinstance(ids, list) or not all(isinstance(n, int) for n in ids):
        raise RuntimeError(
            f"{_NAME} requires optimizer.state_dict()-style param_groups[*]['params'] entries keyed by packed parameter ids."
        )
    if len(group["params"]) != len(ids):
        raise RuntimeError(f"swapin_optim_state param group {i} has a different number of params than the live optimizer param group.")
    theirs, ours = [k for k in other if k not in group], [k for k in group if k not in other]
    if theirs or ours:
        raise RuntimeError(
            f"{_NAME} requires optimizer.state_dict()-style param group keys to exactly match the live optimizer group keys "
            f"for group {i}. Keys only in swap-in: {theirs}. Keys only in live: {ours}."
        )
    return ids


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Any, swapin_parameters: dict[str, Any], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Within the block ``optimizer`` works on these parameters (in its groups' order) and on this state dict's state and options.

    RuntimeError where the state dict does not fit the optimizer.
    """
    if not optimizer.state:
        raise RuntimeError(f"{_NAME} requires initialized optimizer state.")
    if not isinstance(swapin_optim_state, dict):
        raise RuntimeError(f"{_NAME} requires a DCP-style optimizer state_dict.")
    state, others = _checked_state(swapin_optim_state.get("state")), swapin_optim_state.get("param_groups")
    if not isinstance(others, list):
        raise RuntimeError(
            f"{_NAME} requires swapin_optim_state['param_groups'] to be a list of param-group dicts, got {type(others).__name__}."
        )
    if len(optimizer.param_groups) != len(others):
        raise RuntimeError("swapin_optim_state has a different number of parameter groups than the live optimizer.")
    params, start, seen, plan = list(swapin_parameters.values()), 0, set(), []
    for i, (group, other) in enumerate(zip(optimizer.param_groups, others, strict=True)):
        ids = _checked_ids(i, group, other)
        seen.update(ids)
        if start + len(ids) > len(params):
            raise RuntimeError(f"{_NAME} requires the explicit parameter state to match optimizer.param_groups ordering.")
        plan.append((group, other, ids, params[start : start + len(ids)]))
        start += len(ids)
    if extra := [k for k in state if k not in seen]:
        raise RuntimeError(
            f"{_NAME} requires swapin_optim_state['state'] to be keyed only by packed parameter ids from "
            f"param_groups[*]['params']; got extra keys {extra!r}."
        )
    own_state, own_groups = optimizer.state, [dict(g) for g in optimizer.param_groups]
    try:
        lent: defaultdict[Any, Any] = defaultdict(dict)
        for group, other, ids, theirs in plan:
            group.update({k: v for k, v in other.items() if k != "params"}, params=theirs)
            lent.update({p: dict(state.get(n, {})) for p, n in zip(theirs, ids, strict=True)})
        optimizer.state = lent
        yield
    finally:
        for group, saved in zip(optimizer.param_groups, own_groups, strict=True):
            group.clear()
            group.update(saved)
        optimizer.state = own_state
