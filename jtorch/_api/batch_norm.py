"""Normalisations that write their running statistics: the operator returns the new ones, these functions store them."""

from __future__ import annotations

from typing import Any

from jtorch._core.compose import compose
from jtorch._namespace import C_nn, torch

Tensor = Any


def _run(input, weight, bias, running_mean, running_var, training, momentum, eps):
    out, mean, rstd, new_mean, new_var = C_nn._batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
    if training and input.numel():  # an empty batch tells nothing, and torch leaves the statistics alone
        with torch.no_grad():
            if running_mean is not None:
                running_mean.copy_(new_mean)
            if running_var is not None:
                running_var.copy_(new_var)
    return out, mean, rstd


@compose("torch")
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """Standardise each channel (dim 1), by the batch's statistics in training and by the running ones else."""
    return _run(input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


@compose("torch")
def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """``(output, batch mean, 1 / batch std)``; the statistics are empty in evaluation."""
    return _run(input, weight, bias, running_mean, running_var, training, momentum, eps)


@compose("torch")
def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """Standardise each channel of each sample: batch normalisation of (1, N * C, ...)."""
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    if input.dim() < 2:
        raise RuntimeError("instance_norm: Expected input to have at least 2 dimensions")
    n, c, *rest = input.shape
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(f"Expected weight to have type {_legacy(input)} but got {_legacy(weight)}")
    for_all = [None if p is None else p.repeat(n) for p in (weight, bias)]
    with torch.no_grad():
        stats = [None if p is None else p.repeat(n) for p in (running_mean, running_var)]
    out = torch.batch_norm(input.contiguous().view(1, n * c, *rest), *for_all, *stats, use_input_stats, momentum, eps, cudnn_enabled)
    if use_input_stats:
        with torch.no_grad():
            for running, seen in zip((running_mean, running_var), stats, strict=True):
                if running is not None:
                    running.copy_(seen.view(n, c).mean(0))
    return out.view(n, c, *rest)


def _legacy(x: Tensor) -> str:
    return str(x.dtype.legacy)
