"""Modules as pure functions: frozen parameters get no gradient, and both paths agree."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtorch as torch
from jtorch.func import functional_call, pure_function, tree_of, value_and_grad


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Linear(4, 5)
        self.norm = torch.nn.BatchNorm1d(5)
        self.head = torch.nn.Linear(5, 2)

    def forward(self, x):
        return self.head(torch.tanh(self.norm(self.backbone(x))))


def loss(out, y):
    return torch.nn.functional.mse_loss(out, y)


@pytest.mark.parametrize("frozen", [False, True])
def test_backward_and_the_functional_path_agree(frozen: bool) -> None:
    torch.manual_seed(0)
    net, x, y = Net(), torch.randn(6, 4), torch.randn(6, 2)
    net.backbone.requires_grad_(not frozen)
    params, buffers = tree_of(net)
    step = jax.jit(value_and_grad(net, loss))
    (value, new), grads = step(params, buffers, x.jax(), y.jax())
    found = loss(net(x), y)
    found.backward()
    assert np.allclose(value, found.item(), rtol=1e-6)
    for name, p in net.named_parameters():
        want = np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        assert np.allclose(grads[name], want, atol=1e-6), name
        assert (p.grad is None) == (frozen and name.startswith("backbone"))
    assert np.allclose(new["norm.running_mean"], net.norm.running_mean.numpy(), atol=1e-6)


def test_functional_call_changes_nothing() -> None:
    torch.manual_seed(0)
    net = Net().eval()
    x = torch.randn(3, 4)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    zero = {k: torch.zeros_like(v) for k, v in net.named_parameters()}
    assert functional_call(net, zero, x).abs().sum().item() == 0
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_vmap_over_models() -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    params, buffers = tree_of(net)
    many = jax.tree.map(lambda p: np.stack([np.asarray(p)] * 4), params)
    out, _ = jax.vmap(lambda p: pure_function(net)(p, buffers, np.ones((1, 3), np.float32)))(many)
    assert out.shape == (4, 1, 2)


def test_what_torch_does_not_follow_jax_does_not():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor([2.0, 3.0]))

        def forward(self, x):
            a = x * self.w
            with torch.no_grad():
                b = x * self.w * 10
            part = a[1:].detach()
            c = torch.zeros(2)
            c.detach().add_(1)  # the same memory still
            return (a * a.detach() + b + c).sum() + (a[1:] * part).sum()

    net, x = Net(), jnp.ones(2, "float32")
    params, buffers = tree_of(net)
    net(torch.ones(2)).backward()
    assert net(torch.ones(2)).item() == pure_function(net)(params, buffers, x)[0]
    for wrap in (lambda f: f, jax.jit):
        assert wrap(jax.grad(lambda p: pure_function(net)(p, buffers, x)[0]))(params)["w"].tolist() == net.w.grad.tolist()
