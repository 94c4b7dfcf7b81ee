"""Every registered pair of ``kl_divergence`` in both libraries."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributions as theirs

import jtorch
import jtorch.distributions as ours

# two instances of each class; parameters chosen so that most divergences are finite
MAKE: dict[str, Any] = {
    "Bernoulli": lambda T, D, v: D.Bernoulli(v([0.2, 0.7, 0.0])), "Beta": lambda T, D, v: D.Beta(v([1.5, 2.0, 3.0]), v([2.0, 0.7, 1.0])),
    "Binomial": lambda T, D, v: D.Binomial(7, v([0.2, 0.7, 0.5])), "Categorical": lambda T, D, v: D.Categorical(v([[0.2, 0.7, 0.1], [0.5, 0.5, 0.0], [1.0, 2.0, 3.0]])),
    "Cauchy": lambda T, D, v: D.Cauchy(v([0.0, 1.0, -1.0]), v([1.0, 2.0, 0.5])), "ContinuousBernoulli": lambda T, D, v: D.ContinuousBernoulli(v([0.2, 0.5, 0.9])),
    "Dirichlet": lambda T, D, v: D.Dirichlet(v([[0.5, 1.5, 2.0], [1.0, 1.0, 1.0], [3.0, 0.2, 1.0]])), "Exponential": lambda T, D, v: D.Exponential(v([0.5, 1.0, 3.0])),
    "Gamma": lambda T, D, v: D.Gamma(v([0.5, 1.5, 3.0]), v([1.0, 2.0, 0.7])), "Geometric": lambda T, D, v: D.Geometric(v([0.2, 0.7, 0.5])),
    "Gumbel": lambda T, D, v: D.Gumbel(v([0.0, 1.0, -1.0]), v([1.0, 2.0, 0.7])), "HalfNormal": lambda T, D, v: D.HalfNormal(v([0.5, 1.0, 3.0])),
    "Independent": lambda T, D, v: D.Independent(D.Normal(v([0.0, 1.0, -1.0]), v([1.0, 2.0, 0.7])), 1), "Laplace": lambda T, D, v: D.Laplace(v([0.0, 1.0, -1.0]), v([1.0, 2.0, 0.7])),
    "LowRankMultivariateNormal": lambda T, D, v: D.LowRankMultivariateNormal(v([0.0, 1.0]), v([[0.5], [0.2]]), v([1.0, 0.3])),
    "MultivariateNormal": lambda T, D, v: D.MultivariateNormal(v([0.0, 1.0]), scale_tril=v([[1.0, 0.0], [0.4, 0.8]]).tril()), "Normal": lambda T, D, v: D.Normal(v([0.0, 1.0, -1.0]), v([1.0, 2.0, 0.7])),
    "OneHotCategorical": lambda T, D, v: D.OneHotCategorical(v([[0.2, 0.7, 0.1], [0.5, 0.5, 0.0], [1.0, 2.0, 3.0]])), "Pareto": lambda T, D, v: D.Pareto(v([0.5, 1.0, 2.0]), v([3.0, 1.5, 0.8])),
    "Poisson": lambda T, D, v: D.Poisson(v([0.5, 1.0, 3.0])), "TransformedDistribution": lambda T, D, v: D.LogNormal(v([0.0, 1.0, -1.0]), v([1.0, 2.0, 0.7])),
    "Uniform": lambda T, D, v: D.Uniform(v([0.1, 0.2, -1.0]), v([0.9, 0.8, 2.0])), "ExponentialFamily": lambda T, D, v: D.Wishart(v(4.0), scale_tril=v([[1.0, 0.0], [0.4, 0.8]]).tril()),
}  # fmt: skip
PAIRS = sorted((p.__name__, q.__name__) for p, q in theirs.kl._KL_REGISTRY)


def test_the_same_pairs_are_registered() -> None:
    assert PAIRS == sorted((p.__name__, q.__name__) for p, q in ours.kl._KL_REGISTRY)
    assert {name for pair in PAIRS for name in pair} == set(MAKE)


@pytest.mark.parametrize("type_p", sorted({p for p, _ in PAIRS}))
def test_pairs(type_p: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _, type_q in [pair for pair in PAIRS if pair[0] == type_p]:
            results = []
            for T, D in ((torch, theirs), (jtorch, ours)):
                p = MAKE[type_p](T, D, lambda x: T.tensor(x, dtype=T.float64))
                # another instance of q: numbers away from zero and one keep it inside its constraints
                q = MAKE[type_q](T, D, lambda x: T.tensor(x, dtype=T.float64) * 0.9 + (0.01 if np.ndim(x) else 1.0))
                results.append(D.kl_divergence(p, q))
            a, b = results
            assert tuple(a.shape) == tuple(b.shape) and str(a.dtype) == str(b.dtype)
            np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=f"{type_p} || {type_q}")


def test_gradients_of_the_usual_one() -> None:
    grads = []
    for T, D in ((torch, theirs), (jtorch, ours)):
        mu, log_var = T.tensor([0.5, -1.0], requires_grad=True), T.tensor([0.1, 0.3], requires_grad=True)
        D.kl_divergence(D.Normal(mu, (0.5 * log_var).exp()), D.Normal(T.zeros(2), T.ones(2))).sum().backward()
        grads.append((mu.grad.numpy(), log_var.grad.numpy()))
    np.testing.assert_allclose(grads[1], grads[0], rtol=1e-6)


def test_registering_and_ambiguity() -> None:
    for D in (theirs, ours):

        class A(D.Normal):
            pass

        class B(D.Normal):
            pass

        D.register_kl(A, D.Normal)(lambda p, q: "a")
        D.register_kl(D.Normal, B)(lambda p, q: "b")
        assert D.kl_divergence(A(0.0, 1.0), D.Normal(0.0, 1.0)) == "a"
        with pytest.warns(RuntimeWarning, match="Ambiguous"):
            assert D.kl_divergence(A(0.0, 1.0), B(0.0, 1.0)) == "a"
        for key in [(A, D.Normal), (D.Normal, B)]:
            del D.kl._KL_REGISTRY[key]
        D.kl._KL_MEMOIZE.clear()
