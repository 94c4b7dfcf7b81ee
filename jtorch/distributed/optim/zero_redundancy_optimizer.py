"""An optimizer that updates a part of the parameters in each process. Source: https://docs.pytorch.org/docs/stable/distributed.optim.html"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.distributed import _collectives
from jtorch.distributed._groups import ProcessGroup, resolve
from jtorch.distributed._join import Join, Joinable, JoinHook
from jtorch.distributed._objects import all_gather_object
from jtorch.optim.optimizer import Optimizer

__all__ = ["ZeroRedundancyOptimizer"]


def _checked(params: Any) -> list[Any]:
    """Parameters or groups of them, all of one dense type."""
    if isinstance(params, torch.Tensor):
        raise TypeError(f"`params` argument should be an iterable of Tensors, but got {torch.typename(params)}")
    try:
        given = list(params)
    except TypeError as error:
        raise TypeError(f"`params` argument should be an iterable of Tensors or dicts, but got {torch.typename(params)}") from error
    if not given:
        raise ValueError("ZeroRedundancyOptimizer got an empty parameter list")
    if all(isinstance(p, dict) for p in given):
        if any("params" not in group for group in given):
            raise ValueError("Each parameter group passed-in via `params` must have a 'params' key mapping to the parameters in the group")
        given = [{**group, "params": list(group["params"])} if isinstance(group["params"], Iterator) else group for group in given]
        parameters = [p for group in given for p in group["params"]]
    elif all(isinstance(p, torch.Tensor) for p in given):
        parameters = given
    else:
        raise TypeError("`params` argument should be an iterable of Tensors or dicts")
    if parameters:
        types = [torch.typename(p) for p in parameters]
        if parameters[0].is_sparse:
            raise ValueError(f"ZeroRedundancyOptimizer only supports using the same dense type for all parameters but got {types[0]}")
        if other := next((t for t in types if t != types[0]), None):
            raise ValueError(f"ZeroRedundancyOptimizer only supports using the same dense type for all parameters but got both {types[0]} and {other}")
    return given


class ZeroRedundancyOptimizer(Optimizer, Joinable):
    """``optimizer_class`` over the parameters, each of which one process updates and sends to the others: so its state is in one process alone.

    Parameters go to the process that has the fewest elements, the largest first. :meth:`state_dict` has the whole state on rank ``to`` after
    :meth:`consolidate_state_dict`. RuntimeError if it is asked for before. TypeError or ValueError for parameters that are none, of several types or sparse.
    ``parameters_as_bucket_view`` has no effect: no memory is shared, and what a rank sends goes together anyway.
    """

    def __init__(
        self, params: Any, optimizer_class: type[Optimizer], process_group: Any = None, parameters_as_bucket_view: bool = False, overlap_with_ddp: bool = False, **defaults: Any
    ) -> None:
        self.process_group: ProcessGroup = resolve(process_group)
        self.rank, self.world_size = self.process_group.rank(), self.process_group.size()
        self._optim_constructor, self._optim_defaults = optimizer_class, defaults
        self.initialized = False
        self._consolidated: list[Any] | None = None
        if overlap_with_ddp:
            not_implemented("ZeroRedundancyOptimizer with overlap_with_ddp", "step() after backward() does the same")
        params = _checked(params)
        self.parameters_as_bucket_view = parameters_as_bucket_view
        Optimizer.__init__(self, params, defaults)
        self._owners: dict[Any, int] = {}
        self._build()
        self.initialized = True

    def _build(self) -> None:
        loads = [0] * self.world_size
        groups = []
        for group in self.param_groups:
            for p in sorted(group["params"], key=lambda p: p.numel(), reverse=True):
                owner = loads.index(min(loads))
                self._owners[p] = owner
                loads[owner] += p.numel()
            mine = [p for p in group["params"] if self._owners[p] == self.rank]
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": mine})
        self._order = [p for group in self.param_groups for p in group["params"]]
        self.optim = self._optim_constructor(groups, **self._optim_defaults)
        for ours, theirs in zip(self.param_groups, self.optim.param_groups, strict=True):
            for k, v in theirs.items():
                ours.setdefault(k, v)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """More parameters; all processes must add them."""
        Optimizer.add_param_group(self, param_group)
        if self.initialized:
            before = self.optim.state
            self._owners = {}
            self._build()
            for p in self.optim.param_groups:
                for q in p["params"]:
                    if q in before:
                        self.optim.state[q] = before[q]

    def _share_settings(self) -> None:
        for ours, theirs in zip(self.param_groups, self.optim.param_groups, strict=True):
            theirs.update({k: v for k, v in ours.items() if k != "params"})

    def step(self, closure: Callable[[], float] | None = None, **kwargs: Any) -> float | None:  # type: ignore[override]
        """Update this process's part, then give all parameters to all."""
        if self._join_config.enable:
            Join.notify_join_context(self)
        self._share_settings()
        loss = self.optim.step(closure=closure, **kwargs) if closure is not None else self.optim.step(**kwargs)
        self._send_all()
        for ours, theirs in zip(self.param_groups, self.optim.param_groups, strict=True):
            ours.update({k: v for k, v in theirs.items() if k != "params"})
        return loss  # type: ignore[no-any-return]

    def _send_all(self) -> None:
        for owner in range(self.world_size):
            chosen = [p.detach() for p in self._order if self._owners[p] == owner]
            for work in _collectives.together("broadcast", chosen, self.process_group, owner):
                work.wait()

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Gather the state on rank ``to``. All processes must call it."""
        self._share_settings()
        numbers = {p: i for i, p in enumerate(self._order)}
        mine = {numbers[p]: s for p, s in self.optim.state.items()}
        found: list[Any] = [None] * self.world_size
        all_gather_object(found, mine, self.process_group)
        self._consolidated = found if self.rank == to else None

    def state_dict(self) -> dict[str, Any]:
        """The whole state, where it was gathered."""
        if self._consolidated is None:
            raise RuntimeError(f"Optimizer state has not been consolidated on this rank. Please call `consolidate_state_dict(to={self.rank})` on all ranks beforehand if you meant to save the global state.")
        state = {i: s for part in self._consolidated for i, s in part.items()}
        numbers = {p: i for i, p in enumerate(self._order)}
        groups = [{**{k: v for k, v in g.items() if k != "params"}, "params": [numbers[p] for p in g["params"]]} for g in self.param_groups]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Of a whole state, this process's part."""
        state_dict = copy.copy(state_dict)
        saved = state_dict["param_groups"]
        if len(self.param_groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(ours["params"]) != len(theirs["params"]) for ours, theirs in zip(self.param_groups, saved, strict=True)):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group")
        for ours, theirs in zip(self.param_groups, saved, strict=True):
            ours.update({k: v for k, v in theirs.items() if k != "params"})
        self._share_settings()
        whole = [i for g in state_dict["param_groups"] for i in g["params"]]
        mine = {i: p for i, p in zip(whole, self._order, strict=True) if self._owners[p] == self.rank}
        place = {p: k for k, p in enumerate(p for g in self.optim.param_groups for p in g["params"])}
        self.optim.load_state_dict({
            "state": {place[p]: state_dict["state"][i] for i, p in mine.items() if i in state_dict["state"]},
            "param_groups": [{**{k: v for k, v in g.items() if k != "params"}, "params": [place[p] for p in g["params"]]} for g in self.optim.param_groups],
        })  # fmt: skip

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """What this process does when it has no more batches: an update without gradients, to send and receive parameters."""
        return _ZeROJoinHook(self)

    @property
    def join_device(self) -> Any:
        """Where the parameters are."""
        return self._order[0].device

    @property
    def join_process_group(self) -> ProcessGroup:
        """The group."""
        return self.process_group


class _ZeROJoinHook(JoinHook):
    def __init__(self, zero: ZeroRedundancyOptimizer) -> None:
        self.zero = zero

    def main_hook(self) -> None:
        """One step."""
        with torch.no_grad():
            self.zero.step()
