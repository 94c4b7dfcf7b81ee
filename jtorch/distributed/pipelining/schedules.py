"""In which order the microbatches of a batch go through a stage. Source: https://docs.pytorch.org/docs/stable/distributed.pipelining.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jtorch._public import torch

from .microbatch import merge_chunks, split_args_kwargs_into_chunks
from .stage import PipelineStage

__all__ = ["PipelineScheduleSingle", "Schedule1F1B", "ScheduleGPipe"]


class PipelineScheduleSingle:
    """One stage a process. ``loss_fn(output, target)`` of each microbatch on the last stage; gradients are divided by the number of microbatches unless ``scale_grads`` is False."""

    def __init__(
        self, stage: PipelineStage, n_microbatches: int, loss_fn: Callable[..., Any] | None = None, args_chunk_spec: Any = None, kwargs_chunk_spec: Any = None, output_merge_spec: Any = None,
        scale_grads: bool = True,
    ) -> None:  # fmt: skip
        self._stage, self._n_microbatches, self._loss_fn = stage, n_microbatches, loss_fn
        self._args_chunk_spec, self._kwargs_chunk_spec, self._output_merge_spec = args_chunk_spec, kwargs_chunk_spec, output_merge_spec
        self.scale_grads = scale_grads
        self._num_stages = stage.num_stages
        self._has_backward = loss_fn is not None
        if n_microbatches < self._num_stages and isinstance(self, Schedule1F1B):
            raise ValueError(f"Number of microbatches ({n_microbatches}) must be greater than or equal to the number of stages ({self._num_stages}).")

    def _order(self) -> Iterator[tuple[str, int]]:
        """(F or B, microbatch), one after the other."""
        raise NotImplementedError

    def step(self, *args: Any, target: Any = None, losses: list[Any] | None = None, return_outputs: bool = True, **kwargs: Any) -> Any:
        """A whole batch: the first stage is given the inputs, the last one the ``target``. The results on the last stage, None elsewhere; ``losses`` is filled with those of the microbatches."""
        if self._has_backward and not torch.is_grad_enabled():
            raise RuntimeError("step() requires gradients to be enabled for backward computation; it should not be used under torch.no_grad() context. Please call eval() instead.")
        return self._run(args, target, losses, kwargs, self._has_backward, return_outputs)

    def eval(self, *args: Any, target: Any = None, losses: list[Any] | None = None, **kwargs: Any) -> Any:
        """As :meth:`step`, without backward."""
        with torch.no_grad():
            return self._run(args, target, losses, kwargs, False, True)

    def _run(self, args: Any, target: Any, losses: list[Any] | None, kwargs: Any, backward: bool, return_outputs: bool) -> Any:
        stage, n = self._stage, self._n_microbatches
        stage.clear_runtime_states()
        stage.has_backward = backward
        each, named = split_args_kwargs_into_chunks(args, kwargs, n, self._args_chunk_spec, self._kwargs_chunk_spec)
        targets = list(torch.tensor_split(target, n)) if target is not None else None
        found: dict[int, Any] = {}
        outs: list[Any] = []
        for what, i in self._order():
            if what == "F":
                out = stage.forward_one_chunk(i, each[i], named[i])
                if stage.is_last:
                    outs.append(out.detach() if isinstance(out, torch.Tensor) and not backward else out)
                    if self._loss_fn is not None and targets is not None:
                        found[i] = self._loss_fn(out, targets[i])
            elif backward:
                if stage.is_last and i not in found:
                    raise RuntimeError(f"Loss for microbatch {i} is not available. Available losses for microbatches: {sorted(found)}")
                stage.backward_one_chunk(i, found.get(i), i == n - 1)
        stage.finish()
        if backward and self.scale_grads:
            stage.scale_grads(n)
        if stage.is_last and losses is not None:
            losses[:] = [found[i] for i in sorted(found)]
        return merge_chunks(outs, self._output_merge_spec) if stage.is_last and return_outputs else None


class ScheduleGPipe(PipelineScheduleSingle):
    """All microbatches forward, then all backward."""

    def _order(self) -> Iterator[tuple[str, int]]:
        for what in "FB":
            for i in range(self._n_microbatches):
                yield what, i


class Schedule1F1B(PipelineScheduleSingle):
    """As many forward as there are stages behind, then by turns one forward and one backward: no stage keeps more."""

    def _order(self) -> Iterator[tuple[str, int]]:
        n = self._n_microbatches
        ahead = min(n, self._num_stages - self._stage.stage_index)
        for i in range(ahead):
            yield "F", i
        for i in range(n):
            yield "B", i
            if ahead + i < n:
                yield "F", ahead + i
