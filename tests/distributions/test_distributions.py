"""Properties that hold of every distribution, whatever library it is compared with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import jtorch as torch
import jtorch.distributions as D


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


MAKERS = {
    "bernoulli": lambda: D.Bernoulli(t(0.3)), "beta": lambda: D.Beta(t(2.0), t(3.0)), "binomial": lambda: D.Binomial(10, t(0.4)),
    "exponential": lambda: D.Exponential(t(2.0)), "gamma": lambda: D.Gamma(t(3.0), t(2.0)), "geometric": lambda: D.Geometric(t(0.4)),
    "gumbel": lambda: D.Gumbel(t(1.0), t(2.0)), "half_normal": lambda: D.HalfNormal(t(2.0)), "laplace": lambda: D.Laplace(t(1.0), t(2.0)),
    "log_normal": lambda: D.LogNormal(t(0.0), t(0.5)), "normal": lambda: D.Normal(t(1.0), t(2.0)), "poisson": lambda: D.Poisson(t(4.0)),
    "student": lambda: D.StudentT(t(9.0)), "uniform": lambda: D.Uniform(t(-1.0), t(2.0)), "weibull": lambda: D.Weibull(t(1.0), t(2.0)),
    "kumaraswamy": lambda: D.Kumaraswamy(t(2.0), t(3.0)), "negative_binomial": lambda: D.NegativeBinomial(t(5.0), t(0.4)),
    "continuous_bernoulli": lambda: D.ContinuousBernoulli(t(0.2)), "chi2": lambda: D.Chi2(t(4.0)), "inverse_gamma": lambda: D.InverseGamma(t(6.0), t(2.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_moments_of_samples(name: str) -> None:
    torch.manual_seed(1)
    d = MAKERS[name]()
    x = d.sample((20000,))
    assert x.shape == (20000, 1)
    deviation = d.variance.sqrt().item()
    assert abs(x.mean().item() - d.mean.item()) < 6 * deviation / math.sqrt(20000)
    assert x.var().item() == pytest.approx(d.variance.item(), rel=0.15)


@pytest.mark.parametrize("name", ["exponential", "gumbel", "half_normal", "laplace", "log_normal", "normal", "uniform", "weibull", "kumaraswamy"])
def test_densities_integrate_to_the_distribution_function(name: str) -> None:
    d = MAKERS[name]()
    q = torch.linspace(0.05, 0.95, 7, dtype=torch.float64).unsqueeze(-1)
    ends = d.icdf(q)
    np.testing.assert_allclose(d.cdf(ends).numpy(), q.numpy(), atol=1e-9)
    x = torch.linspace(ends[0].item(), ends[-1].item(), 4001, dtype=torch.float64).unsqueeze(-1)
    density = d.log_prob(x).exp()
    area = ((density[1:] + density[:-1]) / 2 * (x[1:] - x[:-1])).sum().item()
    assert area == pytest.approx(0.9, abs=1e-4)


def test_pathwise_gradients_match_the_moments() -> None:
    torch.manual_seed(0)
    a = t(3.0).requires_grad_()
    D.Gamma(a.expand(20000), t(2.0)).rsample().mean().backward()
    assert a.grad.item() == pytest.approx(0.5, rel=0.05)  # the mean is a / 2
    b = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    D.Dirichlet(b.expand(20000, 2)).rsample()[:, 0].mean().backward()
    np.testing.assert_allclose(b.grad.numpy(), [3 / 25, -2 / 25], rtol=0.06)  # d/da a/(a+b)


def test_divergences_are_not_negative_and_zero_at_home() -> None:
    for p, q in ((D.Normal(t(0.0), t(1.0)), D.Normal(t(1.0), t(2.0))), (D.Gamma(t(2.0), t(1.0)), D.Gamma(t(3.0), t(0.5))),
                 (D.Categorical(t(0.2, 0.8)), D.Categorical(t(0.5, 0.5))), (D.Beta(t(2.0), t(3.0)), D.Beta(t(1.0), t(1.0)))):  # fmt: skip
        assert D.kl_divergence(p, q).min().item() > 0
        assert abs(D.kl_divergence(p, p).sum().item()) < 1e-12


def test_divergence_is_the_mean_of_the_log_ratio() -> None:
    torch.manual_seed(0)
    p, q = D.Laplace(t(0.0), t(1.0)), D.Normal(t(0.5), t(2.0))
    x = p.sample((20000,))
    assert (p.log_prob(x) - q.log_prob(x)).mean().item() == pytest.approx(D.kl_divergence(p, q).item(), abs=0.02)


def test_shapes() -> None:
    d = D.Independent(D.Normal(torch.zeros(4, 3, 2), 1.0), 2)
    assert d.batch_shape == (4,) and d.event_shape == (3, 2) and d.sample((5,)).shape == (5, 4, 3, 2)
    assert d.log_prob(d.sample()).shape == (4,) and d.expand((6, 4)).sample().shape == (6, 4, 3, 2)
    m = D.MixtureSameFamily(D.Categorical(torch.ones(3)), D.Normal(torch.zeros(3), 1.0))
    assert m.batch_shape == () and m.sample((7,)).shape == (7,)


def test_a_subclass_must_say_how_it_expands() -> None:
    class Fixed(D.Normal):
        def __init__(self) -> None:
            super().__init__(torch.zeros(2), torch.ones(2))

    with pytest.raises(NotImplementedError, match="must also define a custom .expand"):
        Fixed().expand((3, 2))


def test_transforms_go_back() -> None:
    x = torch.linspace(-2, 2, 6, dtype=torch.float64).reshape(2, 3)
    for transform in (D.ExpTransform(), D.SigmoidTransform(), D.TanhTransform(), D.SoftplusTransform(), D.StickBreakingTransform(),
                      D.CorrCholeskyTransform(), D.AffineTransform(1.0, -2.0), D.ComposeTransform([D.ExpTransform(), D.AffineTransform(0.0, 3.0)])):  # fmt: skip
        y = transform(x)
        np.testing.assert_allclose(transform.inv(y).numpy(), x.numpy(), atol=1e-8)
        assert bool(transform.codomain.check(y).all())


def test_checks_name_the_parameter() -> None:
    with pytest.raises(ValueError, match="Expected parameter scale"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="within the support"):
        D.Beta(1.0, 1.0).log_prob(torch.tensor(2.0))
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1


def test_probabilities_follow_logits_that_were_changed() -> None:
    def softmax(x: Any) -> Any:
        e = np.exp(np.array(x) - np.max(x))
        return (e / e.sum()).tolist()

    given = [0.5, -1.0, 2.0]
    d = torch.distributions.Categorical(logits=torch.tensor(given))
    assert d.probs.tolist() == pytest.approx(softmax(given), rel=1e-5)
    d = torch.distributions.Categorical(logits=torch.tensor(given))
    d.logits[0] = 3.0
    assert d.probs.tolist() == pytest.approx(softmax(d.logits.tolist()), rel=1e-5)
    d = torch.distributions.Categorical(logits=torch.tensor(given))
    d.logits = torch.tensor([1.0, 1.0, 0.0])
    assert d.probs.tolist() == pytest.approx(softmax([1, 1, 0]), rel=1e-5)
    x = torch.tensor(given, requires_grad=True)
    with torch.no_grad():
        assert not torch.distributions.Categorical(logits=x).logits.requires_grad
    torch.distributions.Categorical(logits=x).probs[0].backward()
    p = np.array(softmax(given))
    assert x.grad.tolist() == pytest.approx((p[0] * (np.eye(3)[0] - p)).tolist(), rel=1e-4)


def test_what_was_drawn_is_checked_once_it_was_written() -> None:
    d = torch.distributions.Categorical(logits=torch.zeros(4, 3))
    drawn = d.sample()
    assert d.log_prob(drawn).tolist() == pytest.approx([-np.log(3)] * 4, rel=1e-5)
    with torch.inference_mode():  # where writes are not counted
        inside = torch.distributions.Categorical(logits=torch.zeros(4, 3))
        assert inside.log_prob(inside.sample()).tolist() == pytest.approx([-np.log(3)] * 4, rel=1e-5)
    drawn[2] = 3
    with pytest.raises(ValueError, match="within the support"):
        d.log_prob(drawn)
