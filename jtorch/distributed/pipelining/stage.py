"""A stage of a pipeline: its part of the model, and what it exchanges with its neighbours. Source: https://docs.pytorch.org/docs/stable/distributed.pipelining.html"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from jtorch._public import torch
from jtorch.distributed import _collectives as collectives
from jtorch.distributed._groups import get_global_rank, resolve
from jtorch.distributed._objects import recv_object_list, send_object_list

__all__ = ["PipelineStage"]


def _tensors(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


class PipelineStage:
    """``submodule`` is number ``stage_index`` of ``num_stages`` parts of a model; stage i belongs to process i of ``group``, and goes on with the first where there are more stages than processes (or, in a V, back again). What goes from stage to stage is a tensor or a tuple of them, of shapes that are found
    out in each step (``input_args`` and ``output_args`` need not be given)."""

    def __init__(
        self, submodule: Any, stage_index: int, num_stages: int, device: Any, input_args: Any = None, output_args: Any = None, output_grads: Any = None, group: Any = None,
        dw_builder: Any = None, get_mesh: Any = None,
    ) -> None:  # fmt: skip
        if stage_index >= num_stages:
            raise ValueError(f"Stage index {stage_index} is out of range of {num_stages}")
        self.submod, self.stage_index, self.num_stages, self.device = submodule, stage_index, num_stages, torch.device(device)
        self.group = resolve(group)
        self.group_rank, self.group_size = self.group.rank(), self.group.size()
        if self.group_size > num_stages:
            raise RuntimeError(f"Pipeline group size {self.group_size} cannot be larger than number of stages {num_stages}")
        self.beside: dict[int, PipelineStage] = {}  # the other stages of this process that a schedule runs
        self.stage_index_to_group_rank = {i: i % self.group_size for i in range(num_stages)}  # a schedule may lay them otherwise
        self.has_backward = False
        self.clear_runtime_states()

    @property
    def is_first(self) -> bool:
        """Whether it takes the batch."""
        return self.stage_index == 0

    @property
    def is_last(self) -> bool:
        """Whether it gives the results."""
        return self.stage_index == self.num_stages - 1

    def clear_runtime_states(self) -> None:
        """Before a step."""
        self._inputs: dict[int, tuple[Any, ...]] = {}
        self._outputs: dict[int, Any] = {}
        self._sent: list[Any] = []
        self._handed: dict[tuple[int, int], Any] = {}
        self._kinds: Any = None
        self._told = False

    def _rank(self, step: int) -> int:
        return get_global_rank(self.group, self.stage_index_to_group_rank[self.stage_index + step])

    def _here(self, step: int) -> PipelineStage | None:
        """The neighbour, if it is in this process."""
        return self.beside.get(self.stage_index + step)

    @staticmethod
    def _tag(low: int, back: bool, i: int) -> int:
        """What is between a stage and the next one, forward or back, of a microbatch: a process with several stages meets them in another order than its neighbours."""
        return 1 + 2 * ((i << 12) + low) + back

    def _receive(self, kinds: Any, step: int, i: int) -> list[Any]:
        here = self._here(step)
        if here is not None:
            return self._handed.pop((step, i))  # type: ignore[no-any-return]
        found = [torch.empty(shape, dtype=dtype, device=self.device) for shape, dtype in kinds]
        tag = self._tag(self.stage_index + min(step, 0), step > 0, i)
        for work in [collectives.irecv(t, self._rank(step), self.group, tag) for t in found]:
            work.wait()  # type: ignore[union-attr]
        return found

    def _send(self, ts: Any, step: int, i: int) -> None:
        here = self._here(step)
        if here is not None:
            here._handed[-step, i] = [t.detach() for t in ts]
            return
        tag = self._tag(self.stage_index + min(step, 0), step < 0, i)
        self._sent += [collectives.isend(t.detach().contiguous(), self._rank(step), self.group, tag) for t in ts]

    def forward_one_chunk(self, i: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The forward of a microbatch: takes from the stage before, gives to the one behind."""
        if self.is_first:
            given = args
        else:
            if self._kinds is None and self._here(-1) is None:
                known: list[Any] = [None]
                recv_object_list(known, self._rank(-1), self.group)
                self._kinds = [(tuple(shape), getattr(torch, name)) for shape, name in known[0]]
            given = tuple(t.requires_grad_() if self.has_backward and t.is_floating_point() else t for t in self._receive(self._kinds, -1, i))
        out = self.submod(*given, **kwargs)
        self._inputs[i], self._outputs[i] = given, out
        if not self.is_last:
            outs = _tensors(out)
            if not self._told and self._here(1) is None:
                self._told = True
                send_object_list([[(tuple(t.shape), str(t.dtype).removeprefix("torch.")) for t in outs]], self._rank(1), self.group)
            self._send(outs, 1, i)
        return out

    def backward_one_chunk(self, i: int, loss: Any = None, last: bool = True) -> None:
        """The backward of a microbatch: takes from the stage behind, gives to the one before."""
        given, out = self._inputs.pop(i), self._outputs.pop(i)
        wait = nullcontext() if last or not hasattr(self.submod, "no_sync") else self.submod.no_sync()
        with wait:
            if self.is_last:
                (loss if loss is not None else _tensors(out)[0].sum()).backward()
            else:
                outs = [t for t in _tensors(out) if t.is_floating_point()]
                grads = self._receive([(tuple(t.shape), t.dtype) for t in outs], 1, i)
                pairs = [(t, g) for t, g in zip(outs, grads, strict=True) if t.requires_grad]
                torch.autograd.backward([t for t, _ in pairs], [g for _, g in pairs])
        if not self.is_first:
            self._send([t.grad if t.grad is not None else torch.zeros_like(t) for t in given if t.is_floating_point()], -1, i)

    def finish(self) -> None:
        """All that was sent has arrived."""
        for work in self._sent:
            work.wait()
        self._sent = []

    def scale_grads(self, grad_scale_factor: int) -> None:
        """Divide the gradients of the stage's parameters."""
        if grad_scale_factor != 1:
            with torch.no_grad():
                for p in self.submod.parameters():
                    if p.grad is not None:
                        p.grad.div_(grad_scale_factor)
