"""Generalised Pareto."""

from __future__ import annotations

from typing import Any

from jtorch._public import torch

from . import constraints
from ._parameters import batch_of
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Exceedances over ``loc``: heavy tails for positive ``concentration``, exponential at zero, bounded for negative."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True
    _expands = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(batch_of(self.loc, loc, scale, concentration), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        end = torch.where(self.concentration < 0, self.loc - self.scale / self.concentration, torch.inf)
        return constraints.interval(self.loc, end)

    def _shape(self) -> tuple[Any, Any]:
        """(where the concentration counts as zero, a concentration that can be divided by)."""
        zero = torch.isclose(self.concentration, torch.zeros_like(self.concentration))
        return zero, torch.where(zero, torch.ones_like(self.concentration), self.concentration)

    def _z(self, x: Any) -> Any:
        return (x - self.loc) / self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(torch.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value: Any) -> Any:
        self._checked(value)
        z = self._z(value)
        zero, xi = self._shape()
        power = 1 / xi + torch.ones_like(z)
        general = torch.where(power == 0, power, power * torch.log1p(xi * z))
        return -self.scale.log() - torch.where(zero, z, general)

    def log_survival_function(self, value: Any) -> Any:
        """The log of the probability of more than ``value``."""
        self._checked(value)
        z = self._z(value)
        zero, xi = self._shape()
        return torch.where(zero, -z, -torch.log1p(xi * z) / xi)

    def log_cdf(self, value: Any) -> Any:
        """The log of the probability of at most ``value``."""
        return torch.log1p(-torch.exp(self.log_survival_function(value)))

    def cdf(self, value: Any) -> Any:
        return torch.exp(self.log_cdf(value))

    def icdf(self, value: Any) -> Any:
        zero, xi = self._shape()
        log_rest = torch.log1p(-value)
        general = self.loc + self.scale / xi * torch.expm1(-xi * log_rest)
        return torch.where(zero, self.loc - self.scale * log_rest, general)

    @property
    def mean(self) -> Any:
        """nan from concentration 1 on."""
        there = self.concentration < 1
        xi = torch.where(there, self.concentration, 0.5)
        return torch.where(there, self.loc + self.scale / (1 - xi), torch.nan)

    @property
    def variance(self) -> Any:
        """nan from concentration 1/2 on."""
        there = self.concentration < 0.5
        xi = torch.where(there, self.concentration, 0.25)
        return torch.where(there, self.scale**2 / ((1 - xi) ** 2 * (1 - 2 * xi)), torch.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    def entropy(self) -> Any:
        return torch.broadcast_to(torch.log(self.scale) + self.concentration + 1, self._batch_shape)
