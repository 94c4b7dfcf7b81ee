"""Per-sample gradients, ensembles, hessians, MAML and tangent kernels of a network with BatchNorm in training, and with dropout: torch.func in both libraries."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch

import jtorch

pytestmark = pytest.mark.slow


def norm(lib: Any) -> Any:
    return lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4, track_running_stats=False), lib.nn.Tanh(), lib.nn.Linear(4, 2))


def statistics(lib: Any) -> Any:
    return lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Tanh(), lib.nn.Linear(4, 2))


def dropout(lib: Any) -> Any:
    return lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Dropout(0.5), lib.nn.Linear(4, 2))


class Case:
    """A network as a function of parameters; each call has buffers of its own."""

    def __init__(self, lib: Any, F: Any, make: Any) -> None:
        self.lib, self.F, self.net = lib, F, make(lib)
        self.p = {k: v.detach() for k, v in self.net.named_parameters()}
        self.b = dict(self.net.named_buffers())

    def run(self, p: Any, x: Any) -> Any:
        b = {k: v.clone() for k, v in self.b.items()}
        if b:  # a lane may write what is its own alone
            nothing = (x.sum() + p["0.weight"].detach().sum()) * 0
            b = {k: v + nothing.to(v.dtype) for k, v in b.items()}
        return self.F.functional_call(self.net, (p, b), (x,))

    def loss(self, p: Any, x: Any, y: Any) -> Any:
        return (self.run(p, x) - y).pow(2).mean()


def per_sample_gradients(c: Case, x: Any, y: Any) -> Any:
    return c.F.vmap(c.F.grad(c.loss), (None, 0, 0), randomness="same")(c.p, x, y)


def ensemble(c: Case, x: Any, y: Any) -> Any:
    many = {k: c.lib.stack([v, v * 0.5 + 0.1]) for k, v in c.p.items()}
    return c.F.vmap(c.F.grad_and_value(c.loss), (0, None, None), randomness="same")(many, x[0], y[0])


def hessian(c: Case, x: Any, y: Any) -> Any:
    def f(w: Any) -> Any:
        c.lib.manual_seed(3)
        return c.loss({**c.p, "0.weight": w}, x[0], y[0])

    return c.F.hessian(f)(c.p["0.weight"]) if not isinstance(c.net[2], c.lib.nn.Dropout) else c.F.jacrev(c.F.grad(f))(c.p["0.weight"])


def maml(c: Case, x: Any, y: Any) -> Any:
    def task(x: Any, y: Any) -> Any:
        g = c.F.grad(c.loss)(c.p, x, y)
        return c.loss({k: v - 0.1 * g[k] for k, v in c.p.items()}, x, y)

    def total(p: Any) -> Any:
        c.p = p
        if c.lib is torch and not isinstance(c.net[2], torch.nn.Dropout):  # its second derivatives of norms with weights are not its own loop's under vmap
            return sum(task(*one) for one in zip(x, y, strict=True)) / len(x)
        return c.F.vmap(task, randomness="same")(x, y).mean()

    return c.F.grad_and_value(total)(c.p)


def tangent_kernel(c: Case, x: Any, y: Any) -> Any:
    """Of two batches."""

    def jacobian(x: Any) -> Any:
        c.lib.manual_seed(3)
        return [j.flatten(2) for j in c.F.jacrev(lambda p: c.run(p, x))(c.p).values()]

    return sum(c.lib.einsum("Naf,Mbf->NMab", a, b) for a, b in zip(jacobian(x[0]), jacobian(x[1]), strict=True))


@pytest.mark.parametrize("make", [norm, statistics, dropout], ids=lambda f: f.__name__)
@pytest.mark.parametrize("what", [per_sample_gradients, ensemble, hessian, maml, tangent_kernel], ids=lambda f: f.__name__)
def test_alike(what: Any, make: Any) -> None:
    found = []
    for lib in (torch, jtorch):
        lib.manual_seed(0)
        c = Case(lib, importlib.import_module(lib.__name__ + ".func"), make)
        x, y = lib.randn(2, 6, 3), lib.randn(2, 6, 2)
        lib.manual_seed(1)
        leaves = importlib.import_module(lib.__name__ + ".utils._pytree").tree_flatten(what(c, x, y))[0]
        found.append([t.detach().numpy() for t in leaves])
    for a, b in zip(*found, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol=2e-4, atol=2e-5)
