"""Transforms, constraints and their registries in both libraries."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributions as theirs

import jtorch
import jtorch.distributions as ours

BOTH = ((torch, theirs), (jtorch, ours))
TRANSFORMS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Abs": (lambda T, D: D.AbsTransform(), (2, 3)), "Affine": (lambda T, D: D.AffineTransform(1.0, -2.0), (2, 3)),
    "Affine event": (lambda T, D: D.AffineTransform(T.tensor([1.0, 2.0, 3.0]), T.tensor([0.5, 2.0, -1.0]), event_dim=1), (2, 3)),
    "Cat": (lambda T, D: D.CatTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)], dim=-1, lengths=[1, 2]), (2, 3)), "Compose": (lambda T, D: D.ComposeTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)]), (2, 3)),
    "CorrCholesky": (lambda T, D: D.CorrCholeskyTransform(), (2, 6)), "Cdf": (lambda T, D: D.CumulativeDistributionTransform(D.Normal(0.0, 2.0)), (2, 3)), "Exp": (lambda T, D: D.ExpTransform(), (2, 3)),
    "Independent": (lambda T, D: D.IndependentTransform(D.ExpTransform(), 1), (2, 3)), "LowerCholesky": (lambda T, D: D.LowerCholeskyTransform(), (2, 3, 3)),
    "PositiveDefinite": (lambda T, D: D.PositiveDefiniteTransform(), (2, 3, 3)), "Power": (lambda T, D: D.ComposeTransform([D.ExpTransform(), D.PowerTransform(T.tensor(2.5))]), (2, 3)),
    "Reshape": (lambda T, D: D.ReshapeTransform((2, 3), (6,)), (4, 2, 3)), "Sigmoid": (lambda T, D: D.SigmoidTransform(), (2, 3)), "Softmax": (lambda T, D: D.SoftmaxTransform(), (2, 3)),
    "Softplus": (lambda T, D: D.SoftplusTransform(), (2, 3)), "Stack": (lambda T, D: D.StackTransform([D.ExpTransform(), D.TanhTransform(), D.SigmoidTransform()], dim=1), (2, 3)),
    "StickBreaking": (lambda T, D: D.StickBreakingTransform(), (2, 3)), "Tanh": (lambda T, D: D.TanhTransform(), (2, 3)), "Identity": (lambda T, D: D.identity_transform, (2, 3)),
}  # fmt: skip


def attempt(call: Any) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error)


def same(a: Any, b: Any, what: str) -> None:
    if isinstance(a, torch.Tensor):
        assert str(a.dtype) == str(b.dtype) and tuple(a.shape) == tuple(b.shape), what
        np.testing.assert_allclose(np.asarray(b.detach().numpy()), a.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=what)
    elif isinstance(a, tuple):
        assert tuple(a) == tuple(b), what
    else:
        assert a == b, f"{what}: {a} {b}"


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str) -> None:
    make, shape = TRANSFORMS[name]
    x = np.random.default_rng(0).standard_normal(shape)
    rows = []
    for T, D in BOTH:
        t, v = make(T, D), T.tensor(x)
        y = t(v)
        cached = make(T, D).with_cache()
        rows.append({
            "y": y, "inverse": attempt(lambda: t.inv(y)), "jacobian": attempt(lambda: t.log_abs_det_jacobian(v, y)), "of inverse": attempt(lambda: t.inv.log_abs_det_jacobian(y, v)),
            "domain": attempt(lambda: repr(t.domain)), "codomain": attempt(lambda: repr(t.codomain)), "bijective": t.bijective, "sign": attempt(lambda: t.sign), "repr": repr(t), "inv": repr(t.inv),
            "forward_shape": tuple(attempt(lambda: t.forward_shape(T.Size(shape)))), "inverse_shape": tuple(attempt(lambda: t.inverse_shape(T.Size(y.shape)))), "event_dim": attempt(lambda: t.event_dim),
            "inv.inv": t.inv.inv is t, "equal": attempt(lambda: make(T, D) == make(T, D)), "inverse equal": attempt(lambda: make(T, D).inv == make(T, D).inv), "unequal": t == D.ExpTransform().inv,
            "cached": cached.inv(cached(v)) is v, "inside": attempt(lambda: t.codomain.check(y)),
        })  # fmt: skip
    for key, a in rows[0].items():
        same(a, rows[1][key], f"{name}.{key}")


CONSTRAINTS: dict[str, Any] = {
    **{n: (lambda T, c, n=n: getattr(c, n)) for n in "boolean nonnegative nonnegative_integer positive positive_integer real unit_interval one_hot real_vector simplex".split()},
    **{n: (lambda T, c, n=n: getattr(c, n)) for n in "lower_triangular lower_cholesky corr_cholesky square symmetric positive_semidefinite positive_definite".split()},
    "greater_than": lambda T, c: c.greater_than(0.5), "greater_than_eq": lambda T, c: c.greater_than_eq(T.tensor([0.0, 1.0, 2.0])), "less_than": lambda T, c: c.less_than(0.5),
    "interval": lambda T, c: c.interval(-1.0, 2.0), "half_open_interval": lambda T, c: c.half_open_interval(0.0, 1.0), "integer_interval": lambda T, c: c.integer_interval(0, 3),
    "multinomial": lambda T, c: c.multinomial(4), "independent": lambda T, c: c.independent(c.positive, 1), "cat": lambda T, c: c.cat([c.positive, c.real], -1, [1, 2]),
    "stack": lambda T, c: c.stack([c.positive, c.real, c.unit_interval], -1), "mixture": lambda T, c: c.MixtureSameFamilyConstraint(c.positive),
}  # fmt: skip
VALUES = [
    [[0.0, 1.0, 0.0], [0.5, 0.25, 0.25], [1.0, 2.0, 3.0]], [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]], [[2.0, 0.5, 0.0], [0.5, 2.0, 0.1], [0.0, 0.1, 1.0]],
    [[-1.0, 0.0, float("nan")], [0.3, 1.5, -2.0], [1.0, 1.0, 1.0]],
]  # fmt: skip


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints(name: str) -> None:
    for value in VALUES:
        a, b = (attempt(lambda T=T, D=D: CONSTRAINTS[name](T, D.constraints).check(T.tensor(value))) for T, D in BOTH)
        same(a, b, name)
    a, b = (CONSTRAINTS[name](T, D.constraints) for T, D in BOTH)
    for attribute in ("is_discrete", "event_dim"):
        same(getattr(a, attribute), getattr(b, attribute), attribute)
    if name not in ("cat", "stack"):
        assert repr(a) == repr(b)
    for registry in ("biject_to", "transform_to"):
        s, t = attempt(lambda: getattr(theirs, registry)(a)), attempt(lambda: getattr(ours, registry)(b))
        if isinstance(s, type):
            assert s is t, registry
            continue
        x = np.random.default_rng(0).standard_normal((2, 3, 3))
        same(attempt(lambda: s(torch.tensor(x))), attempt(lambda: t(jtorch.tensor(x))), registry)
        assert type(s).__name__ == type(t).__name__


def test_dependent() -> None:
    for D in (theirs, ours):
        c = D.constraints
        assert c.is_dependent(D.Uniform.support) and not c.is_dependent(D.Normal.support)
        assert D.Uniform.support.event_dim == 0 and not D.Uniform.support.is_discrete
        with pytest.raises(NotImplementedError):
            c.dependent.event_dim
        with pytest.raises(ValueError):
            c.dependent.check(1)
        assert c.dependent(event_dim=2).event_dim == 2


def test_vectors_and_triangles() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for diag in (-2, -1, 0):
            rows = []
            for T, D in BOTH:
                m = T.arange(32.0).reshape(2, 4, 4)
                v = D.utils.tril_matrix_to_vec(m, diag)
                rows.append((v, D.utils.vec_to_tril_matrix(v, diag)))
            same(rows[0][0], rows[1][0], "vec")
            same(rows[0][1], rows[1][1], "tril")
