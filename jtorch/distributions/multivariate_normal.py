"""Multivariate normal."""

from __future__ import annotations

import math
from typing import Any

from jtorch._public import linalg, torch

from . import constraints
from .distribution import Distribution
from .utils import batch_mv, lazy_property, standard_normal

__all__ = ["MultivariateNormal"]

MATRICES = ("scale_tril", "covariance_matrix", "precision_matrix")


def given_matrix(error: type[Exception], **matrices: Any) -> tuple[str, Any]:
    """(name, value) of the one matrix that is not None."""
    found = [(name, value) for name, value in matrices.items() if value is not None]
    if len(found) != 1:
        raise error("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
    return found[0]


def tril_of(name: str, matrix: Any) -> Any:
    """The lower Cholesky factor of the covariance, from whichever matrix was given."""
    if name == "scale_tril":
        return matrix
    if name == "covariance_matrix":
        return linalg.cholesky(matrix)
    # With J the reversal of rows and columns: P = U U^T for the upper triangle U = J chol(J P J) J, and L = U^-T.
    upper = torch.flip(linalg.cholesky(torch.flip(matrix, (-2, -1))), (-2, -1))
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return linalg.solve_triangular(upper.mT, identity, upper=False)


def log_diagonal(tril: Any) -> Any:
    """The log of the product of the diagonal."""
    return tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def mahalanobis(tril: Any, x: Any) -> Any:
    """``x^T (L L^T)^-1 x`` for a batch of factors and a larger batch of vectors, solving once per factor.

    The vectors' batch is a multiple of the factors' dim by dim; all vectors of one factor are columns of one system.
    """
    n, batch, factors = x.size(-1), x.shape[:-1], tril.shape[:-2]
    outer = len(batch) - len(factors)
    split: list[int] = list(batch[:outer])
    for size, mine in zip(factors, batch[outer:], strict=True):
        split += [mine // size, size]
    repeats = [outer + 2 * i for i in range(len(factors))]
    owners = [outer + 2 * i + 1 for i in range(len(factors))]
    order = [*range(outer), *repeats, *owners]
    grouped = x.reshape(*split, n).permute(*order, len(split))
    flat = tril.reshape(-1, n, n)
    columns = grouped.reshape(-1, flat.size(0), n).permute(1, 2, 0)
    lengths = linalg.solve_triangular(flat, columns, upper=False).pow(2).sum(-2).t()
    back = [order.index(i) for i in range(len(order))]
    return lengths.reshape(grouped.shape[:-1]).permute(back).reshape(batch)


class MultivariateNormal(Distribution):
    """Normal vectors of mean ``loc`` and a covariance given as such, as its inverse or as its lower Cholesky factor (the fastest)."""

    arg_constraints = {
        "loc": constraints.real_vector, "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite, "scale_tril": constraints.lower_cholesky,
    }  # fmt: skip
    support = constraints.real_vector
    has_rsample = True
    _expands = {"loc": 1, "covariance_matrix": 2, "scale_tril": 2, "precision_matrix": 2}
    _keeps = ("_unbroadcasted_scale_tril",)

    def __init__(
        self, loc: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        name, matrix = given_matrix(
            ValueError, covariance_matrix=covariance_matrix, scale_tril=scale_tril, precision_matrix=precision_matrix
        )
        if matrix.dim() < 2:
            shown = name if name != "scale_tril" else "scale_tril matrix"
            raise ValueError(f"{shown} must be at least two-dimensional, with optional leading batch dimensions")
        batch_shape = torch.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand((*batch_shape, -1, -1)))
        self.loc = loc.expand((*batch_shape, -1))
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = tril_of(name, matrix)

    def _square(self, matrix: Any) -> Any:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """Lower Cholesky factor of the covariance."""
        return self._square(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        return self._square(torch.matmul(self._unbroadcasted_scale_tril, self._unbroadcasted_scale_tril.mT))

    @lazy_property
    def precision_matrix(self) -> Any:
        """Inverse of the covariance."""
        return self._square(torch.cholesky_inverse(self._unbroadcasted_scale_tril))

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        eps = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + batch_mv(self._unbroadcasted_scale_tril, eps)

    def log_prob(self, value: Any) -> Any:
        self._checked(value)
        distance = mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - log_diagonal(self._unbroadcasted_scale_tril)

    def entropy(self) -> Any:
        result = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + log_diagonal(self._unbroadcasted_scale_tril)
        return result.expand(self._batch_shape) if len(self._batch_shape) else result
