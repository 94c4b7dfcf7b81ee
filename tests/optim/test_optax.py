"""optax transformations as torch-style optimizers."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

import jtorch as torch
from jtorch import optim


def problem():
    w = torch.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    b = torch.tensor([0.25, -1.0], requires_grad=True)
    return w, b


def train(optimizer, w, b, steps=5):
    x = torch.tensor([[1.0, 2.0], [0.5, -1.0], [2.0, 0.0]])
    for _ in range(steps):
        optimizer.zero_grad()
        ((x @ w + b) ** 2).sum().backward()
        optimizer.step()
    return w.detach().numpy(), b.detach().numpy()


@pytest.mark.parametrize(("tx", "name", "kwargs"), [
    (optax.sgd(0.1, momentum=0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
    (optax.adam(0.1), "Adam", {"lr": 0.1}),
    (optax.adamw(0.1, weight_decay=0.2), "AdamW", {"lr": 0.1, "weight_decay": 0.2}),
    (optax.adadelta(1.0, rho=0.9), "Adadelta", {"lr": 1.0}),
])  # fmt: skip
def test_agrees_with_the_torch_optimizer(tx, name, kwargs):
    w, b = problem()
    ours = train(optim.Optax([w, b], tx), w, b)
    w, b = problem()
    theirs = train(getattr(optim, name)([w, b], **kwargs), w, b)
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-6)


def test_chain_of_schedule_clipping_and_labels_is_what_optax_does():
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.3, 2, 10)
    labels = {"w": "decay", "b": "plain"}
    parts = optax.multi_transform({"decay": optax.adamw(schedule), "plain": optax.sgd(0.1)}, labels)
    tx = optax.chain(optax.clip_by_global_norm(1.0), parts)
    w, b = problem()
    params = {"w": w.detach().numpy().copy(), "b": b.detach().numpy().copy()}
    ours = train(optim.Optax([("w", w), ("b", b)], tx), w, b)
    x = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.0]], np.float32)
    state = tx.init(params)
    for _ in range(5):
        grads = jax.grad(lambda p: ((x @ p["w"] + p["b"]) ** 2).sum())(params)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(ours[0], params["w"], rtol=1e-5)
    np.testing.assert_allclose(ours[1], params["b"], rtol=1e-5)


def test_state_dict_goes_on_where_it_was():
    tx = optax.chain(optax.clip(0.5), optax.adam(optax.linear_schedule(0.1, 0.0, 10)))
    w, b = problem()
    first = optim.Optax([w, b], tx)
    train(first, w, b, 3)
    w2, b2 = (t.detach().clone().requires_grad_() for t in (w, b))
    second = optim.Optax([w2, b2], tx)
    second.load_state_dict(first.state_dict())
    second.state["optax"] = {k: v.clone() for k, v in second.state["optax"].items()}
    for x, y in zip(train(first, w, b, 2), train(second, w2, b2, 2), strict=True):
        np.testing.assert_array_equal(x, y)


def test_torchs_schedulers_drive_an_injected_rate():
    w, b = problem()
    optimizer = optim.Optax([w, b], optax.inject_hyperparams(optax.sgd)(learning_rate=0.5))
    assert optimizer.param_groups[0]["lr"] == 0.5
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.0)
    train(optimizer, w, b, 1)
    scheduler.step()
    before = w.tolist()
    train(optimizer, w, b, 1)
    assert w.tolist() == before


def test_missing_gradients_and_frozen_parameters():
    w, b = problem()
    frozen = torch.ones(2)
    optimizer = optim.Optax([w, b, frozen], optax.adamw(0.1))
    w.grad = torch.ones(2, 2)
    before = b.tolist()
    optimizer.step()
    assert b.tolist() == before and frozen.tolist() == [1.0, 1.0]


def test_arguments():
    w, b = problem()
    with pytest.raises(TypeError, match="GradientTransformation"):
        optim.Optax([w, b], "adam")
    optimizer = optim.Optax([w], optax.sgd(0.1))
    with pytest.raises(NotImplementedError, match="make a new optimizer"):
        optimizer.add_param_group({"params": [b]})
    plateau = optim.Optax([b], optax.chain(optax.sgd(1.0), optax.contrib.reduce_on_plateau(factor=0.5, patience=0)))
    b.grad = torch.zeros(2)
    plateau.step(value=torch.tensor(1.0))
    plateau.step(value=2.0)


@pytest.mark.parametrize("name", ["polyak_sgd", "noisy_sgd", pytest.param("lbfgs", marks=pytest.mark.slow)])
def test_what_asks_for_more_than_gradients(name):
    tx = {"polyak_sgd": optax.polyak_sgd, "noisy_sgd": lambda: optax.noisy_sgd(0.01, key=jax.random.key(0)), "lbfgs": optax.lbfgs}[name]()
    w, b = problem()
    x = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.0]], np.float32)
    params = {"w": w.detach().numpy().copy(), "b": b.detach().numpy().copy()}
    loss = lambda p: ((x @ p["w"] + p["b"]) ** 2).sum()
    optimizer = optim.Optax([("w", w), ("b", b)], tx)

    def closure():
        optimizer.zero_grad()
        value = ((torch.from_numpy(x) @ w + b) ** 2).sum()
        value.backward()
        return value

    state = tx.init(params)
    for _ in range(2):
        optimizer.step(closure)
        value, grads = jax.value_and_grad(loss)(params)
        more = {"polyak_sgd": {"value": value}, "noisy_sgd": {}, "lbfgs": {"value": value, "grad": grads, "value_fn": loss}}[name]
        updates, state = tx.update(grads, state, params, **more)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(w.detach().numpy(), params["w"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(b.detach().numpy(), params["b"], rtol=1e-4, atol=1e-5)
    optimizer.load_state_dict(optimizer.state_dict())
    if name != "noisy_sgd":
        with pytest.raises(RuntimeError, match="closure"):
            optimizer.step()
