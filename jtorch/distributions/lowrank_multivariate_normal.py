"""Multivariate normal whose covariance is a diagonal plus a product of thin factors."""

from __future__ import annotations

import math
from typing import Any

from jtorch._public import linalg, torch

from . import constraints
from .distribution import Distribution
from .multivariate_normal import log_diagonal, mahalanobis
from .utils import batch_mv, lazy_property, standard_normal

__all__ = ["LowRankMultivariateNormal"]


def _plus_identity(square: Any) -> Any:
    return square + torch.eye(square.shape[-1], dtype=square.dtype, device=square.device)


def capacitance_tril(factor: Any, diag: Any) -> Any:
    """Cholesky factor of ``I + W^T D^-1 W``: of the small size of the factor's width."""
    return linalg.cholesky(_plus_identity(torch.matmul(factor.mT / diag.unsqueeze(-2), factor)))


def lowrank_logdet(factor: Any, diag: Any, capacitance: Any) -> Any:
    """``log det (W W^T + D)``, by the matrix determinant lemma."""
    return 2 * log_diagonal(capacitance) + diag.log().sum(-1)


def lowrank_mahalanobis(factor: Any, diag: Any, x: Any, capacitance: Any) -> Any:
    """``x^T (W W^T + D)^-1 x``, by the Woodbury identity."""
    projected = batch_mv(factor.mT / diag.unsqueeze(-2), x)
    return (x.pow(2) / diag).sum(-1) - mahalanobis(capacitance, projected)


class LowRankMultivariateNormal(Distribution):
    """Covariance ``cov_factor @ cov_factor.T + diag(cov_diag)``: costs grow with the factor's width, not with its square."""

    arg_constraints = {
        "loc": constraints.real_vector, "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }  # fmt: skip
    support = constraints.real_vector
    has_rsample = True
    _expands = {"loc": 1, "cov_diag": 1, "cov_factor": 2}
    _keeps = ("_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril")

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event_shape = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions")
        if cov_factor.shape[-2:-1] != event_shape:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event_shape[0]} x m")
        if cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event_shape}")
        try:
            wide_loc, self.cov_factor, wide_diag = torch.broadcast_tensors(loc.unsqueeze(-1), cov_factor, cov_diag.unsqueeze(-1))
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from error
        self.loc, self.cov_diag = wide_loc[..., 0], wide_diag[..., 0]
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._capacitance_tril = capacitance_tril(cov_factor, cov_diag)
        super().__init__(self.loc.shape[:-1], event_shape, validate_args=validate_args)

    @property
    def _parts(self) -> tuple[Any, Any, Any]:
        return self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag, self._capacitance_tril

    def _square(self, matrix: Any) -> Any:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        factor, diag, _ = self._parts
        return (factor.pow(2).sum(-1) + diag).expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """Lower Cholesky factor of the covariance."""
        factor, diag, _ = self._parts
        root = diag.sqrt().unsqueeze(-1)
        scaled = factor / root
        return self._square(root * linalg.cholesky(_plus_identity(torch.matmul(scaled, scaled.mT))))

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        factor, diag, _ = self._parts
        return self._square(torch.matmul(factor, factor.mT) + torch.diag_embed(diag))

    @lazy_property
    def precision_matrix(self) -> Any:
        """Inverse of the covariance."""
        factor, diag, capacitance = self._parts
        a = linalg.solve_triangular(capacitance, factor.mT / diag.unsqueeze(-2), upper=False)
        return self._square(torch.diag_embed(diag.reciprocal()) - a.mT @ a)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        through_factor = standard_normal(shape[:-1] + self.cov_factor.shape[-1:], self.loc)
        through_diag = standard_normal(shape, self.loc)
        factor, diag, _ = self._parts
        return self.loc + batch_mv(factor, through_factor) + diag.sqrt() * through_diag

    def log_prob(self, value: Any) -> Any:
        self._checked(value)
        factor, diag, capacitance = self._parts
        distance = lowrank_mahalanobis(factor, diag, value - self.loc, capacitance)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + lowrank_logdet(*self._parts) + distance)

    def entropy(self) -> Any:
        result = 0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + lowrank_logdet(*self._parts))
        return result.expand(self._batch_shape) if len(self._batch_shape) else result
