"""PowerSGD: gradients are sent as products of two thin matrices. Source: https://docs.pytorch.org/docs/stable/ddp_comm_hooks.html#powersgd-communication-hook

A gradient M (n x m) is sent as P = M Q and Q = M' P, with P made orthonormal in between (Vogels et al., https://arxiv.org/abs/1905.13727). What the product leaves out is added to the next gradient.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np

from jtorch._public import torch
from jtorch.distributed import _collectives
from jtorch.distributed._groups import resolve

from .default_hooks import allreduce_hook

__all__ = ["PowerSGDState", "batched_powerSGD_hook", "powerSGD_hook"]

_log = logging.getLogger(__name__)
_SEEDS = 1_000_000_000


class PowerSGDState:
    """What the hooks are told, and what they keep from step to step: errors and matrices by bucket. ``start_powerSGD_iter``: steps before it send whole gradients. ``min_compression_rate``: what saves less
    than that goes whole. ValueError for an error feedback or a warm start from the first steps on."""

    __slots__ = (
        "process_group", "matrix_approximation_rank", "start_powerSGD_iter", "min_compression_rate", "orthogonalization_epsilon", "use_error_feedback", "warm_start",
        "batch_tensors_with_same_shape", "rng", "error_dict", "p_memory_dict", "q_memory_dict", "iter", "total_numel_before_compression", "total_numel_after_compression",
        "compression_stats_logging_frequency", "next_stats_report",
    )  # fmt: skip

    def __init__(
        self, process_group: Any, matrix_approximation_rank: int = 1, start_powerSGD_iter: int = 1_000, min_compression_rate: float = 2, use_error_feedback: bool = True, warm_start: bool = True,
        orthogonalization_epsilon: float = 0, random_seed: int = 0, compression_stats_logging_frequency: int = 10_000, batch_tensors_with_same_shape: bool = False,
    ) -> None:  # fmt: skip
        if (use_error_feedback or warm_start) and start_powerSGD_iter <= 1:
            raise ValueError(
                "Expect `start_powerSGD_iter` > 1 if `use_error_feedback` or `warm_start` is enabled, because PowerSGD can only be applied after the first two iterations in DDP."
            )
        self.process_group, self.matrix_approximation_rank, self.start_powerSGD_iter = process_group, matrix_approximation_rank, start_powerSGD_iter
        self.min_compression_rate, self.use_error_feedback, self.warm_start = min_compression_rate, use_error_feedback, warm_start
        self.orthogonalization_epsilon, self.batch_tensors_with_same_shape = orthogonalization_epsilon, batch_tensors_with_same_shape
        self.rng = np.random.RandomState(random_seed)
        self.error_dict: dict[int, Any] = {}
        self.p_memory_dict: dict[int, Any] = {}
        self.q_memory_dict: dict[int, Any] = {}
        self.iter = self.total_numel_before_compression = self.total_numel_after_compression = self.next_stats_report = 0
        self.compression_stats_logging_frequency = max(1, compression_stats_logging_frequency)

    def __getstate__(self) -> dict[str, Any]:
        _log.warning("NOTE: Process group is not serializable and excluded from a saved state.")
        return {name: getattr(self, name) for name in self.__slots__ if name != "process_group"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.process_group = resolve(None)
        _log.warning("NOTE: Process group will be set to a default group (i.e. the world size). If a different group is desired, please set `self.process_group` after PowerSGD state is loaded.")
        for name, value in state.items():
            setattr(self, name, value)

    def maybe_increase_iter(self, bucket: Any) -> None:
        """Count a step at its last bucket."""
        if bucket.is_last():
            self.iter += 1
        if self.iter == self.start_powerSGD_iter:
            _log.info("Start to apply PowerSGD after %s iterations.", self.iter)

    def compression_stats(self) -> tuple[float, int, int]:
        """(how many times less, elements before, elements sent)."""
        before, after = self.total_numel_before_compression, self.total_numel_after_compression
        return before / after if after > 0 else 0, before, after

    def _drawn(self, shapes: list[tuple[int, ...]], kind: Any) -> list[Any]:
        """Matrices to begin with, the same in every process."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.rng.randint(_SEEDS))
            return [torch.randn(shape, dtype=kind) for shape in shapes]


def _orthonormal(m: Any, epsilon: float) -> Any:
    """Its columns made orthonormal, for one matrix or a batch."""
    if epsilon == 0 and m.dtype not in (torch.float16, torch.bfloat16):
        return torch.linalg.qr(m)[0]
    columns: list[Any] = []
    for c in m.unbind(-1):
        for before in columns:
            c = c - (c * before).sum(-1, keepdim=True) * before
        length = c.norm(dim=-1, keepdim=True)
        columns.append(c / (length + epsilon) if epsilon else torch.where(length > 0, c / length, torch.zeros_like(c)))
    return torch.stack(columns, -1)


