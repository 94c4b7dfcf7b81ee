"""Divergences between two distributions of one family."""

from __future__ import annotations

from typing import Any

from jtorch._public import F, linalg, torch

from ._kl_registry import kl_divergence, register_kl
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .continuous_bernoulli import ContinuousBernoulli
from .dirichlet import Dirichlet
from .exp_family import ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import LowRankMultivariateNormal, lowrank_logdet, lowrank_mahalanobis
from .multivariate_normal import MultivariateNormal, log_diagonal, mahalanobis
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .pareto import Pareto
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import euler_constant, infer_size, sum_rightmost


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    yes = p.probs * (F.softplus(-q.logits) - F.softplus(-p.logits))
    yes = torch.where(p.probs == 0, 0, torch.where(q.probs == 0, torch.inf, yes))
    no = (1 - p.probs) * (F.softplus(q.logits) - F.softplus(p.logits))
    no = torch.where(p.probs == 1, 0, torch.where(q.probs == 1, torch.inf, no))
    return yes + no


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    total_p, total_q = p.concentration1 + p.concentration0, q.concentration1 + q.concentration0
    normalizer_q = q.concentration1.lgamma() + q.concentration0.lgamma() + total_p.lgamma()
    normalizer_p = p.concentration1.lgamma() + p.concentration0.lgamma() + total_q.lgamma()
    first = (p.concentration1 - q.concentration1) * torch.digamma(p.concentration1)
    second = (p.concentration0 - q.concentration0) * torch.digamma(p.concentration0)
    return normalizer_q - normalizer_p + first + second + (total_q - total_p) * torch.digamma(total_p)


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    each = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return torch.where(p.total_count > q.total_count, torch.inf, p.total_count * each)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    each = p.probs * (p.logits - q.logits)
    return torch.where(p.probs == 0, 0, torch.where(q.probs == 0, torch.inf, each)).sum(-1)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    tilt = p.mean * (p.logits - q.logits)
    return tilt + (p._cont_bern_log_norm() + torch.log1p(-p.probs)) + (-q._cont_bern_log_norm() - torch.log1p(-q.probs))


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    normalizers = (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
    mean_log = p.concentration.digamma() - total_p.digamma().unsqueeze(-1)
    return total_p.lgamma() - total_q.lgamma() - normalizers + ((p.concentration - q.concentration) * mean_log).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Any:
    """The Bregman divergence of the log normaliser."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot                             be computed using Bregman divergences"  # torch's spaces
        )
    theta = [t.detach().requires_grad_() for t in p._natural_params]
    normalizer = p._log_normalizer(*theta)
    slopes = torch.autograd.grad(normalizer.sum(), theta, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - normalizer
    for mine, other, slope in zip(theta, q._natural_params, slopes, strict=True):
        result = result - sum_rightmost((other - mine) * slope, len(q.event_shape))
    return result


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    scale = q.concentration * (p.rate / q.rate).log()
    normalizers = torch.lgamma(q.concentration) - torch.lgamma(p.concentration)
    shape = (p.concentration - q.concentration) * torch.digamma(p.concentration)
    return scale + normalizers + shape + (q.rate - p.rate) * (p.concentration / p.rate)


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio, there, here = p.scale / q.scale, q.loc / q.scale, p.loc / q.scale
    tail = torch.exp(there + (1 + ratio).lgamma() - here)
    return (-ratio.log() - there + here) + ratio * euler_constant + tail - (1 + euler_constant)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - torch.log1p(-q.probs) / p.probs - q.logits


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    variances = (p.scale / q.scale).pow(2)
    return 0.5 * (variances + ((p.loc - q.loc) / q.scale).pow(2) - 1 - variances.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio, apart = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + apart / q.scale + ratio * torch.exp(-apart / p.scale) - 1


def _same_events(p: Any, q: Any, kind: str) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(f"KL-divergence between two {kind} with different event shapes cannot be computed")


def _trace_square(matrices: Any) -> Any:
    """The trace of ``X X^T``: the sum of squares."""
    return matrices.reshape(-1, matrices.size(-1) * matrices.size(-2)).pow(2).sum(-1).reshape(matrices.shape[:-2])


def _whitener(q: Any) -> Any:
    """A with ``q^-1 = D^-1 - A^T A`` for a low-rank q."""
    factor, diag, capacitance = q._parts
    return linalg.solve_triangular(capacitance, factor.mT / diag.unsqueeze(-2), upper=False)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _lowrank(p: Any, q: Any) -> Any:
    _same_events(p, q, "Low Rank Multivariate Normals")
    factor, diag, capacitance = q._parts
    p_factor, p_diag, _ = p._parts
    logdets = lowrank_logdet(*q._parts) - lowrank_logdet(*p._parts)
    distance = lowrank_mahalanobis(factor, diag, q.loc - p.loc, capacitance)
    a = _whitener(q)
    trace = (p_diag / diag).sum(-1) + _trace_square(p_factor * diag.rsqrt().unsqueeze(-1))
    trace = trace - _trace_square(a * p_diag.sqrt().unsqueeze(-2)) - _trace_square(a.matmul(p_factor))
    return 0.5 * (logdets + trace + distance - p.event_shape[0])


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _full_to_lowrank(p: Any, q: Any) -> Any:
    _same_events(p, q, "(Low Rank) Multivariate Normals")
    factor, diag, capacitance = q._parts
    tril = p._unbroadcasted_scale_tril
    logdets = lowrank_logdet(*q._parts) - 2 * log_diagonal(tril)
    distance = lowrank_mahalanobis(factor, diag, q.loc - p.loc, capacitance)
    trace = _trace_square(tril * diag.rsqrt().unsqueeze(-1)) - _trace_square(_whitener(q).matmul(tril))
    return 0.5 * (logdets + trace + distance - p.event_shape[0])


def _solved(tril: Any, matrix: Any) -> Any:
    """``L^-1 M`` over the broadcast of both batches."""
    batch = infer_size(tril.shape[:-2], matrix.shape[:-2])
    return linalg.solve_triangular(tril.expand(batch + tril.shape[-2:]), matrix.expand(batch + matrix.shape[-2:]), upper=False)


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _lowrank_to_full(p: Any, q: Any) -> Any:
    _same_events(p, q, "(Low Rank) Multivariate Normals")
    tril = q._unbroadcasted_scale_tril
    factor, diag, _ = p._parts
    logdets = 2 * log_diagonal(tril) - lowrank_logdet(*p._parts)
    trace = _trace_square(_solved(tril, factor)) + _trace_square(_solved(tril, torch.diag_embed(diag.sqrt())))
    return 0.5 * (logdets + trace + mahalanobis(tril, q.loc - p.loc) - p.event_shape[0])


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    _same_events(p, q, "Multivariate Normals")
    mine, other = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    trace = _trace_square(_solved(other, mine))
    distance = mahalanobis(other, q.loc - p.loc)
    return log_diagonal(other) - log_diagonal(mine) + 0.5 * (trace + distance - p.event_shape[0])


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    powers = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - powers.log() + powers - 1
    return torch.where(p.support.lower_bound < q.support.lower_bound, torch.inf, result)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return torch.where((q.low > p.low) | (q.high < p.high), torch.inf, result)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    # closed form of Chyzak and Nielsen 2019
    return ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log() - (4 * p.scale * q.scale).log()
