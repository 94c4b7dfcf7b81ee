"""Averaging parameters over the processes of a group."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jtorch._public import torch
from jtorch.distributed import _collectives
from jtorch.distributed._groups import GroupMember, resolve

__all__ = ["average_parameters", "average_parameters_or_parameter_groups", "get_params_to_average"]


def average_parameters(params: Iterable[Any], process_group: Any) -> None:
    """Give each parameter its mean over the group (None: the world). They go in one collective, in the widest of their types."""
    if process_group == GroupMember.NON_GROUP_MEMBER:
        return
    group, every = resolve(process_group), list(params)
    flat = torch.cat([p.data.reshape(-1) for p in every])
    flat /= group.size()
    _collectives.all_reduce(flat, group=group)
    for p, part in zip(every, flat.split([p.numel() for p in every]), strict=True):
        p.data = part.view_as(p).type_as(p)


def get_params_to_average(params: Iterable[Any]) -> list[Any]:
    """Of parameters, or an optimizer's groups of them, those that have a gradient. NotImplementedError for anything else."""
    found = []
    for x in params:
        if isinstance(x, torch.nn.Parameter):
            found += [x] if x.grad is not None else []
        elif isinstance(x, dict):
            found += [p for p in x["params"] if p.grad is not None]
        else:
            raise NotImplementedError(f"Parameter input of type {type(x)} is not supported")
    return found


def average_parameters_or_parameter_groups(params: Iterable[Any], process_group: Any) -> None:
    """:func:`average_parameters` of those that have a gradient."""
    average_parameters(iter(get_params_to_average(params)), process_group)