def _reduced(group: Any, parts: list[Any]) -> list[Any]:
    """The sums over the processes, by one collective."""
    if not parts:
        return []
    flat = torch.cat([p.reshape(-1) for p in parts])
    _collectives.all_reduce(flat, group=group)
    return [x.reshape(p.shape) for x, p in zip(flat.split([p.numel() for p in parts]), parts, strict=True)]


def _approximated(state: PowerSGDState, bucket: int, group: Any, matrices: list[Any], epsilon: float) -> list[Any]:
    """The averages of matrices (batches of one shape each) as far as two thin ones give them."""
    rank, kind = state.matrix_approximation_rank, matrices[0].dtype if matrices else None
    kept = state.q_memory_dict.get(bucket) if state.warm_start else None
    if kept is None:
        kept = state._drawn([(b, m, min(n, m, rank)) for b, n, m in (x.shape for x in matrices)], kind)
    qs = [_orthonormal(q.to(x.device), epsilon) for q, x in zip(kept, matrices, strict=True)]
    ps = [_orthonormal(p, epsilon) for p in _reduced(group, [torch.bmm(x, q) for x, q in zip(matrices, qs, strict=True)])]
    qs = [q / group.size() for q in _reduced(group, [torch.bmm(x.transpose(1, 2), p) for x, p in zip(matrices, ps, strict=True)])]
    if state.warm_start:
        state.p_memory_dict[bucket], state.q_memory_dict[bucket] = ps, qs
    return [torch.bmm(p, q.transpose(1, 2)) for p, q in zip(ps, qs, strict=True)]


def _done(state: PowerSGDState, bucket: Any, given: Any, flat: Any, length: int | None = None) -> Any:
    """The end of a step: what was left out is kept. A future of ``flat``, as far as ``length``."""
    if state.use_error_feedback:
        state.error_dict[bucket.index()] = given - flat
    state.maybe_increase_iter(bucket)
    future: Any = torch.futures.Future()
    future.set_result(flat[:length])
    return future


def _fed_back(state: PowerSGDState, bucket: Any, flat: Any) -> Any:
    error = state.error_dict.get(bucket.index()) if state.use_error_feedback else None
    return flat if error is None else flat + error


def _report(state: PowerSGDState, bucket: Any) -> None:
    if bucket.is_last() and state.iter >= state.next_stats_report:
        rate, before, after = state.compression_stats()
        _log.info("Compression stats: iter %s, total before compression %s, total after compression %s, rate %s", state.iter, before, after, rate)
        state.next_stats_report = state.iter + state.compression_stats_logging_frequency


def powerSGD_hook(state: PowerSGDState, bucket: Any) -> Any:
    """Each gradient as a product of two thin matrices, if that is worth it; the average of the others as it is. A future of the flat tensor."""
    group = resolve(state.process_group)
    if state.iter < state.start_powerSGD_iter:
        state.maybe_increase_iter(bucket)
        return allreduce_hook(group, bucket)
    given = _fed_back(state, bucket, bucket.buffer())
    grads = [x.reshape(p.shape[0] if p.dim() else 1, -1) for x, p in zip(given.split([p.numel() for p in bucket.parameters()]), bucket.parameters(), strict=True)]
    thin, shapes = [], {}
    for i, g in enumerate(grads):
        n, m = g.shape
        sent = (n + m) * min(n, m, state.matrix_approximation_rank)
        worth = sent * state.min_compression_rate < n * m
        state.total_numel_before_compression += n * m
        state.total_numel_after_compression += sent if worth else n * m
        if worth:
            thin.append(i)
            shapes.setdefault((n, m), []).append(i)
    _report(state, bucket)
    batches = list(shapes.values()) if state.batch_tensors_with_same_shape else [[i] for numbers in shapes.values() for i in numbers]
    whole = [i for i in range(len(grads)) if i not in set(thin)]
    found = dict(zip(whole, [x / group.size() for x in _reduced(group, [grads[i] for i in whole])], strict=True))
    averages = _approximated(state, bucket.index(), group, [torch.stack([grads[i] for i in b]) for b in batches], state.orthogonalization_epsilon)
    for numbers, batch in zip(batches, averages, strict=True):
        found.update(zip(numbers, batch.unbind(0), strict=True))
    return _done(state, bucket, given, torch.cat([found[i].reshape(-1) for i in range(len(grads))]))


def batched_powerSGD_hook(state: PowerSGDState, bucket: Any) -> Any:
    """All gradients of a bucket as one square matrix: faster, and further from the average. A future of the flat tensor."""
    group = resolve(state.process_group)
    if state.iter < state.start_powerSGD_iter:
        state.maybe_increase_iter(bucket)
        return allreduce_hook(group, bucket)
    flat = bucket.buffer()
    length = flat.shape[0]
    side = math.ceil(math.sqrt(length))
    state.total_numel_before_compression += length
    state.total_numel_after_compression += side * state.matrix_approximation_rank * 2
    _report(state, bucket)
    given = _fed_back(state, bucket, torch.nn.functional.pad(flat, (0, side * side - length)))
    made = _approximated(state, bucket.index(), group, [given.reshape(1, side, side)], 0)[0].reshape(-1)
    return _done(state, bucket, given, made, length)
