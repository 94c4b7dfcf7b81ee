"""Functions of JAX on the tape, and tensors as pytrees. Expectations are JAX's own results."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jtorch as torch
from jtorch.func import to_jax, to_torch, tree_of
from jtorch.interop import jax_function, torch_function


def test_a_function_of_jax_is_on_the_tape() -> None:
    @jax_function
    def f(x: Any, more: dict[str, Any], power: int = 2) -> Any:
        return {"y": jnp.sin(x) * more["w"] ** power, "n": x.shape[0]}, jnp.argmax(x)

    x, w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True), torch.nn.Parameter(torch.tensor([0.5, 1.0, 2.0]))
    (out, at) = f(x * 2, {"w": w}, power=3)
    assert out["n"] == 3 and at.item() == 2 and not at.requires_grad
    (out["y"].sum() * 2).backward()
    gx, gw = jax.grad(lambda x, w: 2 * (jnp.sin(2 * x) * w**3).sum(), (0, 1))(jnp.array([1.0, 2.0, 3.0], "float32"), jnp.array([0.5, 1.0, 2.0], "float32"))
    np.testing.assert_allclose(x.grad.numpy(), gx, rtol=1e-5)
    np.testing.assert_allclose(w.grad.numpy(), gw, rtol=1e-5)


def test_control_flow_custom_rules_and_second_derivatives() -> None:
    @jax_function
    def roll(h: Any, xs: Any) -> Any:
        return jax.lax.scan(lambda c, x: (jnp.tanh(c + x), c), h, xs)

    xs = torch.linspace(0, 1, 5).requires_grad_()
    last, every = roll(torch.tensor(0.1), xs)
    (g,) = torch.autograd.grad(last, xs, create_graph=True)
    (gg,) = torch.autograd.grad(g.sum(), xs)
    plain = lambda xs: jax.lax.scan(lambda c, x: (jnp.tanh(c + x), c), jnp.float32(0.1), xs)[0]
    at = jnp.linspace(0, 1, 5, dtype="float32")
    np.testing.assert_allclose(g.detach().numpy(), jax.grad(plain)(at), rtol=1e-5)
    np.testing.assert_allclose(gg.numpy(), jax.hessian(plain)(at).sum(0), rtol=1e-4, atol=1e-6)
    assert every.shape == (5,)

    @jax.custom_vjp
    def clipped(x: Any) -> Any:
        return x

    clipped.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -1, 1),))
    y = torch.tensor([3.0], requires_grad=True)
    (jax_function(clipped)(y) * 10).sum().backward()
    assert y.grad.tolist() == [1.0]


def test_inside_transformations() -> None:
    square = jax_function(lambda x: x * x)
    x = torch.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(torch.func.vmap(torch.func.grad(lambda v: square(v).sum()))(x).numpy(), 2 * x.numpy())
    found = jax.jit(jax.grad(lambda a: torch.func.to_jax(square(torch.func.to_torch(a)).sum())))(jnp.ones(3))
    np.testing.assert_allclose(found, [2, 2, 2])


def test_tensors_are_pytrees() -> None:
    x = torch.tensor([1.0, 2.0])
    twice = jax.jit(lambda t: t * 2)
    out = twice(x)
    assert isinstance(out, torch.Tensor) and out.tolist() == [2.0, 4.0]
    p = torch.nn.Parameter(torch.ones(2))
    assert isinstance(jax.tree.map(lambda a: a + 1, {"p": p})["p"], torch.nn.Parameter)
    assert jnp.sin(x).shape == (2,) and isinstance(jax.device_put(x), torch.Tensor)
    g = jax.grad(lambda t: torch.func.to_jax((t * t).sum()))(x)
    assert g.tolist() == [2.0, 4.0]


def test_optax_takes_tensors() -> None:
    params = {"w": torch.nn.Parameter(torch.ones(3)).detach(), "b": torch.zeros(1)}
    tx = optax.adam(0.1)
    state = tx.init(params)
    grads = {"w": torch.full((3,), 2.0), "b": torch.ones(1)}
    for _ in range(2):
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    plain = {"w": jnp.ones(3, "float32"), "b": jnp.zeros(1, "float32")}
    other = tx.init(plain)
    for _ in range(2):
        updates, other = tx.update({"w": jnp.full(3, 2.0, "float32"), "b": jnp.ones(1, "float32")}, other, plain)
        plain = optax.apply_updates(plain, updates)
    np.testing.assert_allclose(torch.func.to_jax(params["w"]), plain["w"], rtol=1e-6)


def test_a_function_of_tensors_takes_arrays() -> None:
    net = torch.nn.Linear(3, 2)

    @torch_function
    def f(x: Any, scale: Any = 1.0, *, more: Any) -> Any:
        with torch.no_grad():
            shift = net(x)
        return {"y": (net(x) * scale + more["a"]).sum(), "shift": shift.detach(), "n": 3}

    x, more = jnp.ones((4, 3), "float32"), {"a": jnp.full(2, 0.5, "float32")}
    out = f(x, 2.0, more=more)
    assert isinstance(out["y"], jax.Array) and out["n"] == 3 and out["shift"].shape == (4, 2)
    slope = jax.jit(jax.grad(lambda x, m: f(x, 2.0, more=m)["y"], (0, 1)))(x, more)
    np.testing.assert_allclose(slope[0], np.broadcast_to(2 * net.weight.sum(0).detach().numpy(), (4, 3)), rtol=1e-6)
    assert slope[1]["a"].tolist() == [4.0, 4.0]
    assert jax.vmap(lambda row: f(row, more=more)["y"])(x).shape == (4,)


def test_operators_take_arrays_and_tracers() -> None:
    x = jnp.array([1.0, 2.0])
    for made in (torch.sin(x), torch.cat([x[:1], torch.ones(2)]), torch.nn.functional.linear(x, jnp.ones((1, 2)), bias=x[:1]), torch.where(x > 1, x, 0.0), torch.clamp(x, max=1)):
        assert isinstance(made, torch.Tensor)
    out = torch.zeros(2, dtype=torch.float64)
    assert torch.exp(x, out=out) is out and out[0] == jnp.exp(1.0)
    assert torch.nn.Linear(2, 1, dtype=torch.float64)(x).requires_grad
    assert jax.jit(lambda x: to_jax(torch.add(x, 1)))(x).tolist() == [2, 3]
    assert jax.grad(lambda x: to_jax(torch.einsum("i,i->", x, x)))(x).tolist() == [2, 4]
    with pytest.raises(TypeError, match="unexpected|invalid combination|takes"):
        torch.sin(x, colour=1)


def test_state_goes_out_and_in_again_and_may_be_donated() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    before = net[0].weight.tolist()
    double = jax.jit(lambda tree: jax.tree.map(lambda a: a * 2, tree), donate_argnums=0)
    params, buffers = tree_of(net, copy=True)
    new = double(params)
    assert params["0.weight"].is_deleted() and net[0].weight.tolist() == before
    net.load_state_dict(to_torch({**new, **buffers}))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):  # overwrites its own
        optimizer.zero_grad()
        net(torch.ones(4, 3)).sum().backward()
        optimizer.step()
    assert (new["0.weight"] == 2 * np.array(before, "f")).all()
    own, _ = tree_of(net)
    new = double(own)
    net.load_state_dict(to_torch({**new, **buffers}))  # also where what it had is gone
    assert (net[0].weight.jax() == new["0.weight"]).all()


def test_asarray_of_an_array_of_jax_keeps_its_numbers() -> None:
    for array in (jnp.arange(4), jnp.arange(4.0), jnp.array([True, False])):
        for copy in (None, True, False):
            x = torch.asarray(array, copy=copy)
            assert x.tolist() == array.tolist()
            assert str(x.dtype).split(".")[1] == str(array.dtype)
