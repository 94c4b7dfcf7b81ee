"""One or more programs for each class of torch.distributions: ``make(T, D, p)`` where ``p(...)`` makes a parameter that takes gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Make = Callable[[Any, Any, Callable[..., Any]], Any]

TRIL = [[1.0, 0.0, 0.0], [0.3, 1.2, 0.0], [-0.4, 0.2, 0.7]]
COV = [[1.0, 0.3, -0.4], [0.3, 1.53, 0.12], [-0.4, 0.12, 0.69]]

CASES: dict[str, list[Make]] = {
    "Bernoulli": [lambda T, D, p: D.Bernoulli(p([0.1, 0.5, 0.9])), lambda T, D, p: D.Bernoulli(logits=p([[-1.0, 2.0]])), lambda T, D, p: D.Bernoulli(0.3)],
    "Beta": [lambda T, D, p: D.Beta(p([0.5, 2.0, 5.0]), p([0.7, 1.0, 3.0])), lambda T, D, p: D.Beta(2.0, 3.0), lambda T, D, p: D.Beta(p([[1.5], [4.0]]), p([2.0, 3.0]))],
    "Binomial": [lambda T, D, p: D.Binomial(10, p([0.1, 0.5, 0.9])), lambda T, D, p: D.Binomial(T.tensor([3.0, 3.0]), logits=p([-1.0, 2.0])), lambda T, D, p: D.Binomial(50, p([0.4]))],
    "Categorical": [lambda T, D, p: D.Categorical(p([[0.1, 0.2, 0.7], [1.0, 1.0, 2.0]])), lambda T, D, p: D.Categorical(logits=p([-1.0, 0.0, 2.0]))],
    "Cauchy": [lambda T, D, p: D.Cauchy(p([0.0, 1.0]), p([1.0, 2.0])), lambda T, D, p: D.Cauchy(0.0, 1.0)],
    "Chi2": [lambda T, D, p: D.Chi2(p([1.0, 3.0, 10.0])), lambda T, D, p: D.Chi2(2.0)],
    "ContinuousBernoulli": [lambda T, D, p: D.ContinuousBernoulli(p([0.1, 0.4999, 0.9])), lambda T, D, p: D.ContinuousBernoulli(logits=p([-1.0, 2.0]))],
    "Dirichlet": [lambda T, D, p: D.Dirichlet(p([0.5, 2.0, 5.0])), lambda T, D, p: D.Dirichlet(p([[1.5, 2.0], [0.5, 0.4]]))],
    "Exponential": [lambda T, D, p: D.Exponential(p([0.5, 2.0])), lambda T, D, p: D.Exponential(1.5)],
    "FisherSnedecor": [lambda T, D, p: D.FisherSnedecor(p([3.0, 5.0, 1.0]), p([6.0, 3.0, 2.0]))],
    "Gamma": [lambda T, D, p: D.Gamma(p([0.5, 2.0, 9.0]), p([1.0, 2.0, 0.5])), lambda T, D, p: D.Gamma(2.0, 1.5)],
    "GeneralizedPareto": [lambda T, D, p: D.GeneralizedPareto(p([0.0, 1.0, 0.5, 0.0]), p([1.0, 2.0, 1.0, 1.0]), p([0.2, -0.3, 0.0, 1.2]))],
    "Geometric": [lambda T, D, p: D.Geometric(p([0.1, 0.5, 0.9])), lambda T, D, p: D.Geometric(logits=p([-1.0, 2.0])), lambda T, D, p: D.Geometric(0.3)],
    "Gumbel": [lambda T, D, p: D.Gumbel(p([0.0, 1.0]), p([1.0, 2.0])), lambda T, D, p: D.Gumbel(0.5, 1.5)],
    "HalfCauchy": [lambda T, D, p: D.HalfCauchy(p([0.5, 2.0])), lambda T, D, p: D.HalfCauchy(1.0)],
    "HalfNormal": [lambda T, D, p: D.HalfNormal(p([0.5, 2.0])), lambda T, D, p: D.HalfNormal(1.0)],
    "Independent": [lambda T, D, p: D.Independent(D.Normal(p([[0.0, 1.0], [2.0, 3.0]]), p([1.0, 2.0])), 1), lambda T, D, p: D.Independent(D.Bernoulli(p([0.2, 0.7])), 0)],
    "InverseGamma": [lambda T, D, p: D.InverseGamma(p([3.5, 2.0, 0.9]), p([1.0, 2.0, 0.5]))],
    "Kumaraswamy": [lambda T, D, p: D.Kumaraswamy(p([0.5, 2.0, 3.0]), p([1.5, 2.0, 0.8]))],
    "LKJCholesky": [lambda T, D, p: D.LKJCholesky(3, p([0.5, 1.0, 3.0])), lambda T, D, p: D.LKJCholesky(2), lambda T, D, p: D.LKJCholesky(4, 2.0)],
    "Laplace": [lambda T, D, p: D.Laplace(p([0.0, 1.0]), p([1.0, 2.0])), lambda T, D, p: D.Laplace(0.0, 1.0)],
    "LogNormal": [lambda T, D, p: D.LogNormal(p([0.0, 1.0]), p([1.0, 0.5])), lambda T, D, p: D.LogNormal(0.0, 1.0)],
    "LogisticNormal": [lambda T, D, p: D.LogisticNormal(p([0.0, 1.0, -0.5]), p([1.0, 0.5, 0.7])), lambda T, D, p: D.LogisticNormal(0.0, 1.0)],
    "LowRankMultivariateNormal": [lambda T, D, p: D.LowRankMultivariateNormal(p([0.0, 1.0, 2.0]), p([[1.0], [0.5], [-0.3]]), p([1.0, 0.4, 0.7])),
                                  lambda T, D, p: D.LowRankMultivariateNormal(p([[0.0, 1.0], [2.0, 1.0]]), p([[1.0, 0.2], [0.5, 0.1]]), p([1.0, 0.4]))],
    "MixtureSameFamily": [lambda T, D, p: D.MixtureSameFamily(D.Categorical(p([0.2, 0.8])), D.Normal(p([0.0, 3.0]), p([1.0, 0.5]))),
                          lambda T, D, p: D.MixtureSameFamily(D.Categorical(p([0.3, 0.7])), D.Independent(D.Normal(p([[0.0, 1.0], [3.0, 4.0]]), 1.0), 1))],
    "Multinomial": [lambda T, D, p: D.Multinomial(5, p([0.1, 0.2, 0.7])), lambda T, D, p: D.Multinomial(8, logits=p([[-1.0, 0.0, 2.0], [0.0, 0.0, 0.0]]))],
    "MultivariateNormal": [lambda T, D, p: D.MultivariateNormal(p([0.0, 1.0, 2.0]), scale_tril=p(TRIL)), lambda T, D, p: D.MultivariateNormal(p([0.0, 1.0, 2.0]), p(COV)),
                           lambda T, D, p: D.MultivariateNormal(p([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]]), precision_matrix=p(COV))],
    "NegativeBinomial": [lambda T, D, p: D.NegativeBinomial(p([3.0, 5.5]), p([0.3, 0.6])), lambda T, D, p: D.NegativeBinomial(4.0, logits=p([-1.0, 0.5]))],
    "Normal": [lambda T, D, p: D.Normal(p([0.0, 1.0]), p([1.0, 2.0])), lambda T, D, p: D.Normal(0.0, 1.0), lambda T, D, p: D.Normal(p([[0.0], [1.0]]), p([1.0, 2.0, 3.0]))],
    "OneHotCategorical": [lambda T, D, p: D.OneHotCategorical(p([[0.1, 0.2, 0.7], [1.0, 1.0, 2.0]])), lambda T, D, p: D.OneHotCategorical(logits=p([-1.0, 0.0, 2.0]))],
    "OneHotCategoricalStraightThrough": [lambda T, D, p: D.OneHotCategoricalStraightThrough(p([[0.1, 0.2, 0.7], [1.0, 1.0, 2.0]]))],
    "Pareto": [lambda T, D, p: D.Pareto(p([1.0, 2.0]), p([3.0, 1.5])), lambda T, D, p: D.Pareto(1.0, 4.0)],
    "Poisson": [lambda T, D, p: D.Poisson(p([0.5, 3.0, 20.0])), lambda T, D, p: D.Poisson(2.0)],
    "RelaxedBernoulli": [lambda T, D, p: D.RelaxedBernoulli(p(0.7), p([0.1, 0.5, 0.9])), lambda T, D, p: D.RelaxedBernoulli(p(1.5), logits=p([-1.0, 2.0]))],
    "RelaxedOneHotCategorical": [lambda T, D, p: D.RelaxedOneHotCategorical(p(0.7), p([0.1, 0.5, 0.9])), lambda T, D, p: D.RelaxedOneHotCategorical(p(1.5), logits=p([[-1.0, 2.0], [0.0, 1.0]]))],
    "StudentT": [lambda T, D, p: D.StudentT(p([0.8, 1.5, 5.0]), p([0.0, 1.0, 2.0]), p([1.0, 2.0, 0.5])), lambda T, D, p: D.StudentT(4.0)],
    "TransformedDistribution": [lambda T, D, p: D.TransformedDistribution(D.Normal(p([0.0, 1.0]), p([1.0, 2.0])), [D.TanhTransform(cache_size=1)]),
                                lambda T, D, p: D.TransformedDistribution(D.Normal(p([0.0]), p([1.0])), [D.AffineTransform(p([1.0, 2.0]), p([-2.0, 3.0])), D.SigmoidTransform()]),
                                lambda T, D, p: D.TransformedDistribution(D.Normal(p([0.0, 1.0]), p([1.0, 2.0])), [D.SoftplusTransform(), D.PowerTransform(p(2.0))]),
                                lambda T, D, p: D.TransformedDistribution(D.Normal(T.zeros(3), T.ones(3)), [D.CorrCholeskyTransform()])],
    "Uniform": [lambda T, D, p: D.Uniform(p([0.0, 1.0]), p([1.0, 3.0])), lambda T, D, p: D.Uniform(-1.0, 1.0)],
    "VonMises": [lambda T, D, p: D.VonMises(p([0.0, 1.0]), p([1.0, 5.0]))],
    "Weibull": [lambda T, D, p: D.Weibull(p([1.0, 2.0]), p([0.8, 1.5])), lambda T, D, p: D.Weibull(1.0, 2.0)],
    "Wishart": [lambda T, D, p: D.Wishart(p(5.0), p(COV)), lambda T, D, p: D.Wishart(p([4.5, 6.0]), scale_tril=p(TRIL)), lambda T, D, p: D.Wishart(4.0, precision_matrix=p([[1.0, 0.2], [0.2, 2.0]]))],
}  # fmt: skip
