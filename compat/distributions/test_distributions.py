"""Every class of torch.distributions in both libraries from one seed: shapes, moments, samples, densities, gradients.

Samples are compared to the last bits of the arithmetic that follows the draw; the draws themselves are equal (compat/random).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributions as theirs

import jtorch
import jtorch.distributions as ours

from .cases import CASES

BOTH = [(torch, theirs), (jtorch, ours)]
IDS = [(name, k) for name in CASES for k in range(len(CASES[name]))]
# What depends on the class more than on what its parameters are (`make compat-full` takes all of them)
FIRST = [pytest.param(*i, marks=pytest.mark.slow if i[1] else ()) for i in IDS]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.Distribution.set_default_validate_args(True)  # torch's compiler turns it off for the whole process
        yield


def host(x: Any) -> np.ndarray:
    return np.asarray(x.detach().numpy())


def same(a: Any, b: Any, what: str, rtol: float = 1e-9, atol: float = 1e-10) -> None:
    if isinstance(a, torch.Tensor):
        assert str(a.dtype) == str(b.dtype), f"{what}: {a.dtype} {b.dtype}"
        assert tuple(a.shape) == tuple(b.shape), f"{what}: {tuple(a.shape)} {tuple(b.shape)}"
        if a.dtype == torch.float32:
            rtol, atol = max(rtol, 3e-5), max(atol, 1e-5)
        np.testing.assert_allclose(host(b), host(a), rtol=rtol, atol=atol, err_msg=what)
        assert a.requires_grad == b.requires_grad, f"{what}: requires_grad {a.requires_grad} {b.requires_grad}"
    elif isinstance(a, tuple):
        assert tuple(a) == tuple(b), what
    else:
        assert a == b, f"{what}: {a} {b}"


class Parameters:
    """Makes leaves and remembers them."""

    def __init__(self, T: Any, kind: str) -> None:
        self.T, self.kind, self.made = T, getattr(T, kind), []

    def __call__(self, data: Any) -> Any:
        t = self.T.tensor(data, dtype=self.kind, requires_grad=True)
        self.made.append(t)
        return t


def pair(name: str, k: int, kind: str = "float64") -> list[Any]:
    if name == "GeneralizedPareto":
        kind = "float32"  # torch's log_prob takes nothing else
    out = []
    for T, D in BOTH:
        p = Parameters(T, kind)
        out.append((CASES[name][k](T, D, p), p))
    return out


def drawn(a: Any, b: Any, draw: Any) -> tuple[Any, Any]:
    """The same draw from both, each from one seed; the generators must end in one state."""
    torch.manual_seed(5)
    x = draw(a)
    state = torch.get_rng_state().numpy()
    jtorch.manual_seed(5)
    y = draw(b)
    assert (state == host(jtorch.get_rng_state())).all(), "the generators part"
    return x, y


def attempt(call: Any) -> Any:
    try:
        return call()
    except Exception as error:
        return error


def same_or_error(calls: dict[str, list[Any]], **tolerance: float) -> None:
    """Each of ``{what: [torch's call, jtorch's]}``. jtorch makes all of its calls before one result is looked at: what they compute is one program, and is compiled once."""
    results = {what: [attempt(c) for c in both] for what, both in calls.items()}
    for what, (a, b) in results.items():
        if isinstance(a, Exception):
            assert type(a) is type(b), f"{what}: torch raises {a!r}, jtorch gives {b!r}"
            continue
        assert not isinstance(b, Exception), f"{what}: {b!r}"
        same(a, b, what, **tolerance)


@pytest.mark.parametrize(("name", "k"), FIRST)
def test_shapes_and_moments(name: str, k: int) -> None:
    (a, _), (b, _) = pair(name, k)
    assert repr(a) == repr(b)
    for attribute in ("batch_shape", "event_shape", "has_rsample", "has_enumerate_support"):
        same(getattr(a, attribute), getattr(b, attribute), attribute)
    calls = {n: [lambda d=d, n=n: getattr(d, n) for d in (a, b)] for n in ("mean", "mode", "variance", "stddev")}
    calls |= {n: [getattr(d, n) for d in (a, b)] for n in ("entropy", "perplexity", "enumerate_support")}
    calls["not expanded"] = [lambda d=d: d.enumerate_support(expand=False) for d in (a, b)]
    calls["support"] = [lambda d=d: repr(d.support) for d in (a, b)]
    wider = [d.expand((2, *a.batch_shape)) for d in (a, b)]
    for attribute in ("batch_shape", "event_shape"):
        same(getattr(wider[0], attribute), getattr(wider[1], attribute), f"expanded {attribute}")
    calls |= {f"expanded {n}": [lambda d=d, n=n: getattr(d, n) for d in wider] for n in ("mean", "variance")}
    same_or_error(calls)
    assert {k: repr(v) for k, v in a.arg_constraints.items()} == {k: repr(v) for k, v in b.arg_constraints.items()}


# float32 repeats what float64 shows: the nightly run takes it
KINDS = ["float64", pytest.param("float32", marks=pytest.mark.slow)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "k"), FIRST)
def test_samples_and_densities(name: str, k: int, kind: str) -> None:
    (a, _), (b, _) = pair(name, k, kind)
    wide = {"rtol": 2e-4, "atol": 2e-5} if kind == "float32" else {}
    draws = [drawn(a, b, lambda d: d.sample(shape)) for shape in ([(3, 2)] if k else [(), (3, 2)])]  # noqa: B023
    for x, y in draws:
        same(x, y, f"sample of {tuple(x.shape)}", **wide)
    # densities at one and the same place
    x = draws[-1][0]
    z = jtorch.from_numpy(host(x).copy())
    calls = {"log_prob": [lambda: a.log_prob(x), lambda: b.log_prob(z)]}
    wider = [d.expand((2, *a.batch_shape)) for d in (a, b)]
    calls["log_prob of the expanded"] = [lambda: wider[0].log_prob(x), lambda: wider[1].log_prob(z)]
    if not k:  # made of other parameters, the class has the same functions
        q = torch.linspace(0.1, 0.9, 5, dtype=x.dtype if x.is_floating_point() else torch.float64).reshape(5, *[1] * len(a.batch_shape + a.event_shape))
        calls |= {"cdf": [lambda: a.cdf(x), lambda: b.cdf(z)], "icdf": [lambda: a.icdf(q), lambda: b.icdf(jtorch.from_numpy(q.numpy()))]}
    same_or_error(calls, **wide)


LONG = ("Chi2", "FisherSnedecor", "InverseGamma", "LowRankMultivariateNormal")  # made of Gamma, and of what MultivariateNormal is made of


@pytest.mark.parametrize(("name", "k"), [pytest.param(*i, marks=pytest.mark.slow if i[1] or i[0] in LONG else ()) for i in IDS])
def test_gradients(name: str, k: int) -> None:
    (a, p), (b, q) = pair(name, k)
    if not p.made:
        return
    # torch's pathwise derivative of gamma samples is an approximation
    loose = {"rtol": 6e-3, "atol": 2e-3}
    approximate = name in ("Gamma", "Chi2", "Beta", "Dirichlet", "StudentT", "FisherSnedecor", "InverseGamma", "Wishart")
    seen: list[tuple[Any, Any, str, dict[str, float]]] = []  # compared at the end: what jtorch computes is one program until it is looked at
    if a.has_rsample:
        x, y = drawn(a, b, lambda d: d.rsample((4,)))
        if not isinstance(attempt(x.sum().backward), Exception):  # torch's Wishart overwrites what its gradient needs
            y.sum().backward()
            seen.append((p, q, "rsample", loose if approximate else {}))
    (a, p), (b, q) = pair(name, k)
    z = a.sample((4,)).detach()
    losses = [a.log_prob(z).sum(), b.log_prob(jtorch.from_numpy(host(z).copy())).sum()]
    entropy = attempt(a.entropy)
    if not isinstance(entropy, Exception) and entropy.requires_grad:
        losses = [losses[0] + entropy.sum(), losses[1] + b.entropy().sum()]
    for loss in losses:
        loss.backward()
    seen.append((p, q, "log_prob and entropy", {}))
    if a.has_rsample:
        same(x, y, "rsample")
    for one in seen:
        compare_gradients(*one)


def compare_gradients(p: Parameters, q: Parameters, what: str, tolerance: dict[str, float]) -> None:
    for s, t in zip(p.made, q.made, strict=True):
        assert (s.grad is None) == (t.grad is None), f"{what}: gradient {s.grad} {t.grad}"
        if s.grad is not None:
            same(s.grad, t.grad, f"gradient of {what}", **tolerance)


@pytest.mark.slow  # what is cheap of it stands in the tests above
@pytest.mark.parametrize(("name", "k"), FIRST)
def test_samples_of_expanded(name: str, k: int) -> None:
    (a, _), (b, _) = pair(name, k)
    shape = (2, *a.batch_shape)
    a, b = a.expand(shape), b.expand(shape)
    same(a.batch_shape, b.batch_shape, "batch_shape")
    same(a.event_shape, b.event_shape, "event_shape")
    x, y = drawn(a, b, lambda d: d.sample((3,)))
    calls = {"log_prob": [lambda: a.log_prob(x), lambda: b.log_prob(y)], **{n: [lambda d=d, n=n: getattr(d, n) for d in (a, b)] for n in ("mean", "variance")}}
    same_or_error({"sample": [lambda: x, lambda: y], **calls})


def test_names() -> None:
    assert set(theirs.__all__) <= set(dir(ours))
    for module in ("constraints", "transforms", "kl", "utils", "constraint_registry", "normal", "relaxed_bernoulli", "relaxed_categorical", "one_hot_categorical"):
        mine = __import__(f"jtorch.distributions.{module}", fromlist=["x"])
        assert set(getattr(theirs, module).__all__) <= set(dir(mine)), module


BAD = [
    lambda T, D: D.Normal(T.tensor([0.0, float("nan")]), 1.0), lambda T, D: D.Normal(0.0, -1.0), lambda T, D: D.Bernoulli(1.5), lambda T, D: D.Bernoulli(),
    lambda T, D: D.Bernoulli(0.5, 0.5), lambda T, D: D.Categorical(T.tensor(0.5)), lambda T, D: D.Uniform(1.0, 0.0), lambda T, D: D.Normal("a", 1.0),
    lambda T, D: D.Normal(0.0, 1.0).log_prob(1.0), lambda T, D: D.Normal(T.zeros(2), 1.0).log_prob(T.zeros(3)), lambda T, D: D.Beta(1.0, 1.0).log_prob(T.tensor(2.0)),
    lambda T, D: D.Dirichlet(T.tensor(1.0)), lambda T, D: D.MultivariateNormal(T.zeros(2)), lambda T, D: D.MultivariateNormal(T.zeros(2), T.tensor([[1.0, 2.0], [2.0, 1.0]])),
    lambda T, D: D.Independent(D.Normal(0.0, 1.0), 1), lambda T, D: D.Multinomial(T.tensor(3), T.ones(2)), lambda T, D: D.Geometric(0.0), lambda T, D: D.LKJCholesky(1),
    lambda T, D: D.Poisson(-1.0), lambda T, D: D.Gamma(T.tensor([1.0]), 1.0).icdf(T.tensor([0.5])), lambda T, D: D.Normal(0.0, 1.0).enumerate_support(),
    lambda T, D: D.kl_divergence(D.Normal(0.0, 1.0), D.Categorical(T.ones(2))), lambda T, D: D.kl_divergence(D.Binomial(2, T.tensor(0.5)), D.Binomial(3, T.tensor(0.5))),
    lambda T, D: D.biject_to(D.constraints.boolean), lambda T, D: D.TransformedDistribution(D.Normal(0.0, 1.0), [3]), lambda T, D: D.Distribution().sample(),
]  # fmt: skip


@pytest.mark.parametrize("k", range(len(BAD)))
def test_errors(k: int) -> None:
    with pytest.raises(Exception) as a:
        BAD[k](torch, theirs)
    with pytest.raises(type(a.value)) as b:
        BAD[k](jtorch, ours)
    assert " ".join(str(b.value).split()).replace("jtorch.", "torch.") == " ".join(str(a.value).split())


def test_validation_can_be_turned_off() -> None:
    assert ours.Normal(0.0, -1.0, validate_args=False).scale.item() == -1.0
    ours.Distribution.set_default_validate_args(False)
    try:
        ours.Normal(0.0, -1.0)
    finally:
        ours.Distribution.set_default_validate_args(True)
