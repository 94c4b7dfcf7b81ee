"""Writes without gradients where gradients are JAX's: a tensor keeps its history, as on the tape. And modules that write to what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtorch as torch
from jtorch.func import pure_function, to_jax, to_torch, tree_of
from jtorch.interop import torch_function

nn = torch.nn


def quietly(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(w: Any) -> None:
        with torch.no_grad():
            f(w)

    return run


def first_row(w: Any) -> None:
    w[0] = w[0].clamp(0.5)


def another(w: Any) -> None:
    w.data = w.data * 2


WRITES: dict[str, Callable[[Any], Any]] = {
    "clamp": quietly(lambda w: w.clamp_(0)), "scale": quietly(lambda w: w.mul_(2)), "fill": quietly(lambda w: w.fill_(2)), "row": quietly(first_row),
    "view": quietly(lambda w: w.view(-1)[1:].zero_()), "norm": quietly(lambda w: w.copy_(w / w.norm())), "clamp data": lambda w: w.data.clamp_(0),
    "row of data": lambda w: first_row(w.data), "norm of data": lambda w: w.data.copy_(w.data / w.data.norm()), "detached": lambda w: w.detach().add_(1),
    "other data": another, "twice": lambda w: (w.data.add_(1), w.data.mul_(0.5)), "between": lambda w: quietly(lambda w: w.renorm_(2, 0, 1.0))(w),
}  # fmt: skip


class Written(nn.Module):
    def __init__(self, write: Callable[[Any], Any]) -> None:
        super().__init__()
        self.w, self.write = nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, -4.0]])), write

    def forward(self, x: Any) -> Any:
        self.write(self.w)
        y = self.w * x
        with torch.no_grad():
            y[1].clamp_(-5)
        return (y * self.w).sum() + (x * self.w.data).sum()


@pytest.mark.parametrize("name", WRITES)
def test_a_tensor_keeps_its_history(name: str) -> None:
    x = torch.tensor([[1.0, 2.0], [0.5, 3.0]])
    net = Written(WRITES[name])
    loss = net(x)
    loss.backward()
    pure = pure_function(Written(WRITES[name]))
    params, buffers = tree_of(Written(WRITES[name]))
    found, grads = jax.jit(jax.value_and_grad(lambda p: pure(p, buffers, to_jax(x))[0]))(params)
    np.testing.assert_allclose(found, loss.item(), rtol=1e-6)
    np.testing.assert_allclose(grads["w"], net.w.grad.numpy(), rtol=1e-6)


def test_data_is_outside_of_what_jax_follows() -> None:
    def straight_through(x: Any) -> Any:
        t = to_torch(x)
        return to_jax((t + (torch.round(t) - t).data).sum() + (t.data * t).sum())

    x = jnp.array([0.3, 1.7], "float32")
    np.testing.assert_allclose(jax.grad(straight_through)(x), 1 + x)


class Again(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Tanh())

    def forward(self, x: Any) -> Any:
        return torch.utils.checkpoint.checkpoint(self.body, x, use_reentrant=True)


IDS = torch.tensor([1, 2, 3, 1])
MODULES: dict[str, tuple[Callable[[], Any], Any]] = {
    "BatchNorm1d, plain mean": (lambda: nn.BatchNorm1d(3, momentum=None), torch.linspace(-1, 2, 12).view(4, 3) ** 2),
    "Embedding, max_norm": (lambda: nn.Embedding(5, 2, max_norm=1.0), IDS),
    "EmbeddingBag, max_norm": (lambda: nn.EmbeddingBag(5, 2, max_norm=0.5, norm_type=1.0), IDS.view(2, 2)),
    "reentrant checkpoint": (Again, torch.linspace(-1, 2, 12).view(4, 3).requires_grad_()),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_that_write_what_they_are_made_of(name: str) -> None:
    make, x = MODULES[name]
    torch.manual_seed(0)
    net = make()
    params, buffers = tree_of(net, copy=True)
    pure, weight = pure_function(net), jnp.arange(1.0, 7.0, dtype="float32")

    def loss(p: Any, b: Any, x: Any) -> Any:
        out, new = pure(p, b, x)
        return (out.reshape(-1)[:4] * weight[: out.size][:4]).sum(), new

    for _ in range(2):
        net.zero_grad()
        (net(x).reshape(-1)[:4] * torch.tensor(weight)[:4]).sum().backward()
        (_, buffers), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, buffers, to_jax(x.detach()))
        for k, p in net.named_parameters():
            np.testing.assert_allclose(grads[k], p.grad.numpy(), rtol=1e-4, atol=1e-6, err_msg=k)
        for k, b in net.named_buffers():
            np.testing.assert_allclose(buffers[k], b.numpy(), rtol=1e-5, err_msg=k)
        if "Embedding" in name:  # the table itself was written
            params = tree_of(net, copy=True)[0]


def test_what_is_computed_without_gradients_has_none() -> None:
    def f(x: Any) -> Any:
        with torch.no_grad():
            q = torch.round(x) * x
            x.view(-1)[0].mul_(2)
        return (x * q).sum()

    t = torch.tensor([1.2, 2.7], requires_grad=True)
    f(t).backward()
    x = jnp.array([1.2, 2.7], "float32")
    for followed in (torch_function(f), lambda x: to_jax(f(to_torch(x)))):
        assert jax.grad(followed)(x).tolist() == jax.jit(jax.grad(followed))(x).tolist() == t.grad.tolist()
    with torch.no_grad():  # around the whole: it is JAX that differentiates
        for followed in (torch_function(f), lambda x: to_jax((to_torch(x) ** 2).sum())):
            assert jax.grad(followed)(x).any()
    assert jax.hessian(lambda x: to_jax(f(to_torch(x) * to_torch(x))))(x).any()
