"""Wishart."""

from __future__ import annotations

import math
import warnings
from typing import Any

from jtorch._errors import ValueUnknown
from jtorch._public import linalg, torch

from . import constraints
from .chi2 import Chi2
from .exp_family import ExponentialFamily
from .multivariate_normal import given_matrix, log_diagonal, tril_of
from .utils import NUMBERS, holds, lazy_property

__all__ = ["Wishart"]


def _mvdigamma(x: Any, p: int) -> Any:
    """The derivative of the log multivariate gamma function."""
    if not holds(x.gt((p - 1) / 2)):
        raise AssertionError("Wrong domain for multivariate digamma function.")
    steps = torch.arange(p, dtype=x.dtype, device=x.device).div(2)
    return torch.digamma(x.unsqueeze(-1) - steps).sum(-1)


class Wishart(ExponentialFamily):
    """Sums of ``df`` outer products of normal vectors with the given covariance (or precision, or lower Cholesky factor)."""

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _expands = {"df": 0, "_unbroadcasted_scale_tril": 2, "covariance_matrix": 2, "scale_tril": 2, "precision_matrix": 2, "_dist_chi2": 1}

    def __init__(
        self, df: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        name, matrix = given_matrix(
            AssertionError, covariance_matrix=covariance_matrix, scale_tril=scale_tril, precision_matrix=precision_matrix
        )
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        if isinstance(df, NUMBERS):
            batch_shape = torch.Size(matrix.shape[:-2])
            self.df = torch.tensor(df, dtype=matrix.dtype, device=matrix.device)
        else:
            batch_shape = torch.broadcast_shapes(matrix.shape[:-2], df.shape)
            self.df = df.expand(batch_shape)
        event_shape = matrix.shape[-2:]
        size = event_shape[-1]
        if not holds(self.df > size - 1):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {size - 1}.")
        setattr(self, name, matrix.expand((*batch_shape, -1, -1)))
        if not holds(self.df >= size):
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.", stacklevel=2
            )
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        self._unbroadcasted_scale_tril = tril = tril_of(name, matrix)
        steps = torch.arange(size, dtype=tril.dtype, device=tril.device).expand((*batch_shape, -1))
        self._dist_chi2 = Chi2(df=self.df.unsqueeze(-1) - steps)

    @property
    def arg_constraints(self) -> Any:
        return {
            "covariance_matrix": constraints.positive_definite, "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky, "df": constraints.greater_than(self.event_shape[-1] - 1),
        }  # fmt: skip

    def _square(self, matrix: Any) -> Any:
        return matrix.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """Lower Cholesky factor of the covariance."""
        return self._square(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance of the vectors."""
        return self._square(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.transpose(-2, -1))

    @lazy_property
    def precision_matrix(self) -> Any:
        """Inverse of the covariance."""
        tril = self._unbroadcasted_scale_tril
        return self._square(torch.cholesky_solve(torch.eye(self._event_shape[-1], device=tril.device, dtype=tril.dtype), tril))

    def _per_matrix(self, numbers: Any) -> Any:
        return numbers.view((*self._batch_shape, 1, 1))

    @property
    def mean(self) -> Any:
        return self._per_matrix(self.df) * self.covariance_matrix

    @property
    def mode(self) -> Any:
        """nan where there is none."""
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        return self._per_matrix(torch.where(factor <= 0, torch.nan, factor)) * self.covariance_matrix

    @property
    def variance(self) -> Any:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self._per_matrix(self.df) * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _bartlett_sampling(self, sample_shape: Any = ()) -> Any:
        """``L A A^T L^T`` with A lower triangular: chi variables on the diagonal, normals below."""
        p = self._event_shape[-1]
        root = self._dist_chi2.rsample(sample_shape).sqrt()
        a = root.clamp(min=torch.finfo(root.dtype).eps).diag_embed(dim1=-2, dim2=-1)
        below = torch.randn((*sample_shape, *self._batch_shape, p * (p - 1) // 2), dtype=a.dtype, device=a.device)
        row = torch.arange(p, device=a.device)
        lower = torch.zeros_like(a)
        lower[..., row < row.view(-1, 1)] = below
        factor = self._unbroadcasted_scale_tril @ (a + lower)
        return factor @ factor.transpose(-2, -1)

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Any:
        sample_shape = torch.Size(sample_shape)
        sample = self._bartlett_sampling(sample_shape)
        # torch's first pass asks which samples are good and draws those again, warning; its numbers are kept
        again = self._over_batch(self.support.check(sample))
        try:
            good = bool(again.any())
        except ValueUnknown:
            return self._drawn_unseen(sample, again, 1 if max_try_correction is None else max_try_correction)
        if not good:
            return sample
        warnings.warn("Singular sample detected.", stacklevel=2)
        for _ in range(10 if max_try_correction is None else max_try_correction):
            new = self._bartlett_sampling(again[again].shape)
            sample = sample.clone()
            sample[again] = new
            still = torch.zeros_like(again)
            still[again] = self._over_batch(~self.support.check(new))
            again = still
            if not bool(again.any()):
                break
        return sample

    def _drawn_unseen(self, sample: Any, flags: Any, tries: int) -> Any:
        """Inside JAX's transformations, where nobody sees which samples are singular: all are drawn again, as above, and those that are singular then ``tries`` times more (once by itself: hardly one is)."""
        singular = torch.ones_like(flags)
        for _ in range(1 + tries):
            new = self._bartlett_sampling((flags.numel(),)).reshape(sample.shape)
            sample = torch.where(singular.reshape(*flags.shape, *[1] * (sample.dim() - flags.dim())), new, sample)
            singular = self._over_batch(~self.support.check(sample))
        return sample

    def _over_batch(self, flags: Any) -> Any:
        dims = [-(i + 1) for i in range(len(self._batch_shape))]
        return flags.amax(dims) if dims else flags

    def log_prob(self, value: Any) -> Any:
        self._checked(value)
        nu, p, tril = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
        trace = torch.cholesky_solve(value, tril).diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        normalizer = nu * (p * math.log(2) / 2 + log_diagonal(tril)) + torch.mvlgamma(nu / 2, p=p)
        return -normalizer + (nu - p - 1) / 2 * linalg.slogdet(value).logabsdet - trace / 2

    def entropy(self) -> Any:
        nu, p = self.df, self._event_shape[-1]
        size = (p + 1) * (p * math.log(2) / 2 + log_diagonal(self._unbroadcasted_scale_tril))
        return size + torch.mvlgamma(nu / 2, p=p) - (nu - p - 1) / 2 * _mvdigamma(nu / 2, p=p) + nu * p / 2

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        nu, p = self.df, self._event_shape[-1]
        return -self.precision_matrix / 2, (nu - p - 1) / 2

    def _log_normalizer(self, x: Any, y: Any) -> Any:
        p = self._event_shape[-1]
        half = y + (p + 1) / 2
        return half * (-linalg.slogdet(-2 * x).logabsdet + math.log(2) * p) + torch.mvlgamma(half, p=p)
