"""The observer that training for quantisation uses: running bounds, the scale that follows from them, and the rounding."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.inplace import kernel_writes
from jtorch._namespace import torch

Tensor = Any


@compose("torch")
def fused_moving_avg_obs_fake_quant(
    input: Tensor, observer_on: Tensor, fake_quant_on: Tensor, running_min: Tensor, running_max: Tensor, scale: Tensor, zero_point: Tensor,
    averaging_const: float, quant_min: int, quant_max: int, ch_axis: int, per_row_fake_quant: bool = False, symmetric_quant: bool = False,
) -> Tensor:  # fmt: skip
    """With ``observer_on``, move the running bounds towards the input's and set scale and zero point by them; with ``fake_quant_on``, round by these."""
    if per_row_fake_quant and ch_axis != 0:
        raise RuntimeError("Per-channel FakeQuant in fused_moving_avg_obs_fake_quant is only supported on axis == 0")
    with torch.no_grad(), kernel_writes():
        if per_row_fake_quant:
            for running, nothing in ((running_min, float("inf")), (running_max, float("-inf")), (scale, 1.0), (zero_point, 0)):
                if running.numel() != input.shape[0]:
                    running.resize_(input.shape[0]).fill_(nothing)
        if bool(observer_on):
            x = input.detach().flatten(1) if per_row_fake_quant else input.detach().reshape(1, -1)
            low, high = torch.aminmax(x, dim=1)
            for running, seen in ((running_min, low), (running_max, high)):
                first = running.isinf()
                new = torch.where(first, seen, running + averaging_const * (seen - running))
                running.copy_(new.reshape(running.shape))
            step, zero = _parameters(running_min, running_max, quant_min, quant_max, symmetric_quant)
            scale.copy_(step.reshape(scale.shape))
            zero_point.copy_(zero.reshape(zero_point.shape))
    if not bool(fake_quant_on):
        return input
    if per_row_fake_quant:
        return torch.fake_quantize_per_channel_affine(input, scale, zero_point, ch_axis, quant_min, quant_max)
    return torch.fake_quantize_per_tensor_affine(input, scale, zero_point, quant_min, quant_max)


def _parameters(low: Tensor, high: Tensor, quant_min: int, quant_max: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Scale and zero point that represent [low, high] and 0. ``symmetric`` holds where the range has both signs."""
    low, high = low.double().clamp(max=0), high.double().clamp(min=0)
    both = (low < 0) & (high > 0) if symmetric else torch.zeros_like(low, dtype=torch.bool)
    half = (quant_max - quant_min) // 2
    widest = torch.maximum(-low / (half + 1), high / half)
    low, high = torch.where(both, -widest * (half + 1), low), torch.where(both, widest * half, high)
    step = ((high - low) / (quant_max - quant_min)).float()
    step = torch.where((step == 0) | (1 / step).isinf(), torch.full_like(step, 0.1), step)
    step = step.clamp(min=6.1e-5)
    # Of the two ends, the one whose integer is reached with less rounding says where zero is.
    below, above = low / step.double(), high / step.double()
    zero = torch.where(abs(quant_min) - below < abs(quant_max) + above, quant_min - below, quant_max - above)
    zero = torch.where(both, torch.full_like(zero, (quant_min + quant_max) / 2), zero)
    return step, zero.round().clamp(quant_min, quant_max)


def dynamic_linear(x: Tensor, weight: Tensor, scale: Tensor, zero_point: Tensor, bias: Tensor | None) -> Tensor:
    """``x`` (..., in) of floats times ``weight`` (out, in) of int8 with ``scale`` and ``zero_point`` (1 or out, 1), in float32.

    ``x`` is rounded to integers by its own range (seven bits of it, so that kernels which add pairs do not overflow), the product is one of integers, exactly.
    """
    rows = x.detach().reshape(-1, x.shape[-1]).float()
    low, high = torch.aminmax(rows) if rows.numel() else (torch.zeros(()), torch.zeros(()))
    step, zero = _parameters(low, high, 0, 127, False)
    whole = torch.clamp(torch.round(rows * (1 / step)) + zero, 0, 255).to(torch.int32) - zero.to(torch.int32)
    product = torch.mm(whole, (weight.to(torch.int32) - zero_point).t())
    result = product.float() * (step * scale.reshape(1, -1))
    return (result if bias is None else result + bias).reshape(*x.shape[:-1], weight.shape[0])
