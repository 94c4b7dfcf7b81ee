"""Normalisations that write their running statistics: the operator returns the new ones, these functions store them."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.inplace import kernel_writes
from jtorch._core.storage.view_steps import given_back, is_traced, read, warn_leak
from jtorch._core.tensor.derived_functions import function_for, write_out
from jtorch._engine.values.lanes import innermost, lanes_of
from jtorch._engine.values.thread_state import state, with_gradients
from jtorch._namespace import C_nn, torch

Tensor = Any
_layer_norm = function_for("internal.native_layer_norm")
_group_norm = function_for("internal.native_group_norm")
_FORMATS = {4: (torch.contiguous_format, torch.channels_last), 5: (torch.contiguous_format, torch.channels_last_3d)}


_SHARED_STATISTICS = (
    "Batch norm got a batched tensor as input while the running_mean or running_var, which will be updated in place, were not batched.\n"
    "If you are using a module and do not need eval mode, please set `track_running_stats` to be False."
    "If you are using a prebuilt module and do not need eval mode, please see the functorch website for resources on how to patch your module to work with vmap"
)


def _run(input, weight, bias, running_mean, running_var, training, momentum, eps):
    if training and running_mean is not None and state.lanes and (level := innermost([read(input)])) is not None and lanes_of(read(running_mean), level) is None:
        raise RuntimeError(_SHARED_STATISTICS)
    out, mean, rstd, new_mean, new_var = C_nn._batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
    if training:
        if running_mean is not None and is_traced(new_mean) and not is_traced(running_mean) and not state.lanes and not any(id(running_mean._s) in s for s in given_back):
            warn_leak("BatchNorm was called inside a JAX transformation and put into its running statistics")
        with kernel_writes():
            with_gradients(False, _keep, (running_mean, new_mean), (running_var, new_var))
    return out, mean, rstd


def _keep(*pairs):
    for kept, new in pairs:
        if kept is not None:
            kept.copy_(new)


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
    if not input.numel():  # nothing is looked at, not even the number of dims
        out = input.clone()
        out = out if weight is None else out * weight[0]
        return out if bias is None else out + bias[0]
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
    *,
    out: Any = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """``(output, batch mean, 1 / batch std)``; the statistics are empty in evaluation, and have no gradient."""
    if training and not input.numel():
        raise RuntimeError(f"input tensor must have at least one element, but got input_sizes = {list(input.shape)}")
    y, mean, rstd = _run(input, weight, bias, running_mean, running_var, training, momentum, eps)
    if all(p is None or p.dtype is input.dtype for p in (weight, bias, running_mean, running_var)):  # else: half among float32 parameters
        mean, rstd = mean.to(input.dtype), rstd.to(input.dtype)
    found = (y, mean.detach(), rstd.detach())
    return found if out is None else write_out("native_batch_norm", found, out)  # type: ignore[no-any-return]


@compose("torch")
def native_layer_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """``(layer_norm, mean, 1 / standard deviation)``; the statistics keep the reduced dims with size 1, and have no gradient."""
    out, mean, rstd = _layer_norm(input, normalized_shape, weight, bias, eps)
    return out, mean.detach(), rstd.detach()


@compose("torch")
def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float  # noqa: N803 - torch's names
) -> tuple[Tensor, Tensor, Tensor]:
    """``(group_norm, mean, 1 / std)`` with statistics of shape ``(N, group)``. The input is contiguous, or in channels-last order."""
    if not any(input.is_contiguous(memory_format=f) for f in _FORMATS.get(input.dim(), (torch.contiguous_format,))):
        raise RuntimeError(
            "Expected X.is_contiguous(memory_format) to be true, but got false.  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)"
        )
    return _group_norm(input, weight, bias, N, C, HxW, group, eps)  # type: ignore[no-any-return]


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
    for_all = [None if p is None else p.repeat(n) for p in (weight, bias)]
    stats = [None if p is None else p.repeat(n) for p in (running_mean, running_var)]
    out = torch.batch_norm(input.contiguous().view(1, n * c, *rest), *for_all, *stats, use_input_stats, momentum, eps, cudnn_enabled)
    if use_input_stats:
        with torch.no_grad(), kernel_writes():
            for running, seen in zip((running_mean, running_var), stats, strict=True):
                if running is not None:
                    running.copy_(seen.view(n, c).mean(0))
    return out.view(n, c, *rest)
