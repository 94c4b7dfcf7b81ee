"""Hooks where the gradients are JAX's: they run on the way back, as on the tape, or a sentence says that they do not."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtorch as torch
from jtorch.func import pure_function, to_jax, to_torch, tree_of, value_and_grad

nn = torch.nn
X = np.linspace(-1, 1, 6).reshape(2, 3).astype("f")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 1)
        self.between: Any = None

    def forward(self, x: Any) -> Any:
        h = torch.tanh(self.a(x))
        if self.between is not None:
            h.register_hook(self.between)
        return self.b(h).sum()


def on_the_tape(net: Net) -> dict[str, Any]:
    net.zero_grad()
    net(torch.tensor(X)).backward()
    return {name: p.grad.numpy() for name, p in net.named_parameters()}


TRANSFORMS = {
    "grad": lambda f: jax.grad(f),
    "jit of grad": lambda f: jax.jit(jax.grad(f)),
    "grad of jit": lambda f: jax.grad(jax.jit(f)),
    "vmap of grad": lambda f: lambda p, x: jax.tree.map(lambda g: g.sum(0), jax.vmap(jax.grad(f), (None, 0))(p, x[:, None])),
    "grad of remat": lambda f: jax.grad(jax.checkpoint(f)),
}


def kinds(net: Net, kind: str) -> Any:
    if kind == "parameter":
        return net.a.weight.register_hook(lambda g: g * torch.tensor([1.0, 0.0, 2.0]))
    if kind == "between":
        net.between = lambda g: g.clamp(-0.1, 0.1)
        return None
    if kind == "full":
        return net.b.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10 + go[0],))
    return net.b.register_full_backward_pre_hook(lambda m, go: (go[0] * 3,))


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("kind", ["parameter", "between", "full", "pre"])
def test_hooks_run_as_on_the_tape(kind: str, transform: str) -> None:
    net = Net()
    plain = on_the_tape(net)
    kinds(net, kind)
    wanted = on_the_tape(net)
    params, buffers = tree_of(net)
    found = TRANSFORMS[transform](lambda p, x: pure_function(net)(p, buffers, x)[0])(params, X)
    for name, g in wanted.items():
        np.testing.assert_allclose(found[name], g, rtol=1e-5, atol=1e-6)
    assert any(np.abs(wanted[name] - plain[name]).max() > 1e-3 for name in plain)


def test_a_first_layer_s_hook_hears_of_it() -> None:
    """Its input is no input of what is differentiated: torch gives None for its gradient, JAX has one."""
    net, heard = Net(), []
    net.a.register_full_backward_hook(lambda m, gi, go: heard.append(tuple(go[0].shape)))
    params, buffers = tree_of(net)
    jax.jit(value_and_grad(net))(params, buffers, X)
    assert heard == [(2, 4)]


def test_a_handle_removes() -> None:
    def f(x: Any, keep: bool) -> Any:
        t = to_torch(x) * 2
        handle = t.register_hook(lambda g: g * 10)
        if not keep:
            handle.remove()
        return to_jax((t * 3).sum())

    x = jnp.ones(2, "float32")
    assert jax.grad(f)(x, True).tolist() == [60, 60] and jax.grad(f)(x, False).tolist() == [6, 6]
    second = jax.grad(lambda x: jax.grad(lambda x: f(x, True) * x.sum())(x).sum())(x)  # f = 6 s, 60 of its slope: d/dx (60 s + 6 s) for each of two
    assert second.tolist() == [132, 132]
    with pytest.raises(RuntimeError, match="changed the size"):
        jax.grad(lambda x: to_jax(_hooked(to_torch(x) * 1, lambda g: g[:1]).sum()))(x)


def _hooked(t: Any, hook: Any) -> Any:
    t.register_hook(hook)
    return t


def test_what_is_not_called_is_said() -> None:
    net = Net()
    params, buffers = tree_of(net)

    def run() -> Any:
        return jax.grad(lambda p: pure_function(net)(p, buffers, X)[0])(params)

    net.a.weight.register_post_accumulate_grad_hook(lambda p: None)
    with pytest.warns(UserWarning, match="nothing is accumulated"):
        run()
    net.b.register_backward_hook(lambda m, gi, go: None)
    with pytest.warns(UserWarning, match="register_full_backward_hook"):
        run()
    with pytest.raises(NotImplementedError, match="clone"):
        jax.grad(lambda x: to_jax(_hooked(to_torch(x).T, lambda g: g).sum()))(X)
    net = Net()
    net.b.register_full_backward_hook(lambda m, gi, go: None)
    with pytest.raises(NotImplementedError, match="vmap of jax.grad"):
        jax.grad(lambda p: jax.vmap(lambda x: pure_function(net)(p, buffers, x)[0])(X).sum())(params)
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        torch.ones(2).register_hook(lambda g: g)
