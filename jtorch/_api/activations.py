"""torch.rrelu: an activation that draws."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.state.generator import pick
from jtorch._namespace import C_nn, torch

Tensor = Any


def _noise(input: Tensor, lower: float, upper: float, generator: Any) -> Tensor:
    """Slopes for the elements <= 0, drawn in their order as torch draws them; 1 elsewhere. On the cpu the count must be known."""
    with torch.no_grad():
        negative = input.detach() <= 0
        if pick(generator, input.device)._engine is None:  # a stream of the device's own: how many were drawn does not matter
            return torch.where(negative, torch.empty_like(input).uniform_(lower, upper, generator=generator), 1)
        drawn = torch.empty(int(negative.sum()), dtype=torch.float64).uniform_(lower, upper, generator=generator)
        return torch.ones_like(input).masked_scatter(negative, drawn.to(dtype=input.dtype, device=input.device))


def _check(lower: float, upper: float) -> None:
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")


@compose("torch")
def rrelu(input: Tensor, lower: float = 0.125, upper: float = 0.3333333333333333, training: bool = False, generator: Any = None) -> Tensor:
    """Leaky ReLU whose slope is drawn uniformly for each negative element in training, and their middle in evaluation."""
    _check(lower, upper)
    if training:
        return C_nn._rrelu(input, _noise(input, lower, upper, generator))
    return C_nn._rrelu(input, (lower + upper) / 2)


@compose("torch")
def rrelu_(input: Tensor, lower: float = 0.125, upper: float = 0.3333333333333333, training: bool = False, generator: Any = None) -> Tensor:
    """:func:`rrelu` in place."""
    _check(lower, upper)
    if training:
        return C_nn._rrelu_(input, _noise(input, lower, upper, generator))
    return C_nn._rrelu_(input, (lower + upper) / 2)
