"""In which order the microbatches of a batch go through a stage. Source: https://docs.pytorch.org/docs/stable/distributed.pipelining.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jtorch._public import torch

from .microbatch import merge_chunks, split_args_kwargs_into_chunks
from .stage import PipelineStage

__all__ = [
    "PipelineScheduleMulti", "PipelineScheduleSingle", "Schedule1F1B", "ScheduleDualPipeV", "ScheduleGPipe", "ScheduleInterleaved1F1B", "ScheduleInterleavedZeroBubble", "ScheduleLoopedBFS",
    "ScheduleZBVZeroBubble",
]  # fmt: skip

Action = tuple[str, int, int]  # F or B, stage, microbatch


class _Schedule:
    """``loss_fn(output, target)`` of each microbatch on the last stage; gradients are divided by the number of microbatches unless ``scale_grads`` is False."""

    def __init__(
        self, stages: list[PipelineStage], n_microbatches: int, loss_fn: Callable[..., Any] | None, args_chunk_spec: Any, kwargs_chunk_spec: Any, output_merge_spec: Any, scale_grads: bool
    ) -> None:  # fmt: skip
        self._stages, self._n_microbatches, self._loss_fn = stages, n_microbatches, loss_fn
        self._args_chunk_spec, self._kwargs_chunk_spec, self._output_merge_spec = args_chunk_spec, kwargs_chunk_spec, output_merge_spec
        self.scale_grads = scale_grads
        self._num_stages, self.pp_group_size, self.rank = stages[0].num_stages, stages[0].group_size, stages[0].group_rank
        self._has_backward = loss_fn is not None

    def _order(self) -> Iterator[Action]:
        """What this process does, one after the other."""
        raise NotImplementedError

    def step(self, *args: Any, target: Any = None, losses: list[Any] | None = None, return_outputs: bool = True, loss_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """A whole batch: the first stage is given the inputs, the last one the ``target``. The results on the last stage, None elsewhere; ``losses`` is filled with those of the microbatches."""
        if self._has_backward and not torch.is_grad_enabled():
            raise RuntimeError("step() requires gradients to be enabled for backward computation; it should not be used under torch.no_grad() context. Please call eval() instead.")
        return self._run(args, target, losses, kwargs, self._has_backward, return_outputs, loss_kwargs or {})

    def eval(self, *args: Any, target: Any = None, losses: list[Any] | None = None, loss_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """As :meth:`step`, without backward. (Results have their graph, unless it is called under ``torch.no_grad()``.)"""
        return self._run(args, target, losses, kwargs, False, True, loss_kwargs or {})

    def _run(self, args: Any, target: Any, losses: list[Any] | None, kwargs: Any, backward: bool, return_outputs: bool, loss_kwargs: dict[str, Any]) -> Any:
        stages, n = {s.stage_index: s for s in self._stages}, self._n_microbatches
        for s in self._stages:
            s.clear_runtime_states()
            s.has_backward = backward
            s.beside = stages
        each, named = split_args_kwargs_into_chunks(args, kwargs, n, self._args_chunk_spec, self._kwargs_chunk_spec)
        targets = list(torch.tensor_split(target, n)) if target is not None else None
        found: dict[int, Any] = {}
        outs: dict[int, Any] = {}
        left = dict.fromkeys(stages, n)  # how many microbatches have to go back through each
        for what, at, i in self._order():
            stage = stages[at]
            if what == "F":
                out = stage.forward_one_chunk(i, each[i], named[i])
                if stage.is_last:
                    outs[i] = out.detach() if isinstance(out, torch.Tensor) and backward else out  # backward frees its graph
                    if self._loss_fn is not None and targets is not None:
                        found[i] = self._loss_fn(out, targets[i], **loss_kwargs)
            elif backward:
                if stage.is_last and i not in found:
                    raise RuntimeError(f"Loss for microbatch {i} is not available. Available losses for microbatches: {sorted(found)}")
                left[at] -= 1
                stage.backward_one_chunk(i, found.get(i), not left[at])
        for s in self._stages:
            s.finish()
            if backward and self.scale_grads:
                s.scale_grads(n)
        last = any([s.is_last for s in self._stages])
        if last and losses is not None:
            losses[:] = [found[i] for i in sorted(found)]
        return merge_chunks([outs[i] for i in sorted(outs)], self._output_merge_spec) if last and return_outputs else None


class PipelineScheduleSingle(_Schedule):
    """One stage a process. ValueError where processes have several."""

    def __init__(
        self, stage: PipelineStage, n_microbatches: int, loss_fn: Callable[..., Any] | None = None, args_chunk_spec: Any = None, kwargs_chunk_spec: Any = None, output_merge_spec: Any = None,
        scale_grads: bool = True,
    ) -> None:  # fmt: skip
        super().__init__([stage], n_microbatches, loss_fn, args_chunk_spec, kwargs_chunk_spec, output_merge_spec, scale_grads)
        self._stage = stage
        if self._num_stages != self.pp_group_size:
            raise ValueError(f"{type(self).__name__} runs one stage a process: {self._num_stages} stages on {self.pp_group_size} processes want a schedule of several")
        if n_microbatches < self._num_stages and isinstance(self, Schedule1F1B):
            raise ValueError(f"Number of microbatches ({n_microbatches}) must be greater than or equal to the number of stages ({self._num_stages}).")


class ScheduleGPipe(PipelineScheduleSingle):
    """All microbatches forward, then all backward."""

    def _order(self) -> Iterator[Action]:
        for what in "FB":
            for i in range(self._n_microbatches):
                yield what, self._stage.stage_index, i


class Schedule1F1B(PipelineScheduleSingle):
    """As many forward as there are stages behind, then by turns one forward and one backward: no stage keeps more."""

    def _order(self) -> Iterator[Action]:
        n, at = self._n_microbatches, self._stage.stage_index
        ahead = min(n, self._num_stages - at)
        for i in range(ahead):
            yield "F", at, i
        for i in range(n):
            yield "B", at, i
            if ahead + i < n:
                yield "F", at, ahead + i


def generate_stage_to_rank_mapping(pp_size: int, num_stages: int, style: str = "loop") -> dict[int, int]:
    """Which process has each stage: one after the other and again from the first on ("loop"), or there and back ("v"). ValueError for another style, and a V whose stages do not fill all processes."""
    if style == "loop":
        return {i: i % pp_size for i in range(num_stages)}
    if style == "v":
        if num_stages % pp_size:
            raise ValueError(f"num_stages {num_stages} must be evenly divisible by pp_size {pp_size} for V schedules")
        return {i: i % pp_size if i // pp_size % 2 == 0 else pp_size - 1 - i % pp_size for i in range(num_stages)}
    raise ValueError(f"Style {style} is not supported.")


class PipelineScheduleMulti(_Schedule):
    """Several stages a process: stage i in process i modulo their number, or there and back again where the schedule is a V."""

    _style = "loop"

    def __init__(
        self, stages: list[PipelineStage], n_microbatches: int, loss_fn: Callable[..., Any] | None = None, args_chunk_spec: Any = None, kwargs_chunk_spec: Any = None,
        output_merge_spec: Any = None, use_full_backward: bool | None = None, scale_grads: bool = True, backward_requires_autograd: bool = True, defer_pp_recv: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(sorted(stages, key=lambda s: s.stage_index), n_microbatches, loss_fn, args_chunk_spec, kwargs_chunk_spec, output_merge_spec, scale_grads)
        self._check_stages(len(stages), n_microbatches)
        mine = [s.stage_index for s in self._stages]
        self.stage_index_to_group_rank = generate_stage_to_rank_mapping(self.pp_group_size, self._num_stages, self._style)
        wanted = [i for i, rank in self.stage_index_to_group_rank.items() if rank == self.rank]
        if mine != wanted:
            raise ValueError(f"process {self.rank} of {self.pp_group_size} has stages {mine} of {self._num_stages}: those of a {self._style} are {wanted}")
        for s in self._stages:
            s.stage_index_to_group_rank = self.stage_index_to_group_rank

    def _check_stages(self, stages: int, n_microbatches: int) -> None:
        """ValueError where the schedule is not for so many stages a process, or microbatches."""


class ScheduleLoopedBFS(PipelineScheduleMulti):
    """All microbatches forward through one stage after the other, then all backward from the last stage on."""

    def __init__(
        self, stages: list[PipelineStage], n_microbatches: int, loss_fn: Callable[..., Any] | None = None, output_merge_spec: Any = None, scale_grads: bool = True,
        backward_requires_autograd: bool = True, defer_pp_recv: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(stages, n_microbatches, loss_fn, output_merge_spec=output_merge_spec, scale_grads=scale_grads)

    def _order(self) -> Iterator[Action]:
        n = self._n_microbatches
        for s in self._stages:
            for i in range(n):
                yield "F", s.stage_index, i
        for s in reversed(self._stages):
            for i in reversed(range(n)):
                yield "B", s.stage_index, i


class ScheduleInterleaved1F1B(PipelineScheduleMulti):
    """Rounds of microbatches through the stages of each process in turn; once enough are under way, by turns one forward and one backward. ValueError if the microbatches are not as many in each round."""

    _called = "Interleaved 1F1B"

    def __init__(
        self, stages: list[PipelineStage], n_microbatches: int, loss_fn: Callable[..., Any] | None = None, args_chunk_spec: Any = None, kwargs_chunk_spec: Any = None,
        output_merge_spec: Any = None, scale_grads: bool = True, backward_requires_autograd: bool = True, defer_pp_recv: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(stages, n_microbatches, loss_fn, args_chunk_spec, kwargs_chunk_spec, output_merge_spec, scale_grads=scale_grads)
        self.n_local_stages = len(stages)
        self.number_of_rounds = max(1, n_microbatches // self.pp_group_size)
        self.microbatches_per_round = n_microbatches // self.number_of_rounds
        if n_microbatches % self.number_of_rounds:
            raise ValueError(f"{self._called} requires the number of microbatches to be a multiple of the number of rounds ({self.number_of_rounds}), but got {n_microbatches}.")

    def _turns(self, stages: list[PipelineStage]) -> Iterator[tuple[int, int]]:
        """(stage, microbatch): a round through these stages, one after the other, then the next round."""
        size = self.microbatches_per_round
        for first in range(0, self._n_microbatches, size):
            for s in stages:
                for i in range(first, first + size):
                    yield s.stage_index, i

    def _order(self) -> Iterator[Action]:
        forward, backward = list(self._turns(self._stages)), list(self._turns(self._stages[::-1]))
        ahead = min(len(forward), (self.n_local_stages - 1) * self.microbatches_per_round + 2 * (self.pp_group_size - 1 - self.rank))
        for at, i in forward[:ahead]:
            yield "F", at, i
        for k, (at, i) in enumerate(backward):
            if ahead + k < len(forward):
                yield ("F", *forward[ahead + k])
            yield "B", at, i


class ScheduleInterleavedZeroBubble(ScheduleInterleaved1F1B):
    """As :class:`ScheduleInterleaved1F1B`. Gradients of weights come with those of inputs, as one program, where torch puts them off to fill the gaps: the numbers are the same."""

    _called = "Zero bubble"


class ScheduleZBVZeroBubble(PipelineScheduleMulti):
    """Two stages a process, laid there and back, so that the first process has the last one too. Backward goes first wherever it can, and no more microbatches are under way than there are stages.
    Gradients of weights come with those of inputs, as one program, where torch puts them off to fill the gaps: the numbers are the same. ValueError for other than two stages a process."""

    _style = "v"

    def __init__(
        self, stages: list[PipelineStage], n_microbatches: int, loss_fn: Callable[..., Any] | None = None, args_chunk_spec: Any = None, kwargs_chunk_spec: Any = None,
        output_merge_spec: Any = None, scale_grads: bool = True, backward_requires_autograd: bool = True, defer_pp_recv: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(stages, n_microbatches, loss_fn, args_chunk_spec, kwargs_chunk_spec, output_merge_spec, scale_grads=scale_grads)
        self.n_local_stages, self.num_stages = len(stages), self._num_stages

    def _check_stages(self, stages: int, n_microbatches: int) -> None:
        if stages != 2:
            raise ValueError(f"ZBV requires exactly 2 stages per rank, but got {stages}.")

    def _order(self) -> Iterator[Action]:
        """Each process goes through what all do, a step of each at a time, and does its own: so all agree on an order in which nobody waits for what comes later."""
        n, last = self._n_microbatches, self._num_stages - 1
        done = {"F": [0] * (last + 1), "B": [0] * (last + 1)}  # how many microbatches have been through each stage
        of_rank = [[i for i, r in self.stage_index_to_group_rank.items() if r == rank] for rank in range(self.pp_group_size)]
        while done["B"][0] < n:
            before = {what: list(counts) for what, counts in done.items()}
            for rank, stages in enumerate(of_rank):
                for what, at in [(what, at) for what in "BF" for at in reversed(stages)]:
                    i = before[what][at]
                    if what == "B":
                        ready = i < before["F"][at] and (at == last or i < before["B"][at + 1])
                    else:
                        ready = i < n and (i < before["F"][at - 1] if at else i - before["B"][0] <= last)
                    if ready:
                        done[what][at] += 1
                        if rank == self.rank:
                            yield what, at, i
                        break


class ScheduleDualPipeV(ScheduleZBVZeroBubble):
    """As :class:`ScheduleZBVZeroBubble`. ValueError for fewer microbatches than stages besides."""

    def _check_stages(self, stages: int, n_microbatches: int) -> None:
        super()._check_stages(stages, n_microbatches)
        if n_microbatches < self._num_stages:
            raise ValueError(f"DualPipeV requires at least as many microbatches as stages, but got {n_microbatches} microbatches and {self._num_stages} stages.")


def get_schedule_class(schedule_name: str) -> type:
    """The schedule of this name, whatever its case: "1F1B", "GPipe" and so on. ValueError for another."""
    known = {
        "1F1B": Schedule1F1B, "Interleaved1F1B": ScheduleInterleaved1F1B, "GPipe": ScheduleGPipe, "LoopedBFS": ScheduleLoopedBFS, "InterleavedZeroBubble": ScheduleInterleavedZeroBubble,
        "PipelineScheduleSingle": PipelineScheduleSingle, "PipelineScheduleMulti": PipelineScheduleMulti, "ZBVZeroBubble": ScheduleZBVZeroBubble, "DualPipeV": ScheduleDualPipeV,
    }  # fmt: skip
    for name, found in known.items():
        if name.lower() == schedule_name.lower():
            return found
    raise ValueError(f"Unknown schedule name '{schedule_name}'. The valid options are {list(known)}")
