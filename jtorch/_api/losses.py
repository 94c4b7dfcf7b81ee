"""The losses that torch publishes at top level: composites of its own functions.

``reduction`` is a number: 0 (none), 1 (the mean), 2 (the sum). A missing one is 0, though torch's schemas say the mean: its Python binding cannot read that word. ``torch.ops`` takes the mean.
"""

from __future__ import annotations

import math
from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.signature_binding import no_overload
from jtorch._namespace import C_nn, torch

Tensor = Any


def _reduce(loss: Tensor, reduction: int) -> Tensor:
    return loss.mean() if reduction == 1 else loss.sum() if reduction == 2 else loss


@compose("torch")
def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0) -> Tensor:
    """``max(0, -target * (input1 - input2) + margin)``."""
    difference = input1 - input2
    return _reduce((-target * difference + margin).clamp_min(0), reduction)


@compose("torch")
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0) -> Tensor:
    """``input`` where the target is 1, ``max(0, margin - input)`` where it is -1."""
    zeros = torch.zeros_like(input)
    apart = torch.where(target != 1, (torch.full_like(input, margin) - input).clamp_min(0), zeros)  # integers stay integers
    return _reduce(apart + torch.where(target != -1, input, zeros), reduction)


@compose("torch")
def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0) -> Tensor:
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1."""
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.dim() == 1 and (input1.dim() != 2 or input2.dim() != 2):
        raise RuntimeError(
            f"1D target tensor expects 2D input tensors, but found inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    if target.dim() == 0 and (input1.dim() != 1 or input2.dim() != 1):
        raise RuntimeError(
            f"0D target tensor expects 1D input tensors, but found inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    epsilon, dim = 1e-12, target.dim()
    dot = (input1 * input2).sum(dim)
    first, second = (input1 * input1).sum(dim) + epsilon, (input2 * input2).sum(dim) + epsilon
    cosine = dot / (first * second).sqrt()
    zeros = torch.zeros_like(cosine)
    near = torch.where(target == 1, 1 - cosine, zeros)
    return _reduce(near + torch.where(target == -1, (cosine - margin).clamp_min(0), zeros), reduction)


@compose("torch")
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-06,
    swap: bool = False,
    reduction: int = 0,
) -> Tensor:
    """``max(0, margin + |anchor - positive| - |anchor - negative|)``; ``swap`` takes the nearer of anchor and positive."""
    dims = anchor.dim(), positive.dim(), negative.dim()
    if len(set(dims)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {dims[0]}D, positive {dims[1]}D, and negative {dims[2]}D inputs"
        )
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin:g}")
    near = torch.pairwise_distance(anchor, positive, p, eps)
    far = torch.pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = torch.min(far, torch.pairwise_distance(positive, negative, p, eps))
    return _reduce((margin + near - far).clamp_min(0), reduction)


@compose("torch")
def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    """Negative log-likelihood of a Poisson distribution; ``full`` adds Stirling's term."""
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduce(loss, reduction)


@compose("torch")
def kl_div(input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False) -> Tensor:
    """``target * (log(target) - input)``."""
    for x in (input, target):
        if x.is_complex():
            raise RuntimeError("kl_div: Complex inputs not supported.")
    for x in (input, target):
        if not x.is_floating_point():
            raise RuntimeError("kl_div: Integral inputs not supported.")
    if log_target:
        return _reduce(target.exp() * (target - input), reduction)
    return _reduce(torch.xlogy(target, target) - target * input, reduction)


def _lengths(name: str, lengths: Any, n: int, most: int | None) -> tuple[Tensor, list[int] | None]:
    """Lengths as a tensor, and as a list where they were given as one; checked in torch's words."""
    if isinstance(lengths, torch.Tensor):
        if lengths.dim() == 0:
            lengths = lengths.reshape(1)
        if lengths.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
            raise RuntimeError(f"{name} must be integral")
        values = None
        count = lengths.numel()
    else:
        values = [int(v) for v in lengths]
        count = len(values)
        lengths = torch.tensor(values, dtype=torch.int64)
    if count != n:
        raise RuntimeError(f"{name} must be of size batch_size")
    where = "(while checking arguments for ctc_loss_allocate_outputs)"
    for v in values or ():
        if v < 0:
            raise RuntimeError(f"Expected {name} to have value at least 0, but got value {v} {where}")
        if most is not None and v > most:
            raise RuntimeError(f"Expected {name} to have value at most {most}, but got value {v} {where}")
    return lengths, values


@compose("torch")
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 0,
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification over log-probabilities (T, N, C) or (T, C); targets are padded (N, S) or concatenated."""
    if any(isinstance(x, str) for x in (input_lengths, target_lengths)) or isinstance(input_lengths, torch.Tensor) is not isinstance(target_lengths, torch.Tensor):
        rest = "int blank = 0, int reduction = at::Reduction::Mean, bool zero_infinity = False"
        lengths = [f"Tensor log_probs, Tensor targets, {kind} input_lengths, {kind} target_lengths, {rest}" for kind in ("tuple of ints", "Tensor")]
        no_overload("ctc_loss", (log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity), *[f"({text})" for text in lengths])
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
        if targets.dim() == 1:
            targets = targets.unsqueeze(0)
    if log_probs.dim() != 3:
        raise RuntimeError(
            f"Expected 3-dimensional tensor, but got {log_probs.dim()}-dimensional tensor for argument #1 'log_probs' (while checking arguments for ctc_loss_allocate_outputs)"
        )
    steps, n, classes = log_probs.shape
    if steps == 0 or n == 0:
        raise RuntimeError("log_probs tensor must not be empty" if n else "batch size must be greater than zero")
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if targets.dtype not in (torch.int64, torch.int32):
        targets = targets.long()
    ins, _ = _lengths("input_lengths", input_lengths, n, steps)
    outs, counts = _lengths("target_lengths", target_lengths, n, None)
    where = "(while checking arguments for ctc_loss_allocate_outputs)"
    if targets.dim() == 1:
        counts = counts if counts is not None else outs.tolist()
        if sum(counts) != targets.numel():
            raise RuntimeError(
                f"Expected tensor to have size {sum(counts)} at dimension 0, but got size {targets.numel()} for "
                f"argument #2 'targets' {where}"
            )
        starts = [sum(counts[:i]) for i in range(n)]
        width = max([*counts, 1])
        rows = [
            [s + min(j, max(c - 1, 0)) if s + j < targets.numel() else 0 for j in range(width)] for s, c in zip(starts, counts, strict=True)
        ]
        targets = targets[torch.tensor(rows)] if targets.numel() else targets.new_zeros(n, 1)
    elif targets.dim() == 2:
        if targets.size(0) != n:
            raise RuntimeError(
                f"Expected tensor to have size {n} at dimension 0, but got size {targets.size(0)} for argument #2 'targets' {where}"
            )
        longest = max(counts) if counts else 0
        if targets.size(1) < longest:
            raise RuntimeError(
                f"Expected tensor to have size at least {longest} at dimension 1, but got size {targets.size(1)} for "
                f"argument #2 'targets' {where}"
            )
    else:
        raise RuntimeError(f"targets must be 1D or 2D, got {targets.dim()}D")
    loss = C_nn._ctc_loss(log_probs, targets, ins.to(targets.device), outs.to(targets.device), blank, zero_infinity)
    if reduction == 1:
        return (loss / outs.to(loss).clamp_min(1)).mean()
    if reduction == 2:
        return loss.sum()
    return loss if batched else loss.squeeze(0)
