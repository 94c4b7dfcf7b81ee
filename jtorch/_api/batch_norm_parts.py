"""Batch normalisation in parts, for statistics that are gathered over several processes (SyncBatchNorm)."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._namespace import torch

Tensor = Any


def _dims(input: Tensor) -> tuple[int, ...]:
    return tuple(d for d in range(input.dim()) if d != 1)


def _along(v: Tensor, input: Tensor) -> Tensor:
    """One number for each channel, against the input."""
    return v.reshape(1, -1, *(1,) * (input.dim() - 2))


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


@compose("torch")
def batch_norm_stats(input: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """``(mean, 1 / sqrt(var + eps))`` of each channel."""
    x = _wide(input)
    var, mean = torch.var_mean(x, _dims(x), unbiased=False)
    return mean, torch.rsqrt(var + eps)


@compose("torch")
def batch_norm_elemt(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, invstd: Tensor, eps: float, *, out: Tensor | None = None
) -> Tensor:
    """``(input - mean) * invstd * weight + bias``."""
    y = (_wide(input) - _along(mean, input)) * _along(invstd, input)
    y = y if weight is None else y * _along(weight, input)
    y = (y if bias is None else y + _along(bias, input)).to(input.dtype)
    return y if out is None else out.copy_(y)


@compose("torch")
def batch_norm_gather_stats_with_counts(
    input: Tensor, mean: Tensor, invstd: Tensor, running_mean: Tensor | None, running_var: Tensor | None, momentum: float, eps: float, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """Statistics of all processes from each one's (rows of ``mean`` and ``invstd``); the running ones are moved towards them."""
    n = counts.to(mean.dtype).reshape(-1, 1)
    total = n.sum()
    var = invstd**-2 - eps
    all_mean = (mean * n).sum(0) / total
    spread = ((var + (mean - all_mean) ** 2) * n).sum(0)
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(all_mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            running_var.lerp_((spread / (total - 1)).to(running_var.dtype), momentum)
    return all_mean, torch.rsqrt(spread / total + eps)


@compose("torch")
def batch_norm_gather_stats(
    input: Tensor, mean: Tensor, invstd: Tensor, running_mean: Tensor | None, running_var: Tensor | None, momentum: float, eps: float, count: int
) -> tuple[Tensor, Tensor]:
    """As ``batch_norm_gather_stats_with_counts``, of processes that saw ``count`` elements each."""
    counts = torch.full((mean.size(0),), count, dtype=mean.dtype, device=mean.device)
    return torch.batch_norm_gather_stats_with_counts(input, mean, invstd, running_mean, running_var, momentum, eps, counts)


@compose("torch")
def batch_norm_update_stats(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, momentum: float) -> tuple[Tensor, Tensor]:
    """``(mean, var)`` of each channel; the running ones are moved towards them."""
    x = _wide(input)
    var, mean = torch.var_mean(x, _dims(x), unbiased=False)
    n = input.numel() // input.size(1)
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            running_var.lerp_((var * (n / (n - 1))).to(running_var.dtype), momentum)
    return mean, var


@compose("torch")
def batch_norm_backward_reduce(
    grad_out: Tensor, input: Tensor, mean: Tensor, invstd: Tensor, weight: Tensor | None, input_g: bool, weight_g: bool, bias_g: bool
) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """``(sum of dy, sum of dy * (x - mean), gradient of weight, gradient of bias)`` of each channel; None for what is not asked for."""
    dy, x = _wide(grad_out), _wide(input)
    sum_dy = dy.sum(_dims(x))
    sum_dy_xmu = (dy * (x - _along(mean, x))).sum(_dims(x))
    kind = input.dtype if weight is None else weight.dtype
    return (
        sum_dy if input_g else None,
        sum_dy_xmu if input_g else None,
        (sum_dy_xmu * invstd).to(kind) if weight_g else None,
        sum_dy.to(kind) if bias_g else None,
    )


@compose("torch")
def batch_norm_backward_elemt(
    grad_out: Tensor, input: Tensor, mean: Tensor, invstd: Tensor, weight: Tensor | None, sum_dy: Tensor, sum_dy_xmu: Tensor, count: Tensor
) -> Tensor:
    """The gradient of the input from the sums over all processes; ``count`` has each one's number of elements."""
    total = count.sum().to(sum_dy.dtype)
    x = _wide(input)
    scale = invstd if weight is None else invstd * weight
    centred = _wide(grad_out) - _along(sum_dy / total, x) - (x - _along(mean, x)) * _along(invstd**2 * sum_dy_xmu / total, x)
    return (centred * _along(scale, x)).to(input.dtype)
